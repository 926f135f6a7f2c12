"""A launch's record as files: the frozen text itself, tables, and Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

from django.utils.text import slugify

from dashboard.board import wording
from dashboard.board.verdict import requirement_status
from dashboard.comparison.foreign_text import visible_together
from dashboard.launches.record import LaterActs, later_acts, read_body
from dashboard.launches.record_body import Json, decision_json, review_json
from dashboard.models import DecisionStep, LaunchRecord
from dashboard.pages.rule_forms import in_words
from dashboard.pages.thresholds import WORDS, shown
from dashboard.review.foreign_cells import csv_cell, csv_line, markdown_code

_NUMBERS = ("orders", "handled", "failed", "missing", "late", "repeats", "pairs")
_OF_DISCREPANCY = (
    "id", "version", "kind", "path", "state", "count", "ignored", "pairs", "rate", "noise_count",
    "noise_pairs", "noise_rate", "counts_against", "carried", "first_seen_at", "last_seen_at",
    "last_build", "control_value", "version_value",
)  # fmt: skip


class RecordFile(StrEnum):
    """The files of a record, by the ends of their names."""

    #: Exactly the hashed text.
    JSON = "json"
    MARKDOWN = "md"
    VERSIONS = "versions.csv"
    DISCREPANCIES = "discrepancies.csv"


CONTENT_TYPES: Mapping[RecordFile, str] = {
    RecordFile.JSON: "application/json",
    RecordFile.MARKDOWN: "text/markdown; charset=utf-8",
    RecordFile.VERSIONS: "text/csv; charset=utf-8",
    RecordFile.DISCREPANCIES: "text/csv; charset=utf-8",
}


def file_name(record: LaunchRecord, body: Json, file: RecordFile) -> str:
    """As in ``november-record.json``."""
    name = slugify(body["launch"]["name"])[:60] or str(record.launch)
    dash = "-" if "." in file else "."
    return f"{name}-record{dash}{file}"


def file_text(record: LaunchRecord, file: RecordFile) -> str:
    """The contents of a record's file."""
    if file is RecordFile.JSON:
        return record.body
    body = read_body(record)
    if file is RecordFile.MARKDOWN:
        name = file_name(record, body, RecordFile.JSON)
        lines = _markdown(body, later_acts(record, body), record.sha256, name)
        return "\n".join(lines) + "\n"
    return "".join(_versions(body) if file is RecordFile.VERSIONS else _discrepancies(body))


def _versions(body: Json) -> Iterator[str]:
    cells = sorted({cell for one in body["versions"] for cell in one["outcomes"]})
    times = ("p50", "p95", "p99")
    yield csv_line(
        [
            *("version", "role", "percent", *_NUMBERS),
            *(f"{one}_ms" for one in times),
            *("builds", *(f"pairs {cell}" for cell in cells)),
        ]
    )
    for one in body["versions"]:
        row = [one["version"], one["role"], one["percent"], *(one[name] for name in _NUMBERS)]
        row += [one["times_ms"][name] for name in times]
        row += [", ".join(build["build"] for build in one["builds"])]
        yield csv_line(
            [csv_cell(value) for value in row] + [one["outcomes"].get(c, 0) for c in cells]
        )


def _discrepancies(body: Json) -> Iterator[str]:
    yield csv_line([*_OF_DISCREPANCY, "decided_by", "decided_at", "note"])
    for one in body["discrepancies"]["listed"]:
        last = (one["reviews"]["listed"] or [{"author": None, "at": None, "note": None}])[-1]
        beside = visible_together([one["control_value"], one["version_value"]])
        pair = dict(zip(("control_value", "version_value"), beside, strict=True))
        values = {name: _plain(one[name]) for name in _OF_DISCREPANCY}
        values |= {
            "decided_by": last["author"],
            "decided_at": _plain(last["at"]),
            "note": last["note"],
        }
        yield csv_line([csv_cell(value, pair.get(name)) for name, value in values.items()])


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _markdown(body: Json, later: LaterActs, sha256: str, file: str) -> Iterator[str]:
    launch = body["launch"]
    yield f"# Launch {markdown_code(launch['name'], cell=False)}"
    yield ""
    yield (
        f"{_at(launch['started_at'])} to {_at(launch['ended_at'])}, control"
        f" {markdown_code(launch['control'], cell=False)}. Frozen {_at(body['frozen_at'])}."
    )
    for title, lines in _sections(body):
        yield from ("", f"## {title}", "", *lines)
    yield from ("", "## After the record was frozen", "", *_later(later))
    yield from ("", "---", "")
    yield f"SHA-256 of `{file}`: `{sha256}`. To check it: `sha256sum {file}`"


def _sections(body: Json) -> Iterator[tuple[str, Iterable[str]]]:
    yield "Verdict", _verdicts(body)
    yield (
        "Decisions",
        _acts(body["decisions"], _DECISION, _decision_cells, "None before the record."),
    )
    yield "Versions", _numbers(body)
    yield "Discrepancies", _listed(body)
    yield "Thresholds", _thresholds(body)
    yield "Rules", _acts(body["rules"], _RULE, _rule_cells, "No rules.")
    yield "Sample", _table(_SAMPLE, map(_sample_cells, body["sample"]), "No dark versions.")
    yield "Changes", _acts(body["changes"], _CHANGE, _change_cells, "None.")


def _verdicts(body: Json) -> Iterator[str]:
    for one in body["verdicts"]:
        version = markdown_code(one["version"], cell=False)
        if one["verdict"] is None:
            yield f"{version}: no verdict, none of its orders counted."
            continue
        said = markdown_code(one["verdict"]["sentence"], cell=False)
        yield f"**{version} {one['word'].upper()}**, on {one['orders']:,} orders: {said}"
        yield ""
        rows = ([row["key"], requirement_status(row["standing"]), _code(row["text"])]
                for row in one["verdict"]["requirements"])  # fmt: skip
        yield from _table(("requirement", "status", "result"), rows, "")
        yield ""
    if not body["verdicts"]:
        yield "No candidates."


def _numbers(body: Json) -> Iterator[str]:
    head = ("version", "role", "share at the end", *_NUMBERS, "p50", "p95", "p99", "builds")
    rows = (
        [
            _code(one["version"]), one["role"], share_of(one["percent"]),
            *(f"{one[name]:,}" for name in _NUMBERS),
            *(wording.duration(one["times_ms"][name]) for name in ("p50", "p95", "p99")),
            ", ".join(_code(build["build"]) for build in one["builds"]),
        ]
        for one in body["versions"]
    )  # fmt: skip
    yield from _table(head, rows, "")
    for one in body["versions"]:
        if one["outcomes"]:
            counted = ", ".join(
                f"{_code(cell)} {number:,}" for cell, number in sorted(one["outcomes"].items())
            )
            yield from ("", f"Outcomes of {_code(one['version'])}: {counted}")
    unseen, numbered = body["orders"]["unseen"], body["orders"]["numbered"]
    yield from ("", f"Orders that were sent and not seen: {unseen:,} of {numbered:,}.")


def _listed(body: Json) -> Iterator[str]:
    head = ("version", "kind", "path", "state", "pairs", "rate", "noise", "decided")
    rows = (
        [
            _code(one["version"]), one["kind"].replace("_", " "), _code(one["path"]),
            one["state"].replace("_", " "), f"{one['count']:,}", wording.part(one["rate"]),
            wording.part(one["noise_rate"]), "; ".join(map(_reviewed, _reviews(one))),
        ]
        for one in body["discrepancies"]["listed"]
    )  # fmt: skip
    yield from _table(head, rows, "None.")
    yield from _left_out(body["discrepancies"])


def _reviews(one: Json) -> Sequence[Json]:
    listed: Sequence[Json] = one["reviews"]["listed"]
    return listed


def _reviewed(one: Json) -> str:
    note = f": {_code(one['note'])}" if one["note"] else ""
    decision = one["decision"].replace("_", " ")
    return f"{decision} by {_code(one['author'] or 'Dark Kitchen')}, {_at(one['at'])}{note}"


def _thresholds(body: Json) -> Iterator[str]:
    values = body["thresholds"]["in_force"]
    yield from (f"- {about}: {what} {shown(name, values[name])}"
                for name, (about, what) in WORDS.items())  # fmt: skip
    changes = body["thresholds"]["changes"]
    yield ""
    if not changes["listed"]:
        yield "The defaults."
        return
    yield from _acts(changes, ("at", "who", "why", "set"), _threshold_cells, "")


_DECISION = ("at", "version", "decision", "who", "why", "verdict then")
_RULE = ("path", "rule", "version", "who", "why", "in force at the end")
_SAMPLE = ("version", "from", "share", "orders", "sent to it")
_CHANGE = ("at", "what", "change", "who", "why")


def _decision_cells(one: Json) -> list[str]:
    against = " **against the verdict**" if one["opposed"] else ""
    return [
        _at(one["at"]), _code(one["version"]),
        DecisionStep(one["step"]).on(one["choice"]) + against,
        _code(one["author"]), _code(one["reason"]), (one["word"] or "none").upper(),
    ]  # fmt: skip


def _rule_cells(one: Json) -> list[str]:
    return [
        _code(one["path"]), _code(rule_in_words(one)), _code(one["version"]) or "all",
        _code(one["author"]), _code(one["reason"]), "yes" if one["in_force_at_end"] else "no",
    ]  # fmt: skip


def _sample_cells(one: Json) -> list[str]:
    share = share_of(one["percent"])
    return [
        _code(one["version"]), _at(one["at"]), share, f"{one['offered']:,}", f"{one['sent']:,}"
    ]  # fmt: skip


def _change_cells(one: Json) -> list[str]:
    values = " \N{RIGHTWARDS ARROW} ".join(_code(one[name]) for name in ("old", "new") if one[name])
    what = f"{_code(one['version'])} {one['kind']}" if one["version"] else one["kind"]
    return [_at(one["at"]), what, values, _code(one["author"]), _code(one["reason"])]


def _threshold_cells(one: Json) -> list[str]:
    named = "; ".join(f"{about} {old} \N{RIGHTWARDS ARROW} {new}"
                      for about, old, new in thresholds_set(one))  # fmt: skip
    return [_at(one["at"]), _code(one["author"]), _code(one["reason"]), named or "none"]


def thresholds_set(one: Json) -> list[tuple[str, str, str]]:
    """The thresholds of a change: its requirement, the old and the new value."""
    return [
        (WORDS[line["name"]][0], shown(line["name"], line["old"]), shown(line["name"], line["new"]))
        for line in one["set"]
    ]


def rule_in_words(one: Json) -> str:
    """What a rule of a record does."""
    return in_words(SimpleNamespace(**one))


def share_of(percent: float | None) -> str:
    """A version's share; the control has no percent."""
    return "all, live" if percent is None else wording.share(percent)


def _later(later: LaterActs) -> Iterator[str]:
    decisions = [{**decision_json(one), "at": one.at} for one in later.decisions]
    reviews = [
        (one.discrepancy, {**review_json(one), "at": one.decided_at}) for one in later.reviews
    ]
    if not decisions and not reviews:
        yield "Nothing so far."
    if decisions:
        yield from _table(_DECISION, map(_decision_cells, decisions), "")
    if reviews:
        yield ""
        rows = ([_code(about.version), _code(about.path), _reviewed(one)] for about, one in reviews)
        yield from _table(("version", "path", "decided"), rows, "")


def _acts(acts: Json, head: Sequence[str], cells: Any, none: str) -> Iterator[str]:
    yield from _table(head, map(cells, acts["listed"]), none)
    yield from _left_out(acts)


def _left_out(rows: Json) -> Iterator[str]:
    if rows["left_out"]:
        yield from ("", f"{rows['left_out']:,} more are left out.")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], none: str) -> Iterator[str]:
    found = [*rows]
    if not found:
        yield none
        return
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    yield from (f"| {' | '.join(row)} |" for row in found)


def _code(text: str) -> str:
    return markdown_code(text)


def _at(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"

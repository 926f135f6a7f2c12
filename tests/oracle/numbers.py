"""Reads all numbers of the product, by natural keys: order numbers, versions, kinds and paths.

No id of a row and nothing drawn at random is among them; times are seconds since the run began.
What would be thousands of lines (every row, every bucket) is a checksum for so many of them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any
from unittest.mock import patch
from uuid import UUID

from django.core.management import call_command
from django.db.models import Count

from dashboard import models
from dashboard.board.filters import Filter
from dashboard.board.frame import board_state
from dashboard.comparison.outcome import Outcome
from dashboard.comparison.rules import ComparisonRule, Treatment
from dashboard.fold.records import Members
from dashboard.ingest.evidence import coverage_of, whole_tally
from dashboard.ingest.stored import members_in
from dashboard.management.commands import verdict as verdict_command
from dashboard.review.listing import Format, export, listed
from dashboard.review.replays import summary
from dashboard.tests.making import preview
from dashboard.verdict.assessment import as_json
from dashboard.verdict.evaluation import evaluate, requirements_of
from dashboard.verdict.quantiles import LogHistogram
from dashboard.verdict.thresholds import LaunchHealth
from dashboard.verdict.traffic import read_traffic
from kitchen_worker.contract.messages import utc_now
from kitchen_worker.contract.topology import kitchen_queue
from restaurant.launches import find_launch
from restaurant.models import Launch, LaunchChange, Order, OutboxMessage
from restaurant.resend import resend_counts
from restaurant.sent_counts import samples
from tests.oracle.generator import START

#: Orders of one checksum.
_TOGETHER = 1000
_DIGITS = 12
_REFUSED_BY_DATABASE = "the database does not take it"


def read_numbers(depths: Mapping[str, int], *, whole: bool) -> dict[str, Any]:
    """The numbers of this moment; ``whole``: all of them, else what moves while a launch runs."""
    names = _Names.read()
    found: dict[str, Any] = {
        "restaurant": _restaurant() if whole else _states(),
        "dead letters": _dead_letters(),
        "launches": {
            launch.name: _launch(launch, names, depths, whole=whole)
            for launch in Launch.objects.order_by("started_at" if whole else "-started_at")[
                : None if whole else 1
            ]
        },
    }
    if whole:
        found |= {"rules": _rules(), "judged again": _judged_again(), "replays": _replays(names)}
    plain: dict[str, Any] = _plain(found)
    return plain


class _Names:
    """What the ids of the tables stand for."""

    def __init__(self, orders: Mapping[str, int], discrepancies: Mapping[int, str]) -> None:
        self.orders = orders
        self._discrepancies = discrepancies

    @classmethod
    def read(cls) -> _Names:
        rows = models.Discrepancy.objects.values_list("pk", "kind", "path", "version")
        return cls(
            {str(uuid): pk for uuid, pk in Order.objects.values_list("uuid", "id")},
            {pk: f"{version} {kind} {path}" for pk, kind, path, version in rows},
        )

    def of(self, pk: int) -> str:
        """A discrepancy by its version, kind and path."""
        return self._discrepancies.get(pk, "many")

    def all_of(self, pks: Iterable[int]) -> str:
        """Several discrepancies as one text."""
        return ", ".join(sorted(map(self.of, pks)))

    def in_signature(self, text: str) -> str:
        """A signature, or two of them, as the evidence writes them."""
        return " | ".join(
            part if part in ("", "*") else self.all_of(map(int, part.split(",")))
            for part in text.split("|")
        )

    def keys(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        """The same by what the signatures stand for."""
        return {self.in_signature(name): number for name, number in counts.items()}


def _restaurant() -> dict[str, Any]:
    launches = {launch.pk: launch.name for launch in Launch.objects.all()}
    found: dict[str, Any] = {}
    for pk, name in [(None, "outside a launch"), *launches.items()]:
        orders = Order.objects.filter(launch=pk)
        sent = orders.filter(sent_at__isnull=False)
        found[name] = {
            "placed": orders.count(),
            "sent": sent.count(),
            "answered": orders.filter(answered_at__isnull=False).count(),
            "by state": _counts(orders, "state"),
            "sent again": dict(resend_counts(pk, at_most=1000)) if pk else {},
            "cents": int(100 * sum(orders.values_list("total_price", flat=True))),
            "answers": _checksum_of_rows(
                orders.order_by("id").values_list("id", "answer", "answered_at")
            ),
            "samples sent": _counts_of(
                version for names in sent.values_list("sample", flat=True) for version in names
            ),
        }
    return found


def _states() -> dict[str, Any]:
    return {"by state": _counts(Order.objects.all(), "state"),
            "unsent": OutboxMessage.objects.count()}  # fmt: skip


def _dead_letters() -> dict[str, Any]:
    kept: Counter[str] = Counter()
    for queue, version, reason, order in models.DeadLetter.objects.values_list(
        "queue", "version", "reason", "order"
    ):
        about = "of an order" if order else "of no order"
        why = _REFUSED_BY_DATABASE if _REFUSED_BY_DATABASE in reason else reason
        kept[f"{queue}, {version or 'no version'}, {about}: {why}"] += 1
    counts = models.DeadLetterTally.objects.values_list("queue", "count")
    return {"by queue": dict(counts), "kept": dict(kept)}


def _launch(
    launch: Launch, names: _Names, depths: Mapping[str, int], *, whole: bool
) -> dict[str, Any]:
    versions = [launch.control, *launch.dark_versions.values_list("version", flat=True)]
    dark = versions[1:]
    found: dict[str, Any] = {
        "versions": {version: _version(launch.pk, version) for version in versions},
        "discrepancies": {
            version: _discrepancies(launch.pk, version, whole=whole) for version in dark
        },
    }
    verdicts = {version: _verdict(launch.pk, version, names) for version in dark}
    if not whole:
        return found | {"verdicts": {version: _brief(one) for version, one in verdicts.items()}}
    found["verdicts"] = verdicts
    candidates = launch.dark_versions.filter(role="candidate").values_list("version", flat=True)
    evidence = models.Evidence.objects.filter(launch=launch.pk)
    return found | {
        "changes": [
            f"{one.kind} {one.version} {one.old} {one.new}"
            for one in LaunchChange.objects.filter(launch=launch).order_by("id")
        ],
        "samples": {one.version: asdict(one) for one in samples(launch)},
        "rows": {version: _rows(launch.pk, version, names) for version in versions},
        "signatures": {version: _signatures(launch.pk, version, names) for version in dark},
        "slices": {version: _slices(launch.pk, version) for version in versions},
        "evidence": {
            f"{one.version} {one.version_build} against {one.control_build}, noise of"
            f" {one.baseline_build or 'none'}": _evidence(one, names)
            for one in evidence
        },
        "requirements": asdict(requirements_of(launch.pk)),
        "final": {
            one.version: {
                "word": one.word, "at": one.at, "orders": one.orders,
                "verdict": _brief(told := _told(one.verdict, names)),
                "all of it": _checksum_of(told),
            }
            for one in models.FinalVerdict.objects.filter(launch=launch.pk)
        },
        "not swept": models.ObservedOrder.objects.filter(
            launch=launch.pk, pk__gt=models.ObserverState.objects.get().swept_until
        ).count(),
        "frames": {version: _frame(launch, version, depths, names) for version in candidates},
        "command": {
            version: _command(launch, version, depths, names)
            for version in candidates
        },
        "exports": {version: _exports(launch.pk, version) for version in dark},
        "preview": {version: _preview(launch.pk, version, names) for version in dark},
    }  # fmt: skip


_COUNTERS = (
    "role", "build", "orders", "handled", "failed", "missing", "late", "repeats", "pairs",
    "newest_at", "ended_until", "matrix", "builds",
)  # fmt: skip


def _version(launch: UUID, version: str) -> dict[str, Any]:
    row = models.Participant.objects.filter(launch=launch, version=version).first()
    if row is None:
        return {}
    sketch = LogHistogram.from_json(row.times)
    return {
        **{name: getattr(row, name) for name in _COUNTERS},
        "builds": [[build, _moment(first), _moment(last)] for build, first, last in row.builds],
        "times": [sketch.total, *sketch.quantiles(0.5, 0.95, 0.99)],
        "buckets": _checksum(sorted(sketch.counts.items())),
    }


def _discrepancies(launch: UUID, version: str, *, whole: bool) -> dict[str, Any]:
    rows = models.Discrepancy.objects.filter(launch=launch, version=version)
    return {
        f"{row.kind} {row.path}": _discrepancy(row)
        if whole
        else [row.count, row.ignored, row.state]
        for row in rows
    }


def _discrepancy(row: models.Discrepancy) -> dict[str, Any]:
    return {
        "count": row.count,
        "ignored": row.ignored,
        "state": row.state,
        "revision": row.revision,
        "first": row.first_seen_at,
        "last": row.last_seen_at,
        "build": row.last_build,
        "examples": len(row.examples),
        "reviews": [
            f"{one.decision} by {one.author or 'nobody'}: {one.note}"
            for one in row.reviews.order_by("id")
        ],
    }


def _signatures(launch: UUID, version: str, names: _Names) -> dict[str, int]:
    rows = models.Signature.objects.filter(launch=launch, version=version)
    return {
        f"{names.all_of(row.counted)} | {names.all_of(row.ignored)}"
        if not row.folded
        else "folded": row.pairs
        for row in rows
        if row.pairs
    }


_OBSERVED = (
    "order__order_id", "state", "late", "build", "worker", "delivery", "order__placed_at",
    "received_at", "finished_at", "queue_ms", "handling_ms", "result", "error_type",
    "error_message",
)  # fmt: skip
#: The place of the result among what follows the order.
_RESULT = _OBSERVED.index("result") - 1


def _rows(launch: UUID, version: str, names: _Names) -> dict[str, Any]:
    """Of what is stored for each order: how often each state and outcome, and checksums."""
    observed = models.Observation.objects.filter(
        participant__launch=launch, participant__version=version
    )
    shown = {
        row.pk: Members(frozenset(row.counted), frozenset(row.ignored))
        for row in models.Signature.objects.filter(launch=launch, version=version)
    }
    lines: defaultdict[int, dict[int, list[Any]]] = defaultdict(dict)
    outcomes: Counter[str] = Counter()
    for order, *facts, judged_at, exception, slower, signature, text in observed.values_list(
        *_OBSERVED, "judged_at", "exception", "slower", "signature", "members"
    ):
        number = names.orders[order]
        facts[_RESULT] = bytes(facts[_RESULT]).decode()
        lines[number // _TOGETHER][number] = facts
        if judged_at is None:
            continue
        members = members_in(text) if text else shown.get(signature or 0, Members())
        outcome = exception or Outcome.AGREE.value
        outcomes[outcome] += 1
        facts += [outcome, slower, names.all_of(members.counted), names.all_of(members.ignored)]
    return {
        "states": _counts(observed, "state"),
        "late": observed.filter(late=True).count(),
        "outcomes": dict(outcomes),
        "slower": observed.filter(slower=True).count(),
        "checksums": {
            f"orders from {place * _TOGETHER}": _checksum_of_rows(sorted(some.items()))
            for place, some in lines.items()
        },
    }


def _slices(launch: UUID, version: str) -> list[Any]:
    rows = models.TimeSlice.objects.filter(launch=launch, version=version).order_by("start")
    values = list(rows.values_list("start", "handled", "failed", "p50", "p95", "p99"))
    return [len(values), sum(row[1] for row in values), sum(row[2] for row in values),
            _checksum(values)]  # fmt: skip


def _evidence(row: models.Evidence, names: _Names) -> dict[str, Any]:
    tally = whole_tally(row)
    closed = tally.evidence()
    stored = closed.to_json()
    coverage = coverage_of(row)
    for name in ("segments", "differences"):
        del stored[name]
    stored["warm_up"]["times"] = _checksum(sorted(stored["warm_up"]["times"].items()))
    return {
        **stored,
        "only_shown": names.keys(stored["only_shown"]),
        "only_noise": names.keys(stored["only_noise"]),
        "signatures": names.keys(stored["signatures"]),
        "classes": [
            closed.differences.orders,
            {
                names.in_signature(name): closed.differences.levels[0].y.get(place + 3, 0)
                for place, name in enumerate(closed.differences.names)
            },
        ],
        "blocks": {
            str(number): _block(sums.to_json(), names) for number, sums in tally.blocks.items()
        },
        "until": [tally.closed_until, tally.settled_until],
        "late, lost, bad": [row.late, row.lost, row.bad],
        "timing": row.timing,
        "started, newest": [row.started_at, row.newest_at],
        "segments": {
            one.segment: [one.orders, one.estimate, one.interval.lo, one.interval.hi]
            for one in closed.segments.effects(0.05)
        },
        "shapes": {
            shape: [number, sum(coverage.shown.get(shape, {}).values())]
            for shape, number in coverage.seen.items()
            if not shape.startswith("both:")
        },
        "shapes, all": [
            len(coverage.seen),
            _checksum(
                sorted(
                    (shape, number, sorted(names.keys(coverage.shown.get(shape, {})).items()))
                    for shape, number in coverage.seen.items()
                )
            ),
        ],
        "shapes that agree least": [
            f"{one.shape}: {one.agreed} of {one.seen}, {_plain(one.at_most)}"
            for one in coverage.agreements(most=5)
        ],
        "history": [[_moment(at), *rest] for at, *rest in row.history.get("points", [])[-3:]],
        "history points": [row.history.get("seen"), _checksum(row.history.get("points", []))],
        "decided": {name: {**one, "at": _moment(one["at"])} for name, one in row.decided.items()},
        "passed": {name: [_moment(one["at"]), one["orders"]] for name, one in row.passed.items()},
    }


def _block(sums: dict[str, Any], names: _Names) -> dict[str, Any]:
    for name in ("classes", "signatures", "only_shown", "only_noise"):
        sums[name] = names.keys(sums.get(name, {}))
    for name in ("times", "segment_pairs", "segment_sums"):
        sums[name] = _checksum(sorted(sums.get(name, {}).items()))
    return sums


def _verdict(launch: UUID, version: str, names: _Names) -> Any:
    found = evaluate(launch, version, LaunchHealth(behind_s=0.0))
    return None if found is None else _told(as_json(found), names)


_BRIEF = ("standing", "word", "text", "needs", "estimate", "lo", "hi", "more_orders")


def _brief(verdict: Any) -> Any:
    """The sentence, and how each requirement stands."""
    if verdict is None:
        return None
    return {
        "sentence": verdict["sentence"],
        "orders, pairs, blocks": [verdict[name] for name in ("orders", "pairs", "blocks")],
        **{key: [one[name] for name in _BRIEF] for key, one in verdict["requirements"].items()},
    }


def _told(verdict: dict[str, Any] | None, names: _Names) -> Any:
    """A verdict as frames have it."""
    if verdict is None:
        return None
    return {
        **verdict,
        "since": _moment(verdict["since"]),
        "flagged": sorted(map(names.of, verdict["flagged"])),
        "requirements": {one["key"]: _judged(one) for one in verdict["requirements"]},
    }


def _judged(one: dict[str, Any]) -> dict[str, Any]:
    times = ("passed_at", "since", "was_at")
    return {**one, **{name: _moment(one[name]) for name in times if one[name] is not None}}


_KEPT = (
    "orders", "rate", "matrix", "against", "kinds", "open", "samples", "looked_at",
)  # fmt: skip


#: What of a version is not among its counters.
_SHOWN = ("percent", "waiting", "p50", "p95", "p99")


def _frame(
    launch: Launch, version: str, depths: Mapping[str, int], names: _Names
) -> dict[str, Any]:
    """What the board says, without what only a clock or a row's id decides."""
    whole = find_launch(launch.pk)
    assert whole is not None
    frame = board_state(whole, Filter.ALL, version=version, backlogs=depths)
    series = frame["series"]
    lanes = {by.value: sorted(map(_number, _lane(whole, by, version))) for by in Filter}
    return {
        **{name: frame[name] for name in _KEPT},
        "waiting": read_traffic(whole, depths).waiting,
        "feed": {**frame["feed"], "newest_at": _moment(frame["feed"]["newest_at"]),
                 "dead_reasons": len(frame["feed"]["dead_reasons"])},
        "run": [frame["run"]["state"], _moment(frame["run"]["at"])],
        "versions": {
            one["name"]: [one[name] for name in _SHOWN] for one in frame["versions"]
        },
        "verdict": _told(frame["verdict"], names)["sentence"] if frame["verdict"] else None,
        "discrepancies": {
            f"{one['kind']} {one['path']}": [
                one["count"], one["ignored"], one["rate"], one["noise_rate"], one["state"],
                one["carried"],
            ]
            for one in frame["discrepancies"]
        },
        "lanes": lanes,
        "cells": _checksum(
            sorted((_number(row), row["items"], row["cells"]) for row in frame["rows"])
        ),
        "charts": {
            name: _checksum(sorted(one.items())) for name, one in series["versions"].items()
        },
        "verdict's charts": _checksum(
            [series["verdict"][name] for name in ("ladder", "distribution", "segments")]
        )
        if series["verdict"]
        else None,
    }  # fmt: skip


def _number(row: Mapping[str, Any]) -> int:
    return int(row["name"].removeprefix("#"))


def _lane(launch: Launch, by: Filter, version: str) -> list[Any]:
    frame = board_state(launch, by, version=version, backlogs={})
    rows: list[Any] = frame["rows"]
    return rows


def _command(
    launch: Launch, version: str, depths: Mapping[str, int], names: _Names
) -> dict[str, Any]:
    """What ``manage.py verdict`` says, to programs and to people, and its exit code."""
    known = {kitchen_queue(version): 0, **depths}
    said = {}
    code = 0
    with patch.object(verdict_command, "ask_for_depths", lambda *_: known):
        for json_too in (True, False):
            out = io.StringIO()
            asked = {"launch": str(launch.pk), "version": version, "json": json_too}
            try:
                call_command("verdict", stdout=out, **asked)
            except SystemExit as left:
                code = int(str(left.code))
            said[json_too] = out.getvalue()
    found = json.loads(said[True])
    lines = [line for line in said[False].splitlines() if not line.startswith("asked: ")]
    if found is None:
        return {"exit code": code, "lines": lines}
    about = {name: found.pop(name) for name in ("launch", "at", "asked", "run")}
    told = {**found, "run": about["run"]["state"]}
    return {"exit code": code, "lines": lines, "json": _checksum_of(_told(told, names))}


def _exports(launch: UUID, version: str) -> dict[str, Any]:
    rows = listed(launch, version)
    whole = {form: _file(export(rows, form)) for form in Format}
    lines = [json.loads(line) for line in whole[Format.JSONL].splitlines()]
    own = ("id", "control_value", "version_value", "launch")
    kept = [{name: one[name] for name in one if name not in own} for one in lines]
    return {
        "lines": {str(form): len(text.splitlines()) for form, text in whole.items()},
        "rows": {
            f"{one['kind']} {one['path']}": [
                one[name] for name in ("count", "pairs", "rate", "noise_count", "noise_pairs")
            ]
            for one in kept
        },
        "all columns": _checksum(sorted(kept, key=lambda one: (one["kind"], one["path"]))),
        "table": _checksum(sorted(whole[Format.MARKDOWN].splitlines())),
    }


def _file(response: Any) -> str:
    return str(response.content.decode())


def _preview(launch: UUID, version: str, names: _Names) -> dict[str, Any]:
    draft = ComparisonRule(id=0, path="total_price", treatment=Treatment.IGNORE, version=version)
    found = preview(launch, draft, utc_now())
    return {
        "looked, of, hidden": [found.evaluated, found.of, found.hidden],
        "vanishing": {names.of(row.pk): number for row, number in found.vanishing},
        "shrinking": {names.of(row.pk): number for row, number in found.shrinking},
    }


def _rules() -> dict[str, Any]:
    return {
        f"{row.treatment} {row.path} {row.version}".strip(): [row.created_at, row.ended_at]
        for row in models.Rule.objects.all()
    }


def _judged_again() -> list[Any]:
    rows = models.Rejudging.objects.order_by("id")
    return [[row.judged, row.changed, len(row.rules), row.finished_at] for row in rows]


def _replays(names: _Names) -> dict[str, Any]:
    found = {}
    for row in models.Replay.objects.order_by("id"):
        orders = row.replayed_orders.values_list(
            "order", "state", "outcome", "shows", "handling_ms"
        )
        lines = sorted((names.orders[order], *rest) for order, *rest in orders)
        found[names.of(row.discrepancy_id)] = {
            **asdict(summary(row)),
            "requested, finished": [row.requested_at, row.finished_at],
            "by order": _checksum(lines),
        }
    return found


def _counts(rows: Any, name: str) -> dict[str, int]:
    found = rows.order_by().values_list(name).annotate(count=Count("pk"))
    return dict(found)


def _counts_of(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names))


def _moment(at: float | None) -> float | None:
    """Seconds since the run began."""
    return None if at is None else round(at - START.timestamp(), 6)


def _checksum(values: Any) -> str:
    return _checksum_of([*values])


def _checksum_of(value: Any) -> str:
    return _digest(json.dumps(_plain(value), sort_keys=True))


def _checksum_of_rows(rows: Any) -> str:
    """Of many rows, whose numbers are as they came with the events."""
    return _digest(json.dumps([*rows], sort_keys=True, default=_plain))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    """As JSON has it, sorted: numbers of so many digits, times as seconds since the beginning."""
    if isinstance(value, Mapping):
        named = {str(name): _plain(one) for name, one in value.items()}
        return {name: named[name] for name in sorted(named)}
    if isinstance(value, str):
        return str(value)  # of an enumeration as well
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, datetime):
        return _moment(value.timestamp())
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Sequence | set | frozenset):
        return [_plain(one) for one in value]
    raise TypeError(type(value))

"""The discrepancies of a launch: listed with the baseline's noise, and counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, Subquery
from django.http import HttpResponse

from dashboard.comparison.foreign_text import visible, visible_together
from dashboard.comparison.judgement import Group
from dashboard.comparison.outcome import ACCEPTED, Decision
from dashboard.ingest.stored import members_in
from dashboard.models import Discrepancy, Observation, Participant, Signature
from dashboard.review.foreign_cells import csv_cell, csv_line, markdown, markdown_code
from kitchen_worker.contract.messages import Role
from restaurant.models import DarkVersion, Launch

#: The newest bugs of other launches that are considered.
_MAX_CARRIED = 500
#: Signatures per query for orders; SQLite's limit is 500.
_AT_ONCE = 400
_ORDERS_OF_SIGNATURE = (
    'SELECT * FROM (SELECT "id", "order_id" FROM "dashboard_observation"'
    ' WHERE "signature" >= %s AND "signature" <= %s'
    ' ORDER BY "signature", "order_id" DESC LIMIT %s) AS "one"'
)


@dataclass(frozen=True)
class ListedDiscrepancy:
    """A discrepancy with its counts, and the baseline's counts of the same difference."""

    discrepancy: Discrepancy
    #: Pairs of its version in the launch.
    pairs: int
    #: Pairs of the baselines, and those of them that show it.
    noise_pairs: int
    noise_count: int
    #: A bug of an earlier launch, not seen in this one.
    carried: bool = False
    #: False for the baseline's discrepancies, which are noise.
    of_candidate: bool = True
    #: The index of its version in the launch, after the control's 0.
    place: int | None = None

    @property
    def count(self) -> int:
        """Pairs of the launch that show it and are not ignored."""
        return 0 if self.carried else self.discrepancy.count

    @property
    def rate(self) -> float | None:
        """The share of the version's pairs that show it."""
        return _rate(self.count, self.pairs)

    @property
    def noise_rate(self) -> float | None:
        """The share of the baseline's pairs that show it; None without pairs."""
        return _rate(self.noise_count, self.noise_pairs)

    @property
    def counts_against(self) -> bool:
        """Whether the pairs that show it count against the version."""
        return self.of_candidate and self.count > 0 and self.discrepancy.state not in ACCEPTED

    @property
    def waits(self) -> bool:
        """Whether it is a bug that the launch has not shown."""
        return self.of_candidate and not self.count and self.discrepancy.state == Decision.BUG


def _rate(count: int, pairs: int) -> float | None:
    return count / pairs if pairs else None


def listed(
    launch: UUID,
    version: str = "",
    *,
    states: Collection[Decision] = (),
    kind: str = "",
    text: str = "",
    at_most: int = 200,
) -> list[ListedDiscrepancy]:
    """The discrepancies of one version, or of all candidates.

    First those that count against the version, by number of pairs; then bugs that the launch has
    not shown, including those of earlier launches; last those decided or ignored. Filtered by
    states, kind, and text in the path.
    """
    roles = _roles(launch)
    versions = [version] if version else _of(roles, Role.CANDIDATE)
    baselines = _of(roles, Role.BASELINE)
    shown = list(Discrepancy.objects.filter(launch=launch, version__in={*versions, *baselines}))
    counts = _LaunchCounts.of(launch, roles, [row for row in shown if row.version in baselines])
    rows = [counts.row(row) for row in shown if row.version in versions and _is_shown(row)]
    rows += [counts.row(row, carried=True) for row in _carried(launch, versions)]
    asked = [
        row
        for row in rows
        if (not states or row.discrepancy.state in states)
        and (not kind or row.discrepancy.kind == kind)
        and text.casefold() in row.discrepancy.path.casefold()
    ]
    return sorted(asked, key=_sort_key)[:at_most]


def row_of(discrepancy: Discrepancy) -> ListedDiscrepancy:
    """One discrepancy with the counts of its launch."""
    return next(rows_of([discrepancy]))


def rows_of(discrepancies: Iterable[Discrepancy]) -> Iterator[ListedDiscrepancy]:
    """Discrepancies with the counts of their launches; each launch is read once."""
    counts: dict[UUID, _LaunchCounts] = {}
    for row in discrepancies:
        if row.launch not in counts:
            roles = _roles(row.launch)
            baselines = _of(roles, Role.BASELINE)
            noise = Discrepancy.objects.filter(launch=row.launch, version__in=baselines)
            counts[row.launch] = _LaunchCounts.of(row.launch, roles, noise)
        yield counts[row.launch].row(row)


def is_carried(launch: UUID, row: Discrepancy) -> bool:
    """Whether it is a bug of an earlier launch that this one has not shown."""
    if row.state != Decision.BUG or row.launch == launch:
        return False
    candidates = _of(_roles(launch), Role.CANDIDATE)
    return row.version in candidates and row in _carried(launch, [row.version])


def open_count(launch: UUID, candidates: Collection[str] | None = None) -> int:
    """How many discrepancies of the candidates are undecided or bugs.

    ``candidates``: who they are, for a caller that has read it already.
    """
    versions = _of(_roles(launch), Role.CANDIDATE) if candidates is None else candidates
    waiting = Q(state=Decision.BUG) | Q(state=Decision.OPEN, count__gt=0)
    own = Discrepancy.objects.filter(waiting, launch=launch, version__in=versions)
    return own.count() + len(_carried(launch, versions))


def pairs_against(launch: UUID, version: str) -> int:
    """How many pairs count against a version, because they show a discrepancy that is not accepted.

    A folded signature does not tell what its pairs show: they all count while anything counts.
    """
    rows = Discrepancy.objects.filter(launch=launch, version=version, count__gt=0)
    counting = set(rows.exclude(state__in=ACCEPTED).values_list("pk", flat=True))
    if not counting:
        return 0
    signatures = Signature.objects.filter(launch=launch, version=version, pairs__gt=0)
    return sum(
        pairs
        for counted, folded, pairs in signatures.values_list("counted", "folded", "pairs")
        if folded or not counting.isdisjoint(counted)
    )


def orders_of(discrepancy: Discrepancy, at_most: int) -> list[int]:
    """Row ids of the newest orders whose pair shows it; if none counts, of those where a rule
    ignores it."""
    column = "counted" if discrepancy.count else "ignored"
    rows = Signature.objects.filter(launch=discrepancy.launch, version=discrepancy.version)
    members = rows.filter(pairs__gt=0, folded=False).values_list("pk", column)
    signatures = [pk for pk, shown in members if discrepancy.pk in shown]
    found = _orders_of_signatures(signatures, at_most)
    if len(found) < at_most:
        found += _folded_orders(discrepancy, column)
    return sorted(found, reverse=True)[:at_most]


@dataclass(frozen=True)
class _LaunchCounts:
    """The counts of a launch's versions and of its noise."""

    roles: Mapping[str, Role]
    pairs: Mapping[str, int]
    #: Pairs of the baselines that show a group.
    noise: Mapping[Group, int]

    @classmethod
    def of(
        cls, launch: UUID, roles: Mapping[str, Role], noise: Iterable[Discrepancy]
    ) -> _LaunchCounts:
        pairs = Participant.objects.filter(launch=launch).values_list("version", "pairs")
        counts: Counter[Group] = Counter()
        for row in noise:
            counts[row.group] += row.count
        return cls(roles, dict(pairs), counts)

    def row(self, row: Discrepancy, *, carried: bool = False) -> ListedDiscrepancy:
        baselines = _of(self.roles, Role.BASELINE)
        return ListedDiscrepancy(
            discrepancy=row,
            pairs=self.pairs.get(row.version, 0),
            noise_count=self.noise.get(row.group, 0),
            noise_pairs=sum(self.pairs.get(version, 0) for version in baselines),
            carried=carried,
            of_candidate=self.roles.get(row.version) is not Role.BASELINE,
            place=next((at for at, of in enumerate(self.roles, 1) if of == row.version), None),
        )


def _is_shown(row: Discrepancy) -> bool:
    """False for an undecided discrepancy that rejudging has emptied."""
    return bool(row.count or row.ignored or row.state != Decision.OPEN)


def _sort_key(row: ListedDiscrepancy) -> tuple[bool, bool, int, int, int]:
    one = row.discrepancy
    return not row.counts_against, not row.waits, -row.count, -one.ignored, one.pk


def _roles(launch: UUID) -> dict[str, Role]:
    """The dark versions of a launch, in display order."""
    rows = DarkVersion.objects.filter(launch=launch).values_list("version", "role")
    return {version: Role(role) for version, role in rows}


def _of(roles: Mapping[str, Role], role: Role) -> list[str]:
    return [version for version, of in roles.items() if of is role]


def _carried(launch: UUID, versions: Iterable[str]) -> list[Discrepancy]:
    """Bugs of these versions from earlier launches that this one has not shown, unless a later
    launch decided otherwise; the newest of each group."""
    same = Discrepancy.objects.filter(
        version=OuterRef("version"), kind=OuterRef("kind"), path=OuterRef("path")
    )
    bugs = Discrepancy.objects.filter(
        ~Exists(same.filter(launch=launch)),
        ~Exists(same.filter(pk__gt=OuterRef("pk")).exclude(state=Decision.BUG)),
        state=Decision.BUG,
        version__in=versions,
    )
    found = list(bugs.order_by("-pk")[:_MAX_CARRIED])
    later = _later(launch, {row.launch for row in found}) if found else set()
    newest: dict[tuple[str, Group], Discrepancy] = {}
    for row in found:
        if row.launch not in later:
            newest.setdefault((row.version, row.group), row)
    return list(newest.values())


def _later(launch: UUID, launches: Collection[UUID]) -> set[UUID]:
    """Those of the launches that did not start before this one."""
    started_at = Launch.objects.filter(pk=launch).values("started_at")
    later = Launch.objects.filter(pk__in=launches, started_at__gte=Subquery(started_at))
    return set(later.values_list("pk", flat=True))


def _orders_of_signatures(signatures: Sequence[int], at_most: int) -> list[int]:
    """The newest orders of some signatures, by one index scan per signature.

    Each is ordered like the index; otherwise PostgreSQL may scan by id.
    """
    found: list[int] = []
    for start in range(0, len(signatures), _AT_ONCE):
        some = signatures[start : start + _AT_ONCE]
        union = " UNION ALL ".join([_ORDERS_OF_SIGNATURE] * len(some))
        params = [value for pk in some for value in (pk, pk, at_most)]
        found += [row.order_id for row in Observation.objects.raw(union, params)]
    return sorted(found, reverse=True)[:at_most]


def _folded_orders(discrepancy: Discrepancy, column: str) -> list[int]:
    """The examples with a folded signature that still show it."""
    rows = Observation.objects.filter(
        participant__launch=discrepancy.launch,
        participant__version=discrepancy.version,
        order__order_id__in=[order_id for _, order_id in discrepancy.examples],
    )
    return [
        order
        for order, members in rows.exclude(members="").values_list("order__pk", "members")
        if discrepancy.pk in getattr(members_in(members), column)
    ]


MAX_ROWS = 5_000


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    MARKDOWN = "md"


_TYPES = {
    Format.CSV: "text/csv",
    Format.JSONL: "application/jsonl",
    Format.MARKDOWN: "text/markdown",
}
_COLUMNS = (
    "id", "launch", "version", "kind", "path", "state", "count", "ignored", "pairs", "rate",
    "noise_count", "noise_pairs", "noise_rate", "first_seen_at", "last_seen_at", "last_build",
    "control_value", "version_value", "carried",
)  # fmt: skip
#: The columns of the Markdown table.
_SHOWN = ("version", "kind", "path", "state", "count", "rate", "noise_rate", "last_seen_at")


def export(
    rows: Iterable[ListedDiscrepancy], form: Format, *, name: str = "discrepancies"
) -> HttpResponse:
    """A download with the rows."""
    values = (_values(row) for row in islice(rows, MAX_ROWS))
    lines = {Format.CSV: _csv, Format.JSONL: _jsonl, Format.MARKDOWN: _markdown}[form](values)
    return HttpResponse(
        "".join(lines).encode("utf-8", "replace"),
        headers={
            "Content-Type": f"{_TYPES[form]}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}.{form}"',
            "Cache-Control": "no-store",
        },
    )


def _values(row: ListedDiscrepancy) -> dict[str, Any]:
    one = row.discrepancy
    computed = {"count": row.count, "pairs": row.pairs, "rate": row.rate}
    noise = {name: getattr(row, name) for name in ("noise_count", "noise_pairs", "noise_rate")}
    known = {**computed, **noise, "carried": row.carried, "launch": str(one.launch)}
    return {name: known[name] if name in known else _plain(getattr(one, name)) for name in _COLUMNS}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _csv(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield csv_line(_COLUMNS)
    for row in rows:
        beside = visible_together([row["control_value"], row["version_value"]])
        shown = dict(zip(("control_value", "version_value"), beside, strict=True))
        yield csv_line([csv_cell(value, shown.get(name)) for name, value in row.items()])


def _jsonl(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        # These are JSON escapes, so programs read the original text.
        yield f"{visible(json.dumps(row, ensure_ascii=False))}\n"


def _markdown(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield f"| {' | '.join(name.replace('_', ' ') for name in _SHOWN)} |\n"
    yield f"|{'|'.join(' --- ' for _ in _SHOWN)}|\n"
    for row in rows:
        yield f"| {' | '.join(_escaped(name, row[name]) for name in _SHOWN)} |\n"


def _escaped(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name.endswith("rate"):
        return f"{100 * value:.2f} %"
    return markdown_code(str(value)) if name == "path" else markdown(str(value))

"""Two launches side by side: versions, thresholds and discrepancies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dashboard.board import wording
from dashboard.comparison.foreign_text import visible
from dashboard.launches.listing import ListedLaunch
from dashboard.launches.sheet import Counted, versions_of
from dashboard.launches.words import candidates_of
from dashboard.models import Discrepancy
from dashboard.verdict.evaluation import requirements_of
from dashboard.verdict.thresholds import THRESHOLDS

#: Discrepancies of each launch that are compared, the most frequent.
MOST = 500


class Fact(NamedTuple):
    """A number or a word of each launch, as text."""

    name: str
    a: str
    b: str

    @property
    def differs(self) -> bool:
        return self.a != self.b


class VersionFacts(NamedTuple):
    """A version that is in one of the launches or in both."""

    name: str
    role: str
    facts: Sequence[Fact]


class Shared(NamedTuple):
    """A discrepancy with its rows in the launches that show it."""

    kind: str
    path: str
    a: Discrepancy | None
    b: Discrepancy | None


@dataclass(frozen=True, kw_only=True)
class Discrepancies:
    """The candidates' discrepancies, the most frequent first."""

    only_a: Sequence[Shared]
    only_b: Sequence[Shared]
    both: Sequence[Shared]
    #: Whether a launch has more of them than are compared.
    is_cut: bool


def version_facts(a: ListedLaunch, b: ListedLaunch) -> list[VersionFacts]:
    """The versions of both launches, controls first."""
    left = {one.name: one for one in versions_of(a)}
    right = {one.name: one for one in versions_of(b)}
    names = sorted({**left, **right}, key=lambda name: _rank(left.get(name) or right[name]))
    return [
        VersionFacts(
            name,
            (left.get(name) or right[name]).role,
            [
                Fact(label, in_a, in_b)
                for (label, in_a), (_, in_b) in zip(
                    _facts(left.get(name)), _facts(right.get(name)), strict=True
                )
                if {in_a, in_b} != {wording.NONE}
            ],
        )
        for name in names
    ]


def _rank(one: Counted) -> tuple[int, int]:
    return (["control", "candidate", "baseline"].index(one.role), one.place)


def _facts(one: Counted | None) -> Iterator[tuple[str, str]]:
    """What is compared of a version; without values if the launch doesn't have it."""
    if one is None:
        yield from ((name, wording.NONE) for name in _FACTS)
        return
    counts, median, p95 = one.participant, *one.times
    listed = one.listed
    ended = counts.handled + counts.failed
    values = (
        wording.share(float(listed.dark.percent)) if listed else "live",
        visible(counts.build) or wording.NONE,
        wording.count(counts.orders),
        f"{counts.failed:,}, {wording.part(counts.failed / ended if ended else None)}",
        wording.count(counts.missing),
        wording.duration(median),
        wording.duration(p95),
        (listed.spoken.word.upper() if listed else "") or wording.NONE,
        listed.decision.choice if listed and listed.decision else wording.NONE,
    )
    yield from zip(_FACTS, values, strict=True)


_FACTS = (
    "share at the end", "build", "orders", "failed", "missing", "median", "p95", "verdict",
    "decision",
)  # fmt: skip


def threshold_values(a: ListedLaunch, b: ListedLaunch) -> list[tuple[str, float, float]]:
    """The thresholds in force, or at the end: name, and the value of each launch."""
    left, right = requirements_of(a.launch.pk), requirements_of(b.launch.pk)
    return [(name, getattr(left, name), getattr(right, name)) for name in THRESHOLDS]


def discrepancies(a: ListedLaunch, b: ListedLaunch) -> Discrepancies:
    """The discrepancies of the candidates by kind and path, whatever the versions' names."""
    left, right = _discrepancies(a), _discrepancies(b)
    found = [Shared(*key, left.get(key), right.get(key)) for key in sorted({**left, **right})]
    found.sort(key=lambda one: -max(row.count for row in (one.a, one.b) if row is not None))
    return Discrepancies(
        only_a=[one for one in found if one.b is None],
        only_b=[one for one in found if one.a is None],
        both=[one for one in found if one.a is not None and one.b is not None],
        is_cut=MOST in (len(left), len(right)),
    )


def _discrepancies(one: ListedLaunch) -> dict[tuple[str, str], Discrepancy]:
    """The most frequent; of several candidates that of the one that shows it most often."""
    rows = Discrepancy.objects.filter(
        launch=one.launch.pk, version__in=candidates_of(one.launch), count__gt=0
    )
    frequent = list(rows.order_by("-count", "pk")[:MOST])
    return {(row.kind, row.path): row for row in reversed(frequent)}

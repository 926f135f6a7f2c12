"""Examples of a discrepancy, value beside value, and the orders that show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from dashboard.domain.comparing.judgement import Group, GroupKind, values_at
from dashboard.domain.outcome import State
from dashboard.models import Discrepancy, Example, Observation
from dashboard.pages.order_pairs import Groups, Rulebook, ending, marks_of
from dashboard.pages.side_by_side import Mark
from restaurant.models import OrderLine

#: Examples that a page shows.
EXAMPLES = 12
_FAILURES = (GroupKind.FAILED, GroupKind.CONTROL_FAILED)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An order that shows a discrepancy: what the control and the version made of it."""

    order: UUID
    #: None when the restaurant no longer has the order.
    number: int | None
    items: str
    build: str = ""
    #: Of a failure: what each said; empty for the one that did not fail.
    control_error: str = ""
    version_error: str = ""
    #: The differences that the discrepancy is about, and the order's others.
    marks: tuple[Mark, ...] = ()
    others: tuple[Mark, ...] = ()


def examples(discrepancy: Discrepancy, control: str, now: datetime) -> list[Shown]:
    """Well-spread examples of a discrepancy: those of its reservoir."""
    drawn = Example.objects.filter(discrepancy=discrepancy).order_by("slot")
    orders = list(drawn.values_list("order", flat=True)[:EXAMPLES])
    named = described(orders)
    seen = _observed(orders, (control, discrepancy.version))
    version = discrepancy.version
    sight = _Sight(discrepancy, Rulebook.of(now))
    return [
        sight.fill(
            Shown(order=order, number=number, items=items),
            seen[order].get(control),
            seen[order].get(version),
        )
        for order in orders
        for number, items in [named.get(order, (None, ""))]
    ]


def described(orders: Iterable[UUID]) -> Mapping[UUID, tuple[int, str]]:
    """Number and items of each of these orders, as far as the restaurant knows them."""
    items: defaultdict[tuple[UUID, int], list[str]] = defaultdict(list)
    lines = OrderLine.objects.filter(order__uuid__in=list(orders)).order_by("order", "position")
    for uuid, number, quantity, title in lines.values_list(
        "order__uuid", "order_id", "quantity", "title"
    ):
        name = title.lower()
        items[uuid, number].append(name if quantity == 1 else f"{quantity} {name}")
    return {uuid: (number, ", ".join(what)) for (uuid, number), what in items.items()}


def _observed(
    orders: Iterable[UUID], versions: Iterable[str]
) -> Mapping[UUID, dict[str, Observation]]:
    seen: defaultdict[UUID, dict[str, Observation]] = defaultdict(dict)
    for one in Observation.objects.filter(order__in=list(orders), version__in=list(versions)):
        seen[one.order][one.version] = one
    return seen


@dataclass(frozen=True)
class _Sight:
    """A discrepancy, and by what its orders are looked at."""

    discrepancy: Discrepancy
    rulebook: Rulebook

    def fill(self, bare: Shown, ours: Observation | None, theirs: Observation | None) -> Shown:
        """Say what both made of the order."""
        if ours is None or theirs is None or State.RECEIVED in (ours.state, theirs.state):
            return bare
        version = self.discrepancy.version
        ends = ending(ours), ending(theirs)
        wanted = Group(GroupKind(self.discrepancy.kind), self.discrepancy.path)
        if wanted.kind in _FAILURES:
            control_error, version_error = values_at(*ends, wanted, self.rulebook.rules(version))
            return replace(
                bare, build=theirs.build, control_error=control_error, version_error=version_error
            )
        marks = marks_of(*ends, self.rulebook, version, Groups({wanted: self.discrepancy}))
        if wanted.kind in (GroupKind.MANY, GroupKind.OTHER):
            return replace(bare, build=theirs.build, others=tuple(marks))
        # Also those that count in it because it stands for many alike.
        of_it = [mark.discrepancy == self.discrepancy.pk for mark in marks]
        return replace(
            bare,
            build=theirs.build,
            marks=tuple(mark for mark, wanted in zip(marks, of_it, strict=True) if wanted),
            others=tuple(mark for mark, wanted in zip(marks, of_it, strict=True) if not wanted),
        )

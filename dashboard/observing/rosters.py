"""Who takes part in a launch, and whose events count: as the restaurant has placed the orders."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from dashboard.models import ReplayedOrder
from kitchen_worker.contract.messages import Event, Role, as_uuid
from restaurant.models import Launch


@dataclass(frozen=True)
class Roster:
    """The versions of one launch by name, the control's name among them."""

    launch: UUID
    control: str
    roles: Mapping[str, Role]


def read_roster(launch: Launch) -> Roster:
    """The roster of a launch, from its (prefetched) dark versions."""
    roles = {launch.control: Role.CONTROL}
    roles |= {dark.version: Role(dark.role) for dark in launch.dark_versions.all()}
    return Roster(launch.id, launch.control, roles)


class Admission(msgspec.Struct, frozen=True):
    """Whether an event is taken: the launch that it counts in, or the reason why it is refused.

    Neither for an order that was placed outside any launch: such an event is let pass.
    """

    launch: UUID | None = None
    reason: str = ""
    #: Of an order that was sent again: apart from the live ones.
    replayed: bool = False


@lru_cache(maxsize=64)
def _admitted(launch: UUID, *, replayed: bool) -> Admission:
    return Admission(launch, replayed=replayed)


class Placed(NamedTuple):
    """The launch in which an order was placed or sent again, and to which dark versions."""

    launch: UUID | None
    sample: Container[str]
    replayed: bool = False


@dataclass
class Rosters:
    """The rosters of all launches, read when one is first needed and when one seems out of date."""

    known: dict[UUID, Roster] = field(default_factory=dict)

    def admit(self, events: Sequence[Event]) -> list[Admission]:
        """What to make of each event.

        Its order must have been placed, or sent again, in the launch that it names if it names one,
        and its version must have been sent the order in the role in which it speaks. Before an
        event is refused its launch is read anew: the version may have joined since.
        """
        placed = _placed({event.order for event in events})
        admissions = [self._admit(event, placed) for event in events]
        doubted = {
            placed[order].launch
            for event, admission in zip(events, admissions, strict=True)
            if admission.reason and (order := event.order) in placed
        }
        if not doubted - {None}:
            return admissions
        self._read({launch for launch in doubted if launch is not None})
        return [self._admit(event, placed) for event in events]

    def of(self, launch: UUID) -> Roster:
        """The roster of a launch that ``admit`` has seen; raises KeyError for another."""
        return self.known[launch]

    def _admit(self, event: Event, placed: Mapping[UUID, Placed]) -> Admission:
        if (order := event.order) not in placed:
            return Admission(reason=f"nobody placed an order {order}")
        launch, sample, replayed = placed[order]
        if event.launch is not None and as_uuid(event.launch) != launch:
            return Admission(reason=f"order {order} was not placed in launch {event.launch}")
        if launch is None:
            return Admission()
        roster = self.known.get(launch)
        role = roster.roles.get(event.version) if roster else None
        if role is None:
            return Admission(reason=f"version {event.version} has no part in launch {launch}")
        if role is not event.role:
            return Admission(
                reason=f"version {event.version} is the {role}, and speaks as {event.role}"
            )
        # Every order is sent to the control, but for those that are sent again.
        if event.version not in sample and (role is not Role.CONTROL or replayed):
            return Admission(reason=f"order {order} was not sent to version {event.version}")
        return _admitted(launch, replayed=replayed)

    def _read(self, launches: set[UUID]) -> None:
        found = Launch.objects.filter(id__in=launches).prefetch_related("dark_versions")
        # A new dict: the loop reads this one while a thread of the database is here.
        self.known = self.known | {launch.id: read_roster(launch) for launch in found}


#: By hand: Django would look at each id by itself.
_LETTERS = """
SELECT CAST(restaurant_order.uuid AS text), CAST(restaurant_letter.launch_id AS text),
restaurant_letter.sample FROM restaurant_letter
JOIN restaurant_order ON restaurant_order.id = restaurant_letter.order_id
WHERE restaurant_order.uuid IN ({})
"""


def _letters(orders: Sequence[str]) -> Iterator[tuple[UUID, Placed]]:
    if not orders:
        return
    marks = ", ".join(["%s"] * len(orders))
    with connection.cursor() as cursor:
        cursor.execute(_LETTERS.format(marks), orders)
        for order, launch, sample in cursor.fetchall():
            yield as_uuid(order), Placed(launch and as_uuid(launch), _sample(sample))


@lru_cache(maxsize=1024)
def _sample(written: str) -> frozenset[str]:
    return frozenset(json.loads(written))


def _placed(orders: set[UUID]) -> dict[UUID, Placed]:
    placed = dict(_letters([order.hex for order in orders]))
    if unknown := orders - placed.keys():
        again = ReplayedOrder.objects.filter(uuid__in=unknown)
        for order, launch, version in again.values_list(
            "uuid", "replay__launch", "replay__version"
        ):
            placed[order] = Placed(launch, (version,), replayed=True)
    return placed

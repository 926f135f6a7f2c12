"""Who takes part in a launch: its versions and their roles, as the restaurant has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from kitchen_worker.contract.messages import Event, Role
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


@dataclass
class Rosters:
    """The rosters of all launches, read when one is first needed and when one seems out of date."""

    known: dict[UUID, Roster] = field(default_factory=dict)

    def check(self, events: Sequence[Event]) -> list[str]:
        """Why each event cannot be taken; an empty reason for one that can.

        An event must name a known launch and, with its right role, a version of it. Before an
        event is refused the launch is read anew: the version may have joined since.
        """
        reasons = [self._wrong(event) for event in events]
        doubted = {
            UUID(e.launch) for e, why in zip(events, reasons, strict=True) if why and e.launch
        }
        if not doubted:
            return reasons
        self._read(doubted)
        return [self._wrong(event) for event in events]

    def of(self, launch: UUID) -> Roster:
        """The roster of a launch that ``check`` has seen; raises KeyError for another."""
        return self.known[launch]

    def _wrong(self, event: Event) -> str:
        if event.launch is None:
            return ""
        roster = self.known.get(UUID(event.launch))
        if roster is None:
            return f"unknown launch {event.launch}"
        role = roster.roles.get(event.version)
        if role is None:
            return f"version {event.version} has no part in launch {event.launch}"
        if role is not event.role:
            return f"version {event.version} is the {role}, and speaks as {event.role}"
        return ""

    def _read(self, launches: set[UUID]) -> None:
        found = Launch.objects.filter(id__in=launches).prefetch_related("dark_versions")
        self.known |= {launch.id: read_roster(launch) for launch in found}

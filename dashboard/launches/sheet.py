"""The versions of one launch with their counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from dashboard.launches.listing import ListedLaunch, ListedVersion
from dashboard.launches.stopping import StopEffect, stop_effects
from dashboard.models import Participant
from dashboard.verdict.quantiles import LogHistogram
from kitchen_worker.contract.messages import Role


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A version's counters in a launch, all zero before its first report."""

    name: str
    role: str
    participant: Participant
    #: None for the control.
    listed: ListedVersion | None = None
    stopped: StopEffect | None = None

    @property
    def place(self) -> int:
        return self.listed.place if self.listed is not None else 0

    @property
    def times(self) -> Sequence[float | None]:
        """The median and the 95th percentile of its handling times, in milliseconds."""
        return LogHistogram.from_json(self.participant.times).quantiles(0.5, 0.95)


def versions_of(row: ListedLaunch) -> list[Counted]:
    """The control of a launch, then its dark versions."""
    launch = row.launch
    stored = _participants(launch.pk)
    stopped = stop_effects(launch)
    control = Counted(
        name=launch.control,
        role=Role.CONTROL,
        participant=stored.get(launch.control, Participant()),
    )
    return [
        control,
        *(
            Counted(
                name=one.dark.version,
                role=one.dark.role,
                participant=stored.get(one.dark.version, Participant()),
                listed=one,
                stopped=stopped.get(one.dark.version),
            )
            for one in row.versions
        ),
    ]


def _participants(launch: UUID) -> dict[str, Participant]:
    return {one.version: one for one in Participant.objects.filter(launch=launch)}

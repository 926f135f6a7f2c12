"""What happens in the recorded run, step by step, as data: it knows neither tables nor processes.

Each step has the time at which it happens. When the product stores things in another way, what
applies the steps (``driver.py``) and what reads the numbers (``numbers.py``) is written again; the
steps stay, and so do the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedOrder:
    """What a customer ordered, and when. ``number`` is its place among all orders, from 1."""

    number: int
    id: UUID
    placed_at: datetime
    #: How many of what, by the menu's names.
    items: Mapping[str, int]
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What somebody publishes to the broker."""

    exchange: str
    routing_key: str
    body: bytes
    headers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Something that happens at a time."""

    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchStarts(Step):
    """A launch begins: its dark versions each with role and percent."""

    name: str
    id: UUID
    control: str
    dark: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionJoins(Step):
    """The open launch gets one more dark version."""

    version: str
    role: str
    percent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PercentChanges(Step):
    """A dark version gets another share of the orders."""

    version: str
    percent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchEnds(Step):
    """The open launch ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrdersPlaced(Step):
    """The site takes orders."""

    orders: tuple[PlacedOrder, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RelayWorks(Step):
    """The relay sends all orders that wait, and takes the control's answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RelayChecks(Step):
    """The relay looks for orders that stay unanswered, and sends them to the control again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published(Step):
    """Messages arrive at the broker, in this order."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerGoes(Step):
    """The broker is away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerReturns(Step):
    """The broker is back, with all that waited in its queues."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObserverWorks(Step):
    """The observer takes all that waits for it, dead letters as well.

    ``loses_ack``: it ends after its commit and before its acknowledgement, and starts again, so
    that the first batch is delivered twice.
    """

    loses_ack: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ObserverSweeps(Step):
    """The observer looks for answers that are overdue, and closes the blocks that are over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackgroundWorks(Step):
    """The observer sends orders again and judges the past, until nothing is left to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewMade(Step):
    """A person decides on a discrepancy of the open launch."""

    version: str
    kind: str
    path: str
    decision: str
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleMade(Step):
    """A person adds a rule."""

    path: str
    treatment: str
    version: str = ""
    absolute: float | None = None
    key: str = ""
    pattern: str = ""
    replacement: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleEnds(Step):
    """A person ends the rule of this path and treatment."""

    path: str
    treatment: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PastJudged(Step):
    """A person has the open launch's pairs judged by the rules that are now in force."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdsSet(Step):
    """A person sets thresholds of the open launch; the others stay as they are."""

    thresholds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayAsked(Step):
    """A person has the orders that show a discrepancy sent to its version again."""

    version: str
    kind: str
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayAnswered(Step):
    """The version's kitchens answer what they were sent again, but for the last few of it."""

    version: str
    build: str
    silent_on: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked(Step):
    """Somebody looks: the numbers of this moment are recorded under a name."""

    name: str

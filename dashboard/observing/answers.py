"""What versions answered to some orders: as they were stored, and as they were just heard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from dashboard.domain.comparing.judgement import Ending
from dashboard.domain.ledger import Key, Standing
from dashboard.domain.outcome import State
from dashboard.models import Observation
from dashboard.models.reading import among, read
from kitchen_worker.contract.messages import Event

_READ = (
    "order", "version", "received_at", "state", "handling_ms",
    "event_ids", "build", "placed_at", "result", "error_type", "error_message",
)  # fmt: skip
_read_event_ids = msgspec.json.Decoder(tuple[str, ...]).decode


class Answer(msgspec.Struct, frozen=True):
    """One version's answer, or its silence. ``result`` is JSON text until somebody asks for it."""

    standing: Standing
    build: str = ""
    placed_at: datetime | None = None
    text: str = ""
    error_type: str = ""
    error_message: str = ""
    heard: Any = None

    def ended(self, state: State) -> Ending:
        """The answer as it is judged, in the state in which the pair ends."""
        result = self.heard
        if result is None and self.text:
            result = msgspec.json.decode(self.text)
        return Ending(
            state=state,
            result=result,
            error_type=self.error_type,
            error_message=self.error_message,
        )


@dataclass
class Answers:
    """The answers to some orders, by order and version."""

    _stored: Mapping[Key, Answer] = field(default_factory=dict)
    #: The ids of the events that ended an order, by order and version.
    event_ids: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    #: Which versions had said, before what is heard now, that they took which order.
    taken: frozenset[Key] = frozenset()
    _heard: dict[Key, Answer] = field(default_factory=dict)

    @classmethod
    def stored(cls, orders: Iterable[UUID]) -> Answers:
        """What is stored of these orders, in one query."""
        ids = [order.hex for order in orders]
        rows = read(Observation, _READ, among("order", ids), ids) if ids else []
        return cls(
            {
                (order, version): _answer(state, handling_ms, *rest)
                for order, version, _, state, handling_ms, _, *rest in rows
            },
            {(row[0], row[1]): _read_event_ids(row[5]) for row in rows if row[5]},
            frozenset((order, version) for order, version, taken_at, *_ in rows if taken_at),
        )

    @property
    def standings(self) -> dict[Key, Standing]:
        """How each version stood with each order."""
        return {key: answer.standing for key, answer in self._stored.items()}

    def hear(self, event: Event, standing: Standing) -> None:
        """Take in what a version says now, and how it stands with the order by that."""
        error = event.error
        self._heard[event.order, event.version] = Answer(
            standing,
            build=event.build,
            placed_at=event.placed_at,
            error_type=error.type if error else "",
            error_message=error.message if error else "",
            heard=event.result,
        )

    def size(self, order: UUID, version: str) -> int:
        """How many characters of a version's answer to an order are stored."""
        answer = self._stored.get((order, version))
        return 0 if answer is None else len(answer.text) + len(answer.error_message)

    def of(self, order: UUID, version: str) -> Answer:
        """A version's answer to an order; an empty one while none is known."""
        key = (order, version)
        return self._heard.get(key) or self._stored.get(key) or Answer(Standing(State.MISSING))


def _answer(state: str, handling_ms: float | None, *rest: Any) -> Answer:
    return Answer(Standing(State(state), handling_ms), *rest)

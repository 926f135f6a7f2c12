"""A customer's ticket: how far an order is, and the live kitchen's answer in whatever shape."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from restaurant.bill import BillLine, bill
from restaurant.models import Order, OrderState

#: From then on the page says that it takes long.
LATE_AFTER = timedelta(seconds=15)

#: How long the page waits before it asks again, by the order's age.
_PATIENCE: tuple[tuple[timedelta, int], ...] = (
    (timedelta(seconds=10), 400),
    (timedelta(minutes=1), 1_000),
    (timedelta(minutes=10), 5_000),
)
_LONGEST_MS = 30_000

#: Longest texts that are shown, in characters: most of them, and a note or a reason.
_MAX_TEXT = 200
_MAX_NOTE = 2000
_MAX_LINES = 200
_LINE_FIELDS = ("name", "quantity", "station", "minutes")


class Progress(StrEnum):
    """Where a step stands."""

    DONE = "done"
    NOW = "now"
    AHEAD = "ahead"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a ticket; ``after_s`` is seconds from placing to reaching it, if known."""

    title: str
    progress: Progress
    at: datetime | None = None
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class MadeLine:
    """What the kitchen says that it made of a line; what it left out is empty."""

    name: str
    quantity: str
    station: str
    minutes: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a ticket shows of a kitchen's answer: the fields that it knows, in words."""

    lines: tuple[MadeLine, ...] = ()
    cook: str = ""
    actual_minutes: str = ""
    estimated_minutes: str = ""
    total_price: str = ""
    note: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether a customer can read nothing of it."""
        return self == Answer()


@dataclass(frozen=True)
class Ticket:
    """An order as its customer sees it at one moment."""

    order: Order
    now: datetime

    @property
    def is_open(self) -> bool:
        """Whether the kitchen still owes an answer."""
        return self.order.state in (OrderState.PLACED, OrderState.IN_KITCHEN)

    @property
    def is_late(self) -> bool:
        """Whether the customer has waited longer than usual."""
        return self.is_open and self.now - self.order.placed_at >= LATE_AFTER

    @property
    def phase(self) -> str:
        """What the page shows, in one word: a page that has it need not be painted again."""
        return f"{self.order.state}-late" if self.is_late else str(self.order.state)

    @property
    def poll_ms(self) -> int:
        """How long the page waits before it asks again: longer the longer it has waited."""
        age = self.now - self.order.placed_at
        return next((wait for until, wait in _PATIENCE if age < until), _LONGEST_MS)

    @property
    def retry_s(self) -> int:
        """When the page asks again although it got no answer to its last question."""
        return max(10, 2 * self.poll_ms // 1000)

    @property
    def refresh_s(self) -> int:
        """When a page without JavaScript loads itself again."""
        return max(2, self.poll_ms // 1000)

    @property
    def steps(self) -> tuple[Step, Step, Step]:
        """Placed, in the kitchen, and how it ended."""
        order, state = self.order, self.order.state
        in_kitchen = Progress.DONE
        if self.is_open:
            in_kitchen = Progress.NOW if state == OrderState.IN_KITCHEN else Progress.AHEAD
        end = {OrderState.READY.value: Progress.DONE, OrderState.FAILED.value: Progress.FAILED}
        return (
            Step(
                "Placed",
                Progress.NOW if state == OrderState.PLACED else Progress.DONE,
                at=order.placed_at,
            ),
            Step("In the kitchen", in_kitchen),
            Step(
                "Not made" if state == OrderState.FAILED else "Ready",
                end.get(state, Progress.AHEAD),
                after_s=self._answered_after_s(),
            ),
        )

    @property
    def bill(self) -> list[BillLine]:
        """What was ordered, each line with its price."""
        return bill(self.order.lines.all())

    @cached_property
    def answer(self) -> Answer:
        """The live kitchen's answer."""
        titles = {line.name: line.title for line in self.order.lines.all()}
        return read_answer(self.order.answer, titles)

    @property
    def reason(self) -> str:
        """Why the kitchen failed, in its own words."""
        return _reason(self.order.answer)

    def _answered_after_s(self) -> float | None:
        if self.is_open or self.order.answered_at is None:
            return None
        return max(0.0, (self.order.answered_at - self.order.placed_at).total_seconds())


def read_answer(answer: Any, titles: Mapping[str, str] | None = None) -> Answer:
    """Read what a kitchen answered. Any JSON will do: what a customer cannot read is left out.

    ``titles`` says what the menu calls the kitchen's names.
    """
    if not isinstance(answer, dict):
        return Answer()
    known = {
        field: _text(answer.get(field))
        for field in ("cook", "actual_minutes", "estimated_minutes", "total_price")
    }
    note = _text(answer.get("note"), _MAX_NOTE)
    return Answer(**known, note=note, lines=_made_lines(answer.get("lines"), titles or {}))


def _made_lines(given: object, titles: Mapping[str, str]) -> tuple[MadeLine, ...]:
    """The lines that have a name, which is the least that a line of a ticket says."""
    if not isinstance(given, list):
        return ()
    named = [line for line in given if isinstance(line, dict) and _text(line.get("name"))]
    return tuple(_made_line(line, titles) for line in named[:_MAX_LINES])


def _made_line(line: Mapping[str, Any], titles: Mapping[str, str]) -> MadeLine:
    fields = {field: _text(line.get(field)) for field in _LINE_FIELDS}
    return MadeLine(**{**fields, "name": titles.get(fields["name"], fields["name"])})


def _reason(answer: Any) -> str:
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if isinstance(error, dict):
        words = [_text(error.get(field), _MAX_NOTE) for field in ("type", "message")]
        return ": ".join(word for word in words if word)
    return _text(error, _MAX_NOTE)


def _text(value: object, longest: int = _MAX_TEXT) -> str:
    """A text or a number as it is shown, cut where it is long; nothing for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, float):
        value = f"{value:g}" if math.isfinite(value) else ""
    text = str(value)
    if _is_document(text):
        return ""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _is_document(text: str) -> bool:
    """Whether a text is JSON of an object or a list, as an error's message often is."""
    if text.strip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True

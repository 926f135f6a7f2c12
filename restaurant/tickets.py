"""A customer's ticket: the order's progress, and the live kitchen's answer in whatever shape."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from kitchen_worker.contract.messages import MAX_DEPTH
from restaurant.bill import BillLine, bill
from restaurant.models import Order, OrderState

#: After this the page says that it is taking long.
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


class StepProgress(StrEnum):
    DONE = "done"
    NOW = "now"
    AHEAD = "ahead"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a ticket; ``after_s`` is seconds from placing to reaching it, if known."""

    title: str
    progress: StepProgress
    at: datetime | None = None
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class MadeLine:
    """A line as the kitchen reports it; missing fields are empty."""

    name: str
    quantity: str
    station: str
    minutes: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The known fields of a kitchen's answer, as texts."""

    lines: tuple[MadeLine, ...] = ()
    cook: str = ""
    actual_minutes: str = ""
    estimated_minutes: str = ""
    total_price: str = ""
    note: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show to a customer."""
        return self == Answer()


@dataclass(frozen=True)
class Ticket:
    """An order as its customer sees it at one moment."""

    order: Order
    now: datetime

    @property
    def is_open(self) -> bool:
        """Whether the answer is still missing."""
        return self.order.state in (OrderState.PLACED, OrderState.IN_KITCHEN)

    @property
    def is_late(self) -> bool:
        """Whether the customer has waited longer than usual."""
        return self.is_open and self.now - self.order.placed_at >= LATE_AFTER

    @property
    def phase(self) -> str:
        """What the page shows, in one word: a page with this phase need not be rendered again."""
        return f"{self.order.state}-late" if self.is_late else str(self.order.state)

    @property
    def poll_ms(self) -> int:
        """The delay until the page asks again: longer the longer it has waited."""
        age = self.now - self.order.placed_at
        return next((wait for until, wait in _PATIENCE if age < until), _LONGEST_MS)

    @property
    def retry_s(self) -> int:
        """When the page asks again if its last request got no answer."""
        return max(10, 2 * self.poll_ms // 1000)

    @property
    def refresh_s(self) -> int:
        """When a page without JavaScript reloads."""
        return max(2, self.poll_ms // 1000)

    @property
    def steps(self) -> tuple[Step, Step, Step]:
        order, state = self.order, self.order.state
        in_kitchen = StepProgress.DONE
        if self.is_open:
            in_kitchen = StepProgress.NOW if state == OrderState.IN_KITCHEN else StepProgress.AHEAD
        end = {
            OrderState.READY.value: StepProgress.DONE,
            OrderState.FAILED.value: StepProgress.FAILED,
        }
        return (
            Step(
                "Placed",
                StepProgress.NOW if state == OrderState.PLACED else StepProgress.DONE,
                at=order.placed_at,
            ),
            Step("In the kitchen", in_kitchen),
            Step(
                "Not made" if state == OrderState.FAILED else "Ready",
                end.get(state, StepProgress.AHEAD),
                after_s=self._answered_after_s(),
            ),
        )

    @property
    def bill(self) -> list[BillLine]:
        return bill(self.order.lines.all())

    @cached_property
    def answer(self) -> Answer:
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
    """Read a kitchen's answer. Any JSON is accepted; what a customer can't read is left out.

    ``titles`` has the menu's titles of the kitchen's names.
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
    """The lines that have a name, the minimum for a ticket."""
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
    """A text or number as shown, truncated; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, float):
        value = f"{value:g}" if math.isfinite(value) else ""
    text = str(value)
    if _is_document(text):
        return ""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _is_document(text: str) -> bool:
    """Whether a text is a JSON object or list, as an error's message often is, or looks like one
    that is nested too deeply to be read."""
    if text.strip()[:1] not in ("{", "["):
        return False
    if text.count("{") + text.count("[") > MAX_DEPTH:
        return True
    try:
        json.loads(text)
    except ValueError:
        return False
    return True

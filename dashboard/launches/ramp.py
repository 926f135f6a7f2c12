"""Ramp plans: the percents of a candidate, one after the other, while nothing is worse.

``decide`` says what a plan does now; it is pure. A plan never rolls back, and after a pause it goes
on only when a person resumes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError

from dashboard.database import atomic
from dashboard.launches.guards import unacknowledged
from dashboard.models import (
    OPEN_RAMPS,
    Participant,
    RampChange,
    RampChangeKind,
    RampPlan,
    RampState,
)
from dashboard.verdict.wording import Word
from kitchen_worker.contract.messages import Role
from restaurant.launches import LaunchRefused, set_percent
from restaurant.models import DarkVersion, Launch

#: The author of the percents that a plan sets.
AUTHOR = "ramp plan"
MAX_STEPS = 20
#: A plan waits for so long for the verdict and current counts to come back before it pauses.
PATIENCE = timedelta(seconds=10)
_MAX_TEXT = 500
_MAX_ORDERS = 1_000_000_000
#: A month.
_MAX_MINUTES = 43_200
_NUMBER = r"(\d+(?:[.,]\d+)?)"
_STEP = re.compile(rf"{_NUMBER} ?%?(?: +for +(.+))?", re.IGNORECASE)
_ORDERS = re.compile(r"(\d+|\d{1,3}(?:,\d{3})+) orders?", re.IGNORECASE)
_MINUTES = re.compile(rf"{_NUMBER} (?:minutes?|min)", re.IGNORECASE)
_EXAMPLE = "write it as in: 5 % for 500 orders or 10 minutes"
_JOINED = re.compile(r" +(and|or) +", re.IGNORECASE)


class RampRefused(ValueError):
    """Raised when a plan can't be set or changed as requested."""


class RampChanged(RampRefused):
    """Raised when somebody else changed the plan in the meantime."""

    def __init__(self) -> None:
        super().__init__("the plan was changed meanwhile; look at it again")


@dataclass(frozen=True, slots=True)
class Step:
    """A percent, and what must be reached before the next one; 0: no such condition."""

    percent: Decimal
    orders: int = 0
    minutes: float = 0.0
    #: Whether one of two conditions is enough.
    either: bool = False

    def __str__(self) -> str:
        orders = f"{self.orders:,} order{'s' * (self.orders != 1)}" if self.orders else ""
        minutes = f"{self.minutes:g} minute{'s' * (self.minutes != 1)}" if self.minutes else ""
        joined = (" or " if self.either else " and ").join(filter(None, (orders, minutes)))
        return f"{self.shown_percent}{f' for {joined}' if joined else ''}"

    @property
    def shown_percent(self) -> str:
        return f"{self.percent.normalize():f} %"

    def is_reached(self, orders: int, time: timedelta) -> bool:
        """Whether it has had the orders and the time that it needs."""
        conditions = []
        if self.orders:
            conditions.append(orders >= self.orders)
        if self.minutes:
            conditions.append(time >= timedelta(minutes=self.minutes))
        return any(conditions) if self.either else all(conditions)

    def as_json(self) -> dict[str, Any]:
        return {
            "percent": str(self.percent),
            "orders": self.orders,
            "minutes": self.minutes,
            "either": self.either,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Step:
        return cls(**{**stored, "percent": Decimal(stored["percent"])})


#: What the form offers.
PRESET = (
    Step(Decimal(5), orders=500, minutes=10, either=True),
    Step(Decimal(25), orders=1000, minutes=10, either=True),
    Step(Decimal(100)),
)


def read_steps(text: str) -> tuple[Step, ...]:
    """Read one step a line, such as ``5 % for 500 orders or 10 minutes``; raises RampRefused."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    steps = [_read_step(line) for line in lines if line]
    check_steps(steps)
    return tuple(steps)


def _read_step(line: str) -> Step:
    if not (found := _STEP.fullmatch(line)):
        raise RampRefused(f"{line[:80]!r} is not a step; {_EXAMPLE}")
    percent, conditions = found.groups()
    step: dict[str, Any] = {"percent": Decimal(percent.replace(",", "."))}
    words = _JOINED.split(conditions) if conditions else []
    for condition in words[::2]:
        named, number = _read_condition(condition)
        if named in step:
            raise RampRefused(f"{line[:80]!r} names {named} twice; {_EXAMPLE}")
        step[named] = number
    return Step(**step, either=[word.lower() for word in words[1::2]] == ["or"])


def _read_condition(text: str) -> tuple[str, float]:
    if orders := _ORDERS.fullmatch(text):
        return "orders", int(orders[1].replace(",", ""))
    if minutes := _MINUTES.fullmatch(text):
        return "minutes", float(minutes[1].replace(",", "."))
    raise RampRefused(f"{text[:80]!r} is neither orders nor minutes; {_EXAMPLE}")


def check_steps(steps: Sequence[Step]) -> None:
    """Raises RampRefused unless this can be a plan."""
    if not 1 <= len(steps) <= MAX_STEPS:
        raise RampRefused(f"enter 1 to {MAX_STEPS} steps, one a line")
    for step in steps:
        if not 0 < step.percent <= 100 or step.percent != round(step.percent, 2):
            raise RampRefused(f"{step}: a percent is above 0, at most 100, and a multiple of 0.01")
        if step.orders > _MAX_ORDERS or step.minutes > _MAX_MINUTES:
            most = f"{_MAX_ORDERS:,} orders and {_MAX_MINUTES:,} minutes"
            raise RampRefused(f"{step}: at most {most}")
    for one, following in pairwise(steps):
        if following.percent <= one.percent:
            raise RampRefused(f"{following} follows {one}: each percent must be above the last one")
        if not (one.orders or one.minutes):
            raise RampRefused(f"{one}: how many orders or minutes before the next step?")


# What a plan does now.


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a plan is."""

    steps: tuple[Step, ...]
    state: RampState
    step: int
    since: datetime
    orders_before: int
    percent_before: Decimal
    applied: bool

    @property
    def current(self) -> Step:
        return self.steps[self.step]

    @property
    def is_last(self) -> bool:
        return self.step == len(self.steps) - 1

    @property
    def expected(self) -> tuple[Decimal, ...]:
        """The percents that the version can have unless a person changed it."""
        target = self.current.percent
        return (target,) if self.applied else (self.percent_before, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a plan goes by."""

    #: None if the launch has ended.
    percent: Decimal | None
    #: Orders that the version has answered in this launch.
    orders: int = 0
    #: Who set the percent last, and why.
    set_by: str = ""
    #: The verdict; None before the first.
    word: Word | None = None
    sentence: str = ""
    #: A guard that stopped the version and is not acknowledged.
    guard: str = ""
    #: Why the counts are not current; empty if they are.
    stale: str = ""
    #: For how long the verdict has been withheld or the counts not current.
    doubtful: timedelta = timedelta(0)

    @property
    def doubt(self) -> str:
        """Why nothing can be concluded right now."""
        if self.word is Word.WITHHELD:
            return f"the verdict is {self.sentence or self.word.upper()}"
        return self.stale


class Act(StrEnum):
    """What a plan does."""

    WAIT = "wait"
    #: Set the percent of the current step.
    SET_PERCENT = "set percent"
    #: Begin the next step.
    GO_ON = "go on"
    FINISH = "finish"
    PAUSE = "pause"
    #: Its launch has ended.
    STOP = "stop"


class Move(NamedTuple):
    act: Act
    why: str = ""


def decide(plan: Position, facts: Facts, now: datetime) -> Move:
    """What a plan does now: at most one step, and nothing but wait once it is paused."""
    if plan.state not in OPEN_RAMPS:
        return Move(Act.WAIT)
    if facts.percent is None:
        return Move(Act.STOP, "the launch ended")
    if plan.state is RampState.PAUSED:
        return Move(Act.WAIT)
    if problem := next(_problems(plan, facts, facts.percent), ""):
        return Move(Act.PAUSE, problem)
    if facts.doubt:
        # At a low rate, an order on its way may look like one that nobody answers.
        return Move(Act.PAUSE, facts.doubt) if facts.doubtful >= PATIENCE else Move(Act.WAIT)
    if not plan.applied:
        return Move(Act.SET_PERCENT)
    orders, time = facts.orders - plan.orders_before, now - plan.since
    if not plan.current.is_reached(orders, time):
        return Move(Act.WAIT)
    reached = f"{orders:,} order{'s' * (orders != 1)} in {_minutes(time)}"
    return Move(Act.FINISH if plan.is_last else Act.GO_ON, reached)


def _problems(plan: Position, facts: Facts, percent: Decimal) -> Iterator[str]:
    if facts.guard:
        yield facts.guard
    if percent not in plan.expected:
        by = f" ({facts.set_by})" if facts.set_by else ""
        yield f"the percent was changed to {percent.normalize():f} %{by}"
    if facts.word is Word.WORSE:
        yield f"the verdict is {facts.sentence or facts.word.upper()}"


def _minutes(time: timedelta) -> str:
    seconds = max(0, int(time.total_seconds()))
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"


# What changes a plan.


def open_plan(launch: UUID, version: str) -> RampPlan | None:
    """The plan of a candidate that is running or paused."""
    return RampPlan.objects.filter(launch=launch, version=version, state__in=OPEN_RAMPS).first()


def position_of(plan: RampPlan) -> Position:
    return Position(
        steps=tuple(map(Step.from_json, plan.steps)),
        state=RampState(plan.state),
        step=plan.step,
        since=plan.since,
        orders_before=plan.orders_before,
        percent_before=plan.percent_before,
        applied=plan.applied,
    )


def answered(launch: UUID, version: str) -> int:
    """Orders of a launch that a version has answered, as the observer counted them."""
    counted = Participant.objects.filter(launch=launch, version=version)
    return sum(sum(row) for row in counted.values_list("handled", "failed"))


def set_plan(
    launch: Launch,
    version: str,
    steps: Sequence[Step],
    *,
    author: str,
    reason: str,
    now: datetime,
) -> RampPlan:
    """Begin a plan with its first step; raises RampRefused, also while another one is open."""
    check_steps(steps)
    reason = _reason(reason)
    plan = RampPlan(
        launch=launch.pk,
        version=version,
        steps=[step.as_json() for step in steps],
        since=now,
        orders_before=answered(launch.pk, version),
        percent_before=_percent(launch, version),
        author=author,
        reason=reason,
        set_at=now,
    )
    _check_guards(plan)
    try:
        with atomic():
            plan.save(force_insert=True)
            _record(plan, RampChangeKind.SET, author=author, reason=reason, now=now)
    except IntegrityError as others:
        raise RampRefused(f"{version} has a plan already; cancel it first") from others
    _set_percent(plan, launch, now)
    return plan


def pause(plan: RampPlan, *, author: str, reason: str, now: datetime) -> None:
    """Pause a running plan; the percent stays. Raises RampRefused."""
    _check_state(plan, RampState.RUNNING)
    reason = _reason(reason)
    fields = {"state": RampState.PAUSED, "why": f"{author}: {reason}"[:_MAX_TEXT]}
    _change(plan, RampChangeKind.PAUSED, fields, author=author, reason=reason, now=now)


def resume(plan: RampPlan, launch: Launch, *, author: str, reason: str, now: datetime) -> None:
    """Begin the current step of a paused plan again; raises RampRefused.

    Its percent is set at the next decision, if nothing is worse then.
    """
    _check_state(plan, RampState.PAUSED)
    reason = _reason(reason)
    _check_guards(plan)
    fields = {
        "state": RampState.RUNNING,
        "why": "",
        "since": now,
        "orders_before": answered(plan.launch, plan.version),
        "percent_before": _percent(launch, plan.version),
        "applied": False,
    }
    _change(plan, RampChangeKind.RESUMED, fields, author=author, reason=reason, now=now)


def cancel(plan: RampPlan, *, author: str, reason: str, now: datetime) -> None:
    """End an open plan; the percent stays. Raises RampRefused."""
    _check_state(plan, *OPEN_RAMPS)
    reason = _reason(reason)
    fields = {"state": RampState.STOPPED, "why": f"{author}: {reason}"[:_MAX_TEXT]}
    _change(plan, RampChangeKind.STOPPED, fields, author=author, reason=reason, now=now)


def advance(plan: RampPlan, launch: Launch | None, facts: Facts, now: datetime) -> Move:
    """Do what a plan is to do now; raises RampRefused if somebody else changes it meanwhile."""
    move = decide(position_of(plan), facts, now)
    if move.act is Act.GO_ON:
        fields: dict[str, Any] = {
            "step": plan.step + 1,
            "since": now,
            "orders_before": facts.orders,
            "percent_before": position_of(plan).current.percent,
            "applied": False,
        }
        _change_by_itself(plan, RampChangeKind.STEP, fields, move.why, now)
    elif move.act in _ENDS:
        kind, state = _ENDS[move.act]
        why = "" if move.act is Act.FINISH else move.why[:_MAX_TEXT]
        _change_by_itself(plan, kind, {"state": state, "why": why}, move.why, now)
    if launch is not None and move.act in (Act.GO_ON, Act.SET_PERCENT):
        _set_percent(plan, launch, now)
    return move


_ENDS = {
    Act.FINISH: (RampChangeKind.FINISHED, RampState.FINISHED),
    Act.PAUSE: (RampChangeKind.PAUSED, RampState.PAUSED),
    Act.STOP: (RampChangeKind.STOPPED, RampState.STOPPED),
}


def _set_percent(plan: RampPlan, launch: Launch, now: datetime) -> None:
    """Set the percent of the current step; if a person has just changed it, it stays.

    Repeating it changes nothing, so it may be repeated after a crash.
    """
    step = position_of(plan).current
    reason = f"step {plan.step + 1} of {len(plan.steps)} of {plan.author}'s plan: {step}"
    try:
        set_percent(
            launch,
            plan.version,
            step.percent,
            author=AUTHOR,
            reason=reason[:_MAX_TEXT],
            only_from=plan.percent_before,
        )
    except LaunchRefused:
        return  # the next decision pauses or stops the plan, and says why
    applied = RampPlan.objects.filter(pk=plan.pk, revision=plan.revision)
    if applied.update(applied=True, since=now, revision=plan.revision + 1):
        plan.applied, plan.since, plan.revision = True, now, plan.revision + 1


def _change_by_itself(
    plan: RampPlan, kind: RampChangeKind, fields: dict[str, Any], why: str, now: datetime
) -> None:
    _change(plan, kind, fields, author=AUTHOR, reason=why[:_MAX_TEXT], now=now)


def _change(
    plan: RampPlan,
    kind: RampChangeKind,
    fields: dict[str, Any],
    *,
    author: str,
    reason: str,
    now: datetime,
) -> None:
    fields["revision"] = plan.revision + 1
    with atomic():
        if not RampPlan.objects.filter(pk=plan.pk, revision=plan.revision).update(**fields):
            raise RampChanged
        for name, value in fields.items():
            setattr(plan, name, value)
        _record(plan, kind, author=author, reason=reason, now=now)


def _record(
    plan: RampPlan, kind: RampChangeKind, *, author: str, reason: str, now: datetime
) -> None:
    RampChange.objects.create(
        plan=plan, kind=kind, step=plan.step, author=author, reason=reason, at=now
    )


def _reason(reason: str) -> str:
    if not (given := reason.strip()):
        raise RampRefused("a change needs a reason")
    return given[:_MAX_TEXT]


def _check_state(plan: RampPlan, *states: RampState) -> None:
    if plan.state not in states:
        raise RampRefused(f"the plan is {plan.state}")


def _check_guards(plan: RampPlan) -> None:
    acted = unacknowledged(plan.launch, plan.version).first()
    if acted is not None:
        raise RampRefused(f"the guard “{acted.guard}” stopped it; acknowledge that first")


def _percent(launch: Launch, version: str) -> Decimal:
    """The percent of a candidate of an open launch; raises RampRefused."""
    candidate = DarkVersion.objects.filter(
        launch=launch, launch__ended_at__isnull=True, version=version, role=Role.CANDIDATE
    ).first()
    if candidate is None:
        raise RampRefused(f"{version} is not a candidate of an open launch")
    return candidate.percent

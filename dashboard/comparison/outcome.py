"""States of an order, outcomes of pairs, decisions on discrepancies, and builds over time."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class State(StrEnum):
    """The state of an order in one version."""

    RECEIVED = "received"
    HANDLED = "handled"
    FAILED = "failed"
    MISSING = "missing"


class Outcome(StrEnum):
    """The result of comparing a pair."""

    AGREE = "agree"
    DIFFER = "differ"
    CANDIDATE_FAILED = "candidate_failed"
    CONTROL_FAILED = "control_failed"
    BOTH_FAILED = "both_failed"
    MISSING = "missing"


def outcome(control: State, version: State, *, agree: bool) -> Outcome | None:
    """The outcome of a pair, or None while one of the two has not ended.

    ``agree``: whether the results agree; only used if both handled the order.
    """
    if State.RECEIVED in (control, version):
        return None
    if State.MISSING in (control, version):
        return Outcome.MISSING
    if control is State.FAILED:
        return Outcome.BOTH_FAILED if version is State.FAILED else Outcome.CONTROL_FAILED
    if version is State.FAILED:
        return Outcome.CANDIDATE_FAILED
    return Outcome.AGREE if agree else Outcome.DIFFER


def cell(control: State, version: State, found: Outcome) -> str:
    """The cell of the outcome matrix: ``agree``, ``differ``, or both states as in
    ``handled/missing``, the control's first."""
    if found in (Outcome.AGREE, Outcome.DIFFER):
        return found.value
    return f"{control}/{version}"


class StateChange(StrEnum):
    """What a reported state changes for an order in one version."""

    #: The first report.
    NEW = "new"
    #: The order has now ended.
    ENDED = "ended"
    #: It ended after it was marked missing.
    LATE = "late"
    #: It had ended already; the first end counts.
    REPEATED = "repeated"
    #: Older than the known state.
    STALE = "stale"


def state_change(known: State | None, news: State) -> StateChange:
    """What a reported state changes; a repeated report changes nothing."""
    if known is None:
        return StateChange.NEW
    if news is State.RECEIVED:
        return StateChange.STALE
    if known is State.RECEIVED:
        return StateChange.ENDED
    if news is State.MISSING:
        return StateChange.STALE
    return StateChange.LATE if known is State.MISSING else StateChange.REPEATED


class Decision(StrEnum):
    """A decision on a discrepancy; ``open`` takes one back."""

    OPEN = "open"
    BUG = "bug"
    BY_DESIGN = "by_design"
    NOISE = "noise"
    #: Proved by a replay: a later build agreed on the orders that had shown it.
    FIXED = "fixed"


#: Decisions after which a discrepancy does not count against the version.
ACCEPTED = frozenset({Decision.BY_DESIGN, Decision.NOISE, Decision.FIXED})


#: Builds kept per version, the newest ones.
MOST_BUILDS = 8
#: An older build is still running if it reported within this many seconds.
SIDE_BY_SIDE_S = 60.0

#: A build, and its first and last report in seconds since 1970.
BuildSpan = tuple[str, float, float]


def record_build(spans: Sequence[BuildSpan], build: str, at: float) -> list[BuildSpan]:
    """A version's builds in order of their first report, with another report added."""
    known = [(name, first, last) for name, first, last in spans]
    for index, (name, first, last) in reversed([*enumerate(known)]):
        is_newest = index == len(known) - 1
        if name == build and (is_newest or at - last <= SIDE_BY_SIDE_S):
            known[index] = (name, first, max(last, at))
            return known
    return [*known, (build, at, at)][-MOST_BUILDS:]


def build_at(spans: Sequence[BuildSpan], at: float) -> str:
    """The newest build running at a time, else the one before; empty if none is known."""
    started = [one for one in spans if one[1] <= at] or [*spans[:1]]
    if not started:
        return ""
    running = [one for one in started if one[2] >= at]
    return running[-1][0] if running else max(started, key=lambda one: one[2])[0]

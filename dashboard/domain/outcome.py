"""How far a version is with an order, and what two versions made of the same order between them."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """How far one version is with one order."""

    RECEIVED = "received"
    HANDLED = "handled"
    FAILED = "failed"
    MISSING = "missing"


class Outcome(StrEnum):
    """What the control and another version made of the same order, between them."""

    AGREE = "agree"
    DIFFER = "differ"
    CANDIDATE_FAILED = "candidate_failed"
    CONTROL_FAILED = "control_failed"
    BOTH_FAILED = "both_failed"
    MISSING = "missing"


def outcome(control: State, version: State, *, agree: bool) -> Outcome | None:
    """The outcome of a pair, or None while one of the two may still end.

    ``agree`` says whether two results agree, and matters for no other pair.
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


class Change(StrEnum):
    """What news does to what is known of one version and one order."""

    #: Nothing was known; now something is.
    NEW = "new"
    #: The order was in the kitchen; now it has ended.
    ENDED = "ended"
    #: The version had been given up; its answer came after all.
    MENDED = "mended"
    #: An end that was known already; the first one counts.
    REPEATED = "repeated"
    #: News that is older than what is known.
    STALE = "stale"


def change(known: State | None, news: State) -> Change:
    """What to make of news, by what is known; the same news a second time changes nothing."""
    if known is None:
        return Change.NEW
    if news is State.RECEIVED:
        return Change.STALE
    if known is State.RECEIVED:
        return Change.ENDED
    if news is State.MISSING:
        return Change.STALE
    return Change.MENDED if known is State.MISSING else Change.REPEATED

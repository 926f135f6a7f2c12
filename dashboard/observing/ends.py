"""How the versions have ended the orders of a batch: once for all whose evidence needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from dashboard.domain.ledger import Key, Ledger, Standing
from dashboard.domain.outcome import State
from dashboard.observing.answers import Answer, Answers
from dashboard.observing.signatures import Members
from dashboard.observing.texts import storable
from dashboard.verdict.paired_order import Result, Status
from kitchen_worker.contract.messages import TIMED_OUT

_RECEIVED = State.RECEIVED
_STATUSES = {State.HANDLED: Status.OK, State.FAILED: Status.FAILED}


class End(NamedTuple):
    """How one version has ended one order, and what it shows if it was judged."""

    result: Result
    #: Empty where it said nothing of the order.
    build: str
    shown: Members | None
    #: Whether it is this batch that ended it, or ended it otherwise.
    is_new: bool
    #: Whether it had ended before: then it was counted as it was.
    is_late: bool


#: By version.
Ends = Mapping[str, End]


def ends_of(
    control: str,
    ledger: Ledger,
    answers: Answers,
    shown: Mapping[Key, Members],
) -> dict[UUID, Ends]:
    """By order: of those that the control and another have ended, and of which there is news."""
    found: defaultdict[UUID, dict[str, End]] = defaultdict(dict)
    for key, standing in ledger.after.items():
        if standing.state is _RECEIVED:
            continue
        order, version = key
        was, answer = ledger.before.get(key), answers.of(order, version)
        found[order][version] = End(
            _result(standing, answer, is_taken=key in answers.taken),
            storable(answer.build),
            shown.get(key),
            is_new=was != standing,
            is_late=was is not None and was.state is not _RECEIVED,
        )
    return {
        order: ends
        for order, ends in found.items()
        if control in ends and len(ends) > 1 and any(end.is_new for end in ends.values())
    }


def _result(standing: Standing, answer: Answer, *, is_taken: bool) -> Result:
    """A version that gave an order up has timed out, as one has that took it and said no more."""
    status = _STATUSES.get(standing.state)
    if status is None:
        return Result(Status.TIMEOUT if is_taken else Status.MISSING)
    if status is Status.FAILED and answer.error_type == TIMED_OUT:
        status = Status.TIMEOUT
    return Result(status, standing.handling_ms)

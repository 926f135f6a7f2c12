"""Orders that were placed and whose letters are held back, to be let go all at once."""

from __future__ import annotations

import time

from local.stack import Stack, StackFailed

#: As `manage.py rush` places what is overdue: in bulk.
_RATE = 1_000_000
_LOOK_S = 0.02
_NEWEST = "select coalesce(max(id), 0) from restaurant_order"
_HOLD = "update restaurant_letter set sent_at = '2000-01-01' where sent_at is null returning id"
_LET_GO = "update restaurant_letter set sent_at = null where order_id between ? and ? returning id"
_UNANSWERED = (
    "select count(*) from restaurant_order"
    " where id between ? and ? and state in ('placed', 'in_kitchen')"
)
_ENDED = "select coalesce(sum(handled + failed), 0), coalesce(sum(missing), 0) from dashboard_tally"


class Letters:
    """The held letters of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        #: Ends that all versions together have told once all is done.
        self._ends = 0

    def place(self, orders: int) -> range:
        """Place orders, as a rush does; the relay must not run yet. Gives the orders' numbers."""
        before = self._stack.number(_NEWEST)
        words = ("--orders", str(orders), "--rate", str(_RATE), "--wait", "0")
        self._stack.manage("rush", *words, "--seed", str(before))
        self._stack.query(_HOLD)
        return range(before + 1, self._stack.number(_NEWEST) + 1)

    def let_go(self, numbers: range, *, versions: int = 2, within_s: float = 60.0) -> float:
        """Let letters go, and wait until the ends of so many versions are recorded and every
        customer has an answer; gives the seconds that it took."""
        began = time.monotonic()
        self._stack.query(_LET_GO, numbers[0], numbers[-1])
        self._ends += len(numbers) * versions
        self._until_ended(began + within_s)
        while self._stack.number(_UNANSWERED, numbers[0], numbers[-1]):
            _wait(began + within_s, "every customer has an answer")
        return time.monotonic() - began

    def _until_ended(self, deadline: float) -> None:
        while True:
            ((ended, missing),) = self._stack.query(_ENDED)
            if missing:
                raise StackFailed(f"{missing} answers are missing")
            if ended >= self._ends:
                return
            _wait(deadline, f"{self._ends} ends are recorded; there are {ended}")


def _wait(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise StackFailed(f"waited in vain: {what}")
    time.sleep(_LOOK_S)

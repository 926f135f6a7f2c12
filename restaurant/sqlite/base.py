"""Django's connection to SQLite, which waits for its turn before it begins a transaction."""

from __future__ import annotations

from functools import cached_property

from django.db.backends.sqlite3 import base

from restaurant.sqlite.turn import Turn

#: What SQLite itself waits where nothing is said.
_WAIT_S = 5.0


class DatabaseWrapper(base.DatabaseWrapper):
    """See Django's; a turn lasts from BEGIN to COMMIT or ROLLBACK."""

    @cached_property
    def turn(self) -> Turn:
        """This connection's; its file lies beside the database."""
        wait_s = self.settings_dict["OPTIONS"].get("timeout", _WAIT_S)
        return Turn(f"{self.settings_dict['NAME']}-turn", wait_s)

    def _start_transaction_under_autocommit(self) -> None:
        self.turn.take()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self.turn.give_back()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self.turn.give_back()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self.turn.give_back()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            if (turn := vars(self).pop("turn", None)) is not None:
                turn.close()

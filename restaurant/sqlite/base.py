"""Django's connection to SQLite, which waits for its turn before it writes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.backends.sqlite3 import base

from restaurant.sqlite.turn import Turn

#: What SQLite itself waits where nothing is said.
_WAIT_S = 5.0
#: The part of it that a turn is waited for: after that SQLite waits, for all of it.
_SHARE = 0.25
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLAC")


class DatabaseWrapper(base.DatabaseWrapper):
    """See Django's; a turn lasts from BEGIN to COMMIT or ROLLBACK, or for one statement."""

    @cached_property
    def turn(self) -> Turn:
        """This connection's; its file lies beside the database."""
        wait_s = self.settings_dict["OPTIONS"].get("timeout", _WAIT_S)
        return Turn(f"{self.settings_dict['NAME']}-turn", _SHARE * wait_s)

    def create_cursor(self, name: str | None = None) -> Any:
        """See Django's."""
        cursor = self.connection.cursor(factory=_Cursor)
        cursor.turn = self.turn
        return cursor

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


class _Cursor(base.SQLiteCursorWrapper):
    """Django's cursor; what writes outside a transaction is one of its own."""

    turn: Turn

    def execute(self, query: str, params: Any = None) -> Any:
        """See Django's."""
        if not self._writes_alone(query):
            return super().execute(query, params)
        with self.turn:
            return super().execute(query, params)

    def executemany(self, query: str, param_list: Any) -> Any:
        """See Django's."""
        if not self._writes_alone(query):
            return super().executemany(query, param_list)
        with self.turn:
            return super().executemany(query, param_list)

    def _writes_alone(self, query: str) -> bool:
        return not self.connection.in_transaction and query.lstrip()[:6].upper() in _WRITES

"""What each database does to take in much at once, and how it says what a copy is made of."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class Bulk(Protocol):
    """One database's ways; an expression goes in, an expression comes out."""

    def ready(self) -> None:
        """Make the connection fit for it."""

    def without_indexes(self, tables: Sequence[str]) -> AbstractContextManager[None]:
        """Let tables be without indexes and constraints, which are made anew at the end."""

    def empty(self, tables: Sequence[str]) -> None:
        """Take all rows out of tables, the ones that refer to others last."""

    def series(self, first: int, last: int) -> str:
        """A query that gives the numbers from one to another, in a column ``copy``."""

    def name(self, number: str) -> str:
        """The id of the order with a number."""

    def name_as_text(self, number: str) -> str:
        """The same as a message writes it."""

    def later(self, moment: str) -> str:
        """A moment, ``copy`` periods later."""

    def written(self, moment: str) -> str:
        """A moment as a message writes it."""

    def as_text(self, body: str) -> str:
        """Bytes as text."""

    def as_bytes(self, text: str) -> str:
        """Text as bytes."""

    def finish(self, tables: Sequence[str]) -> None:
        """Let the database know what it holds: its sequences and its statistics."""

"""One open connection to a database, for who asks it again and again while others are timed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg

#: Gives the one number of a query, as the last commit left it.
Ask = Callable[[str], float]


@contextmanager
def asking(url: str) -> Iterator[Ask]:
    """Ask the database of a DATABASE_URL."""
    if url.startswith("sqlite:"):
        file = sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True)
        with closing(file):
            yield lambda query: float(file.execute(query).fetchone()[0])
    else:
        with psycopg.connect(url, autocommit=True) as server:
            yield lambda query: float(next(server.execute(query))[0])

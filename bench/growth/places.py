"""Where a grown database is made: a new one, which is taken away again if it is not finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

#: Bytes that an order takes on disk at the most, with its indexes and what building them needs.
_BYTES_AN_ORDER = 4000
_NOTES = "grown.json"


class CannotGrow(RuntimeError):
    """Raised when a database cannot be made where it is asked for."""


@dataclass(frozen=True, slots=True)
class Grown:
    """A database that was grown, how many orders it holds, and in how many seconds."""

    url: str
    orders: int
    seconds: int


def url_of_file(path: Path) -> str:
    """The URL of an SQLite file."""
    return f"sqlite:///{path}"


@contextmanager
def new_database(url: str, orders: int) -> Iterator[None]:
    """Give a place for so many orders at this URL; whatever ends the block early, nothing stays."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        with _new_file(Path(unquote(parts.path)[1:]), orders):
            yield
        return
    with _new_on_server(url):
        yield


@contextmanager
def _new_file(path: Path, orders: int) -> Iterator[None]:
    if path.exists():
        raise CannotGrow(f"{path} is there already: delete it to grow another")
    free = shutil.disk_usage(path.parent).free
    if free < orders * _BYTES_AN_ORDER:
        raise CannotGrow(
            f"{orders:,} orders may take {orders * _BYTES_AN_ORDER / 1e9:.0f} GB of disk, and "
            f"{path.parent} has {free / 1e9:.0f} GB left"
        )
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _new_on_server(url: str) -> Iterator[None]:
    parts = urlsplit(url)
    name = sql.Identifier(parts.path[1:])
    home = urlunsplit(parts._replace(path="/postgres"))
    with psycopg.connect(home, autocommit=True) as server:
        try:
            server.execute(sql.SQL("CREATE DATABASE {}").format(name))
        except psycopg.errors.DuplicateDatabase as cause:
            raise CannotGrow(f"{cause}".strip() + ": drop it to grow another") from cause
        try:
            yield
        except BaseException:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            raise


def note(folder: Path, engine: str, grown: Grown) -> None:
    """Keep in mind what was grown, one a database engine; nobody else may read it."""
    kept = {name: asdict(one) for name, one in grown_before(folder).items()}
    file = folder / _NOTES
    file.touch(mode=0o600)
    file.write_text(json.dumps({**kept, engine: asdict(grown)}, indent=2) + "\n")


def grown_before(folder: Path) -> Mapping[str, Grown]:
    """What was grown, by engine."""
    try:
        found = json.loads((folder / _NOTES).read_text())
    except FileNotFoundError:
        return {}
    return {engine: Grown(**one) for engine, one in found.items()}

"""The recorded numbers: made by a run, kept in a file that one can read, and compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

from asgiref.sync import async_to_sync
from django.core.management import call_command

from dashboard.ingest.recorder import Recording
from dashboard.management.commands import rebuild
from tests.oracle import generator
from tests.oracle.driver import Driver
from tests.oracle.numbers import read_numbers

RECORDED = Path(__file__).with_name("recorded.json")
#: Of the last look, all numbers are read.
LAST = "end"
#: An object that is not longer than this is one line.
_LINE = 250
_SHOWN = 40
_NOTHING = object()


def play() -> dict[str, Any]:
    """The whole run on the database that Django is connected to, which must be empty."""
    return async_to_sync(_driver().play)(generator.run())


def play_and_rebuild(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same, recorded to a file; and the last numbers when all is rebuilt from that."""
    recording = Recording(file, at_most=10**9)
    driver = _driver(recording)

    async def both() -> tuple[dict[str, Any], dict[str, Any]]:
        live = await driver.play(generator.run())
        recording.close()
        again = partial(call_command, "rebuild", str(file), yes=True)
        with patch.object(rebuild, "WAIT_S", 0.0):
            return live, await driver.look_again(LAST, again)

    return async_to_sync(both)()


def _driver(recording: Recording | None = None) -> Driver:
    return Driver(lambda name, depths: read_numbers(depths, whole=name == LAST), recording)


def read() -> Any:
    """What was recorded."""
    return json.loads(RECORDED.read_text())


def write(numbers: dict[str, Any]) -> None:
    """Record these numbers in place of the old ones."""
    RECORDED.write_text("".join(_lines(numbers, "")) + "\n")


def differing(recorded: Any, found: Any) -> list[str]:
    """The first paths at which two recordings differ, each with both values, and how many do."""
    paths = list(_differing(recorded, found, ""))
    more = [f"... {len(paths)} numbers differ"] if len(paths) > _SHOWN else []
    return [*islice(paths, _SHOWN), *more]


def _differing(recorded: Any, found: Any, path: str) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(found, dict):
        for name in [*recorded, *(found.keys() - recorded.keys())]:
            values = recorded.get(name, _NOTHING), found.get(name, _NOTHING)
            yield from _differing(*values, f"{path} / {name}" if path else name)
    elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        for place, values in enumerate(zip(recorded, found, strict=True)):
            yield from _differing(*values, f"{path} / {place}")
    elif recorded != found or type(recorded) is not type(found):
        yield f"{path}: {_shown(recorded)} is {_shown(found)}"


def _shown(value: Any) -> str:
    return "nothing" if value is _NOTHING else json.dumps(value, ensure_ascii=False)[:300]


def _lines(value: Any, indent: str) -> Iterator[str]:
    """JSON with one line for each number, each list of numbers, and each small object."""
    text = json.dumps(value, ensure_ascii=False)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    is_flat = not any(isinstance(one, dict | list) for one in inner)
    if is_flat and (not isinstance(value, dict) or len(text) <= _LINE):
        yield text
        return
    is_dict = isinstance(value, dict)
    yield "{\n" if is_dict else "[\n"
    for place, one in enumerate(value):
        yield indent + " "
        yield from ([f"{json.dumps(one, ensure_ascii=False)}: "] if is_dict else [])
        yield from _lines(value[one] if is_dict else one, indent + " ")
        yield ",\n" if place < len(value) - 1 else "\n"
    yield f"{indent}{'}' if is_dict else ']'}"

"""Runs a long-running process: relay, kitchen or observer."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

_Result = TypeVar("_Result")

#: New objects before a collection: more than one batch of messages creates.
_YOUNG = 10_000


def run_process(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run ``main`` on uvloop, with garbage collection tuned for many short-lived objects."""
    tune_gc()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def tune_gc() -> None:
    """Exclude existing objects from later collections, and collect less often.

    Libraries and settings are about 60,000 objects, which every full collection would traverse.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 5, 5)

"""Runs a long-lived process of ours: relay, kitchen or observer."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

_Result = TypeVar("_Result")

#: New objects before the next collection: more than one batch of messages makes.
_YOUNG = 10_000


def run_process(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run ``main`` on uvloop, with garbage collection set for many short-lived objects."""
    tune_gc()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def tune_gc() -> None:
    """Exclude what exists now from later collections, and collect less often.

    Libraries and settings are some sixty thousand objects, which a full collection walks through.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 5, 5)

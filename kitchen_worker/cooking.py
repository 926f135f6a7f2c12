"""Runs a kitchen on one order, times it, and catches whatever it does wrong."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from kitchen_worker.config import ConfigError, WorkerConfig
from kitchen_worker.contract.messages import TIMED_OUT, Failure, Order, utc_now
from kitchen_worker.kitchens.known import Cook, cook_of
from kitchen_worker.threads import DaemonThreads

#: How much simulated time varies: sigma of a lognormal factor.
_SIGMA = 0.08
#: Simulated work of one order takes at most this long, however many minutes it says.
_MAX_SIMULATED_S = 60.0


class Cooked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one order: a result, or the failure of a kitchen that raised."""

    received_at: datetime
    finished_at: datetime
    #: Of a monotonic clock, around the kitchen's work alone.
    handling_ms: float
    result: Any = None
    failure: Failure | None = None


#: An async kitchen of a user's; and any kitchen, timed, with what it raises caught.
_Work = Callable[[Order], Awaitable[Any]]
_Run = Callable[[Order], Awaitable[Cooked]]


@dataclass(frozen=True)
class Kitchen:
    """A kitchen as the worker runs it: it never raises, but for being cancelled."""

    cook: _Run
    #: Where it cooks, if that is in threads.
    threads: DaemonThreads | None = None

    def hung(self, limit_s: float) -> int:
        """How many of its threads have been at one order for longer than this."""
        return self.threads.overdue(limit_s) if self.threads is not None else 0


def kitchen_of(config: WorkerConfig) -> Kitchen:
    """The kitchen that a configuration asks for; raises ConfigError when it cannot be had."""
    if config.kitchen is not None:
        work = _imported(config.kitchen)
        if _is_async(work):
            return Kitchen(_awaited(work))
        threads = DaemonThreads(config.concurrency, name="kitchen")
        return Kitchen(_threaded(work, threads), threads)
    cook = cook_of(config.version, config.mend)
    if cook is None:
        raise ConfigError(f"--version: {config.version!r} is not known here")
    rng = random.Random(config.seed)
    if not config.minute_ms:
        return Kitchen(_inline(cook, rng))
    longest_s = min(_MAX_SIMULATED_S, config.order_timeout_seconds / 2)
    return Kitchen(_awaited(_simulated(cook, rng, config.minute_ms, longest_s=longest_s)))


def failure_of(error: BaseException) -> Failure:
    """An error as the contract carries it: any type, any text, within its bounds."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a user's __str__ may do anything
        text = "(its message cannot be read)"
    return Failure(type=_plain(type(error).__name__, 200), message=_plain(text, 4000))


def timed_out(received_at: datetime, limit_s: float) -> Cooked:
    """What came of an order whose time was over."""
    return Cooked(
        received_at=received_at,
        finished_at=utc_now(),
        handling_ms=limit_s * 1000,
        failure=Failure(type=TIMED_OUT, message=f"no result within {limit_s:g} s"),
    )


def _plain(text: str, longest: int) -> str:
    """Cut, and without what UTF-8 or a database's text cannot hold."""
    return text[:longest].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _imported(path: str) -> Callable[[Order], Any]:
    module_name, _, attributes = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception as cause:
        raise ConfigError(
            f"--kitchen: {path} cannot be had: {type(cause).__name__}: {cause}"
        ) from cause
    if not callable(found):
        raise ConfigError(f"--kitchen: {path} is not callable")
    return found  # type: ignore[no-any-return]


def _is_async(work: Callable[[Order], Any]) -> bool:
    """Whether calling it gives something to await: an async function, or an object made of one."""
    return inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(type(work).__call__)


def _inline(cook: Cook, rng: random.Random) -> _Run:
    async def run(order: Order) -> Cooked:
        return _timed(lambda order: cook(order, rng), order)

    return run


def _threaded(work: Callable[[Order], Any], threads: DaemonThreads) -> _Run:
    async def run(order: Order) -> Cooked:
        return await threads.run(_timed, work, order)

    return run


def _awaited(work: _Work) -> _Run:
    async def run(order: Order) -> Cooked:
        received_at, start = utc_now(), time.perf_counter()
        result: Any = None
        failure: Failure | None = None
        try:
            result = await work(order)
        except BaseException as error:
            if _is_being_cancelled(error):
                raise
            failure = failure_of(error)
        return _cooked(received_at, start, result, failure)

    return run


def _simulated(cook: Cook, rng: random.Random, minute_ms: float, *, longest_s: float) -> _Work:
    """A kitchen that takes as long as it says, scaled, give or take a little."""

    async def work(order: Order) -> Any:
        result = cook(order, rng)
        seconds = result["actual_minutes"] * minute_ms / 1000
        factor = math.exp(rng.gauss(0, _SIGMA))
        await asyncio.sleep(min(seconds * factor, longest_s))
        return result

    return work


def _timed(work: Callable[[Order], Any], order: Order) -> Cooked:
    received_at, start = utc_now(), time.perf_counter()
    result: Any = None
    failure: Failure | None = None
    try:
        result = work(order)
    except BaseException as error:  # noqa: BLE001 - whatever a kitchen raises is data
        failure = failure_of(error)
    return _cooked(received_at, start, result, failure)


def _cooked(received_at: datetime, start: float, result: Any, failure: Failure | None) -> Cooked:
    return Cooked(
        received_at=received_at,
        finished_at=utc_now(),
        handling_ms=(time.perf_counter() - start) * 1000,
        result=result,
        failure=failure,
    )


def _is_being_cancelled(error: BaseException) -> bool:
    """Whether it is the worker that ends this work, and not the kitchen that raised."""
    task = asyncio.current_task()
    return (
        isinstance(error, asyncio.CancelledError | GeneratorExit)
        and task is not None
        and bool(task.cancelling())
    )

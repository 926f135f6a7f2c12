"""Runs a kitchen on one order, measures it, and catches what it raises."""

from __future__ import annotations

import asyncio
import inspect
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from kitchen_worker.amqp.settings import import_callable
from kitchen_worker.config import ConfigError, WorkerConfig
from kitchen_worker.contract.messages import TIMED_OUT, Failure, PlacedOrder, utc_now
from kitchen_worker.kitchens.shipped import Cook, cook_of
from kitchen_worker.threads import DaemonThreads

#: Variation of simulated time: sigma of a lognormal factor.
_SIGMA = 0.08
#: Upper bound of an order's simulated work.
_MAX_SIMULATED_S = 60.0


class Handling(msgspec.Struct, frozen=True, kw_only=True):
    """How one order was handled: a result, or a failure if the kitchen raised."""

    received_at: datetime
    finished_at: datetime
    #: Monotonic, around the kitchen's call alone.
    handling_ms: float
    result: Any = None
    failure: Failure | None = None


#: An async kitchen; it may raise.
_AsyncCook = Callable[[PlacedOrder], Awaitable[Any]]
#: A kitchen that is timed and never raises: an exception becomes a failure.
_TimedCook = Callable[[PlacedOrder], Awaitable[Handling]]


@dataclass(frozen=True)
class Kitchen:
    """A kitchen as the worker runs it. It never raises, except when cancelled."""

    cook: _TimedCook
    #: Set if it runs in threads.
    threads: DaemonThreads | None = None

    def hung(self, limit_s: float) -> int:
        """How many of its threads have worked on one order for longer than this."""
        return self.threads.overdue(limit_s) if self.threads is not None else 0


def kitchen_of(config: WorkerConfig) -> Kitchen:
    """The configured kitchen; raises ConfigError if it can't be loaded."""
    if config.kitchen is not None:
        work = _imported(config.kitchen)
        if _is_async(work):
            return Kitchen(_timed_async(work))
        threads = DaemonThreads(config.concurrency, name="kitchen")
        return Kitchen(_timed_in_thread(work, threads), threads)
    cook = cook_of(config.version, config.mend)
    if cook is None:
        raise ConfigError(f"--version: {config.version!r} is not a shipped kitchen")
    rng = random.Random(config.seed)
    if not config.minute_ms:
        return Kitchen(_timed_inline(cook, rng))
    longest_s = min(_MAX_SIMULATED_S, config.order_timeout_seconds / 2)
    return Kitchen(
        _timed_async(_with_simulated_time(cook, rng, config.minute_ms, longest_s=longest_s))
    )


def failure_of(error: BaseException) -> Failure:
    """An exception as the contract's Failure, within its bounds."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a user's __str__ may do anything
        text = "(its message cannot be read)"
    return Failure(type=_plain(type(error).__name__, 200), message=_plain(text, 4000))


def timed_out(received_at: datetime, limit_s: float) -> Handling:
    """The failure of an order that exceeded its time limit."""
    return Handling(
        received_at=received_at,
        finished_at=utc_now(),
        handling_ms=limit_s * 1000,
        failure=Failure(type=TIMED_OUT, message=f"no result within {limit_s:g} s"),
    )


def _plain(text: str, longest: int) -> str:
    """Truncated, and without characters that UTF-8 or a database can't store."""
    return text[:longest].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _imported(path: str) -> Callable[[PlacedOrder], Any]:
    try:
        return import_callable(path)
    except ValueError as cause:
        raise ConfigError(f"--kitchen: {cause}") from cause


def _is_async(work: Callable[[PlacedOrder], Any]) -> bool:
    """Whether calling it returns an awaitable."""
    return inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(type(work).__call__)


def _timed_inline(cook: Cook, rng: random.Random) -> _TimedCook:
    async def run(order: PlacedOrder) -> Handling:
        return _run_timed(lambda order: cook(order, rng), order)

    return run


def _timed_in_thread(work: Callable[[PlacedOrder], Any], threads: DaemonThreads) -> _TimedCook:
    async def run(order: PlacedOrder) -> Handling:
        return await threads.run(_run_timed, work, order)

    return run


def _timed_async(work: _AsyncCook) -> _TimedCook:
    async def run(order: PlacedOrder) -> Handling:
        received_at, start = utc_now(), time.perf_counter()
        result: Any = None
        failure: Failure | None = None
        try:
            result = await work(order)
        except BaseException as error:
            if _is_cancelled_by_worker(error):
                raise
            failure = failure_of(error)
        return _handling(received_at, start, result, failure)

    return run


def _with_simulated_time(
    cook: Cook, rng: random.Random, minute_ms: float, *, longest_s: float
) -> _AsyncCook:
    """A kitchen that sleeps for as long as its result claims, scaled, with some variation."""

    async def work(order: PlacedOrder) -> Any:
        result = cook(order, rng)
        seconds = result["actual_minutes"] * minute_ms / 1000
        factor = math.exp(rng.gauss(0, _SIGMA))
        await asyncio.sleep(min(seconds * factor, longest_s))
        return result

    return work


def _run_timed(work: Callable[[PlacedOrder], Any], order: PlacedOrder) -> Handling:
    received_at, start = utc_now(), time.perf_counter()
    result: Any = None
    failure: Failure | None = None
    try:
        result = work(order)
    except BaseException as error:  # noqa: BLE001 - any exception of a kitchen is data
        failure = failure_of(error)
    return _handling(received_at, start, result, failure)


def _handling(
    received_at: datetime, start: float, result: Any, failure: Failure | None
) -> Handling:
    return Handling(
        received_at=received_at,
        finished_at=utc_now(),
        handling_ms=(time.perf_counter() - start) * 1000,
        result=result,
        failure=failure,
    )


def _is_cancelled_by_worker(error: BaseException) -> bool:
    """Whether the worker cancelled this task, rather than the kitchen raising."""
    task = asyncio.current_task()
    return (
        isinstance(error, asyncio.CancelledError | GeneratorExit)
        and task is not None
        and bool(task.cancelling())
    )

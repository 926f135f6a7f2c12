"""The relay's queues: production's first and separately, then each dark version's.

A broker that lost a dark queue's node may never reply to its declaration: production must not wait
for one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from kitchen_worker.amqp.broker import Broker, DeclareRefused, declare_or_keep
from kitchen_worker.contract import topology
from kitchen_worker.contract.messages import utc_now
from kitchen_worker.contract.topology import QueueTypes, Topology, kitchen_queue
from restaurant import launches
from restaurant.db_retry import run_in_db_thread
from restaurant.models import BrokerProblem, DarkVersion

logger = logging.getLogger(__name__)

#: Time limit for one dark version's declarations; less than that for one reply of the broker, after
#: which the session counts as lost.
DARK_TIMEOUT_S = 5.0
#: Longest wait of orders for the queues of versions that are new to this session.
NEW_DARK_TIMEOUT_S = 1.0


@dataclass
class Queues:
    """The queues declared in one session with the broker."""

    types: QueueTypes
    on_attempt: Callable[[], None] = lambda: None
    _controls: set[str] = field(default_factory=set)
    _dark: set[str] = field(default_factory=set)
    _retired: set[str] = field(default_factory=set)
    _has_removed_former: bool = False

    async def check(self, broker: Broker) -> None:
        """Declare production's queues, even if they were declared before."""
        self.forget()
        await self._database(launches.name_missing_controls)
        current = await self._database(launches.current_control)
        former = await self._database(launches.former_controls)
        await self.ensure(broker, [current, *(name for name in former if former[name])], [])
        for name, is_waited_for in former.items():
            if not is_waited_for and name not in self._retired:
                await self._retire(broker, name)
        await self._remove_former(broker)
        await self._database(partial(_forget_others, current, [*former]))

    async def check_dark(self, broker: Broker) -> None:
        """Declare the dark versions' queues, even if they were declared before."""
        for version in await self._database(launches.dark_versions):
            await self._declare_dark(broker, version)
        for one in await self._database(launches.purges_wanted):
            await self._purge(broker, one)

    async def ensure(self, broker: Broker, controls: Iterable[str], dark: Iterable[str]) -> None:
        """Declare the queues of these versions unless this session already has.

        A dark one that takes too long is left to ``check_dark``.
        """
        for control in sorted(set(controls) - self._controls):
            await self._ensure_control(broker, control)
        new = sorted(set(dark) - self._dark)
        self._dark.update(new)
        with suppress(TimeoutError):
            async with asyncio.timeout(NEW_DARK_TIMEOUT_S):
                for version in new:
                    await self._declare_dark(broker, version)

    def forget(self) -> None:
        """Declare production's queues again before the next orders are published."""
        self._controls.clear()

    async def _ensure_control(self, broker: Broker, control: str) -> None:
        """Declare a control's queues, and record any problem."""
        queue = kitchen_queue(control)
        try:
            refusals = await self._declare(broker, topology.live(control, self.types))
        except DeclareRefused as refusal:
            await self._note(queue, f"{refusal.reason}. No order can be sent.")
            raise
        await broker.unbind(topology.former_bindings(control))
        self._controls.add(control)
        self._retired.discard(control)
        await self._note(queue, _used(refusals))

    async def _declare_dark(self, broker: Broker, version: str) -> None:
        """Declare a dark version's queue, and record any problem."""
        queue = kitchen_queue(version)
        try:
            async with asyncio.timeout(DARK_TIMEOUT_S):
                problem = await self._ensure_dark(broker, version)
        except TimeoutError:
            problem = f"{queue}: the broker does not reply; the queue's node may be lost"
        await self._note(queue, problem)

    async def _ensure_dark(self, broker: Broker, version: str) -> str:
        """Declare a dark version's queue; returns the problem, if any.

        A queue with other arguments gets no more orders, and is replaced once it is empty.
        """
        queue, binding = kitchen_queue(version), topology.dark_binding(version)
        whole = topology.dark(version, self.types)
        others = tuple(one for one in whole.bindings if one != binding)
        try:
            refusals = await self._declare(broker, replace(whole, bindings=others))
            if other := next((one for one in refusals if one.name == queue), None):
                await broker.unbind([binding])
                return f"{other.reason}. It gets no orders until it is empty and replaced."
            await broker.declare(Topology(bindings=(binding,)))
        except DeclareRefused as refusal:
            return refusal.reason
        return _used(refusals)

    async def _purge(self, broker: Broker, one: DarkVersion) -> None:
        """Drop what waits for a stopped version; tried again with the next check if it fails."""
        queue = kitchen_queue(one.version)
        try:
            async with asyncio.timeout(DARK_TIMEOUT_S):
                dropped = await broker.purge_queue(queue)
        except (TimeoutError, DeclareRefused) as cause:
            logger.warning("%s was not purged: %s", queue, cause, extra={"action": "not_purged"})
            return
        await self._database(partial(launches.record_purge, one, dropped))

    async def _declare(self, broker: Broker, whole: Topology) -> list[DeclareRefused]:
        """Declare queues. Bounded ones with other arguments are replaced if they are empty.
        Returns the refusals of the rest."""
        refusals = await declare_or_keep(broker, whole)
        bounded = {one.name for one in whole.queues if "x-max-length" in one.arguments}
        replaced = [
            await broker.delete_queue(one.name, only_if_empty=True)
            for one in refusals
            if one.name in bounded
        ]
        return await declare_or_keep(broker, whole) if any(replaced) else refusals

    async def _retire(self, broker: Broker, control: str) -> None:
        """Unbind and delete a former control's queue if all its orders are answered.

        Checked again after unbinding: an order may have come meanwhile.
        """
        await broker.unbind(
            [*topology.control_bindings(control), *topology.former_bindings(control)]
        )
        self._controls.discard(control)
        if (await self._database(launches.former_controls)).get(control) is not False:
            await self.ensure(broker, [control], [])
            return
        await broker.delete_queue(kitchen_queue(control), only_if_empty=False)
        self._retired.add(control)
        logger.info("%s is no longer a control", control, extra={"action": "retired"})

    async def _remove_former(self, broker: Broker) -> None:
        """Once a session, remove the copies of the other QUEUE_TYPE."""
        if not self._has_removed_former:
            bindings, queues = topology.former_copies(self.types)
            await broker.unbind(bindings)
            for queue in queues:
                await broker.delete_queue(queue, only_if_empty=False)
            self._has_removed_former = True

    async def _note(self, queue: str, problem: str) -> None:
        await self._database(partial(_note, queue, problem))

    async def _database(self, call: Callable[[], Any]) -> Any:
        return await run_in_db_thread(call, on_attempt=self.on_attempt)


def _used(refusals: list[DeclareRefused]) -> str:
    """A problem text for queues that are used despite other arguments."""
    return " ".join(f"{one.reason}. It is used as it is, if possible." for one in refusals)


def _forget_others(current: str, former: list[str]) -> None:
    """Delete problems of versions that no longer take part."""
    names = [current, *former, *launches.dark_versions()]
    BrokerProblem.objects.exclude(queue__in=map(kitchen_queue, names)).delete()


def _note(queue: str, problem: str) -> None:
    """Record a queue's problem for the board, and log it once."""
    known = BrokerProblem.objects.filter(queue=queue).first()
    if problem == (known.reason if known else ""):
        return
    if problem:
        logger.warning("%s", problem, extra={"action": "queue_refused"})
        BrokerProblem.objects.update_or_create(
            queue=queue, defaults={"reason": problem, "since": utc_now()}
        )
    elif known is not None:
        logger.info("%s is in order again", queue, extra={"action": "queue_declared"})
        known.delete()

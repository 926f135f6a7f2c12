"""Applies the steps of the recorded run to the product: to its own functions, in its own tables.

The broker is the one in memory; everything else is what production runs: the site's insert, the
relay's outbox, answers and search for unanswered orders, the observer's batches, sweeps, dead
letters and background work, and what the forms of reviews, rules, thresholds and replays call.

Time is virtual, and what is drawn at random in production comes from the steps. While the steps are
applied these are patched, and nothing else:

* ``utc_now`` in every module of ours that has it, and Django's ``timezone.now``: the step's time;
* ``restaurant.order_writer._order``: gives an order the id and the time of the step;
* ``GATHER_S`` of the observer and of the answers: what is there is taken at once;
* ``dashboard.ingest.observer.LONGEST_S``: a slow machine judges the past in equal chunks;
* ``settings.ENVIRONMENT``: the deadline of the steps, and blocks of the default length.

The examples of a discrepancy stay random: no number depends on which they are.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial, singledispatchmethod
from typing import Any, NoReturn, TypeVar
from unittest.mock import patch
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from dashboard.board.broker import read_depths
from dashboard.comparison.outcome import Decision
from dashboard.comparison.rules import ComparisonRule, Treatment
from dashboard.ingest import observer
from dashboard.ingest.dead_letters import record_dead_letters
from dashboard.ingest.observer import Observer
from dashboard.ingest.recorder import Recording
from dashboard.ingest.rulebook import end_rule, make_rule
from dashboard.ingest.stream import Describer
from dashboard.models import Discrepancy
from dashboard.models import Rule as StoredRule
from dashboard.review import proposals
from dashboard.review.replays import request_replay
from dashboard.review.reviews import SeenRevision, review
from dashboard.review.thresholds import current_revision, set_requirements
from dashboard.verdict.evaluation import requirements_of
from kitchen_worker.amqp.broker import BrokerLost, Delivery, Outgoing
from kitchen_worker.amqp.health import Health
from kitchen_worker.amqp.shutdown import Shutdown
from kitchen_worker.contract import messages, topology
from kitchen_worker.contract.messages import Role
from kitchen_worker.testing import MemoryBroker, MemoryDeliveries
from restaurant import answers, launches, order_writer
from restaurant.description import DescriptionFunction
from restaurant.environment import DEFAULT_DESCRIPTION
from restaurant.models import Launch, Order
from restaurant.outbox import IDLE_S, Outbox
from restaurant.pricing import OrderRequest, lines_from_menu
from restaurant.queues import Queues
from restaurant.resend import Resending
from restaurant.tests.making import publish
from tests.oracle import steps
from tests.oracle.generator import DEADLINE_S, START, replayed
from tests.oracle.steps import PlacedOrder, Step

_Result = TypeVar("_Result")

_DEADLINE = timedelta(seconds=DEADLINE_S)
_RESEND_AFTER = timedelta(seconds=60)
_TYPES = topology.QueueTypes()
_DESCRIBE = Describer(DescriptionFunction(DEFAULT_DESCRIPTION))
_AUTHOR, _WHY = "ada", "a step of the recorded run"
#: Waiting messages of the queues that matter to a board.
Depths = dict[str, int]


class Driver:
    """The product, as far as the steps have come."""

    def __init__(
        self, record: Callable[[str, Depths], Any], recording: Recording | None = None
    ) -> None:
        """``record`` reads the numbers of a look, given its name and how many messages wait."""
        self.recorded: dict[str, Any] = {}
        self._record, self._recording = record, recording
        self._now = START
        self._placed: list[PlacedOrder] = []
        self._launches: list[Launch] = []
        self._broker = MemoryBroker()
        #: Orders that reached the dark queues again, and were not answered.
        self._sent_again: list[Delivery] = []

    async def play(self, whole: Iterable[Step]) -> dict[str, Any]:
        """Apply all steps; gives the numbers by the name of the look."""
        with self._virtual():
            await self._connect()
            for step in whole:
                self._now = step.at
                await self._apply(step)
        return self.recorded

    async def look_again(self, name: str, before: Callable[[], Any]) -> Any:
        """The numbers of a look once more, after something was done."""
        with self._virtual():
            await _stored(before)
            return await _stored(partial(self._record, name, self._depths))

    @contextmanager
    def _virtual(self) -> Iterator[None]:
        ours = ("dashboard", "kitchen_worker", "restaurant")
        modules = [one for name, one in [*sys.modules.items()] if name.split(".")[0] in ours]
        environment = replace(
            settings.ENVIRONMENT, deadline_s=DEADLINE_S, block_s=None, warm_up_s=60.0
        )
        patches: list[AbstractContextManager[Any]] = [
            *(
                patch.object(module, "utc_now", self._clock)
                for module in modules
                if getattr(module, "utc_now", None) is messages.utc_now
            ),
            patch.object(timezone, "now", self._clock),
            patch.object(observer, "GATHER_S", 0.0),
            patch.object(answers, "GATHER_S", 0.0),
            patch.object(observer, "LONGEST_S", math.inf),
            patch.object(settings, "ENVIRONMENT", environment),
        ]
        with ExitStack() as stack:
            for one in patches:
                stack.enter_context(one)
            yield

    def _clock(self) -> datetime:
        return self._now

    async def _connect(self) -> None:
        """New sessions of the relay and the observer."""
        broker = self._broker
        queues = Queues(_TYPES)
        await queues.check(broker)
        self._outbox, self._resending = Outbox(queues), Resending(queues, _RESEND_AFTER)
        self._answers = await broker.consume(topology.ANSWERS_QUEUE, prefetch=answers.PREFETCH)
        self._observer = Observer(
            _TYPES,
            _DEADLINE,
            Shutdown(),
            Health(),
            _DESCRIBE,
            recording=self._recording,
        )
        await broker.declare(topology.stream(_TYPES))
        self._events = await broker.consume(topology.STREAM_QUEUE, prefetch=observer.PREFETCH)
        self._recorder = await self._observer.take_over()
        self._dead = await broker.consume(topology.DEAD_LETTERS_QUEUE, prefetch=observer.BATCH)

    @singledispatchmethod
    async def _apply(self, step: Step) -> None:
        raise NotImplementedError(step)

    @_apply.register
    async def _(self, step: steps.LaunchStarts) -> None:
        dark = [(name, Role(role), Decimal(percent)) for name, role, percent in step.dark]
        start = partial(launches.start_launch, step.name, step.control, dark, pk=step.id)
        self._launches.append(await _stored(partial(start, author=_AUTHOR, reason=_WHY)))

    @_apply.register
    async def _(self, step: steps.VersionJoins) -> None:
        role, percent = Role(step.role), Decimal(step.percent)
        join = partial(launches.add_version, self._launch, step.version, role, percent)
        await _stored(partial(join, author=_AUTHOR, reason=_WHY))

    @_apply.register
    async def _(self, step: steps.PercentChanges) -> None:
        change = partial(launches.set_percent, self._launch, step.version, Decimal(step.percent))
        await _stored(partial(change, author=_AUTHOR, reason=_WHY))

    @_apply.register
    async def _(self, step: steps.LaunchEnds) -> None:
        await _stored(partial(launches.end_launch, self._launch, author=_AUTHOR, reason=_WHY))

    @_apply.register
    async def _(self, step: steps.OrdersPlaced) -> None:
        self._placed += step.orders
        await _stored(partial(_place, step.orders))

    @_apply.register
    async def _(self, step: steps.RelayWorks) -> None:
        while await publish(self._outbox, self._broker) != IDLE_S:
            pass
        while await answers.step(self._broker, self._answers, wait_s=0.0):
            pass
        self._take_orders()

    @_apply.register
    async def _(self, step: steps.RelayChecks) -> None:
        await self._resending.resend_unanswered(self._broker)
        self._take_orders()

    @_apply.register
    async def _(self, step: steps.Published) -> None:
        await self._publish(step.messages)

    @_apply.register
    async def _(self, step: steps.BrokerGoes) -> None:
        self._broker.lose()

    @_apply.register
    async def _(self, step: steps.BrokerReturns) -> None:
        self._broker.restore()
        await self._connect()

    @_apply.register
    async def _(self, step: steps.ObserverWorks) -> None:
        if step.loses_ack:
            with suppress(BrokerLost):
                await self._observer.step(self._broker, _NoAck(self._events), wait_s=0.0)
            self._broker.lose("the observer is killed")
            self._broker.restore()
            await self._connect()
        while self._broker.bodies(topology.STREAM_QUEUE):
            await self._observer.step(self._broker, self._events, wait_s=0.0)
        while self._broker.bodies(topology.DEAD_LETTERS_QUEUE):
            batch = await self._dead.batch(at_most=observer.BATCH, gather_s=0.0, wait_s=0.0)
            number = UUID(int=batch[0].tag, version=4)
            await _stored(partial(record_dead_letters, batch, number, self._now))
            await self._dead.ack(batch)

    @_apply.register
    async def _(self, step: steps.ObserverSweeps) -> None:
        await self._observer._sweep(self._broker, self._now)
        while self._observer._is_sweeping:
            await self._observer._sweep(self._broker, self._now)

    @_apply.register
    async def _(self, step: steps.BackgroundWorks) -> None:
        work = observer.BackgroundJobs(
            Shutdown(),
            recorder=lambda: self._recorder,
            is_busy=lambda: False,
            on_change=lambda _: None,
        )
        while await work.step(self._broker):
            pass
        self._take_orders()

    @_apply.register
    async def _(self, step: steps.ReviewMade) -> None:
        def decide() -> None:
            row = self._discrepancy(step)
            decision = Decision(step.decision)
            review([SeenRevision(row.pk, row.revision)], decision, note=step.note, author=_AUTHOR)

        await _stored(decide)

    @_apply.register
    async def _(self, step: steps.RuleMade) -> None:
        draft = ComparisonRule(
            id=0,
            path=step.path,
            treatment=Treatment(step.treatment),
            version=step.version,
            absolute=step.absolute,
            key=step.key,
            pattern=step.pattern,
            replacement=step.replacement,
        )
        make = partial(make_rule, draft, reason=_WHY, author=_AUTHOR, expires_at=None)
        await _stored(partial(make, now=self._now))

    @_apply.register
    async def _(self, step: steps.RuleEnds) -> None:
        def end() -> None:
            rule = StoredRule.objects.get(path=step.path, treatment=step.treatment)
            end_rule(rule, author=_AUTHOR, now=self._now)

        await _stored(end)

    @_apply.register
    async def _(self, step: steps.PastJudged) -> None:
        await _stored(
            partial(proposals.request_rejudging, self._launch.pk, author=_AUTHOR, now=self._now)
        )

    @_apply.register
    async def _(self, step: steps.ThresholdsSet) -> None:
        def change() -> None:
            launch = self._launch.pk
            required = replace(requirements_of(launch), **step.thresholds)
            seen, why = current_revision(launch), {"author": _AUTHOR, "reason": _WHY}
            set_requirements(launch, required, **why, now=self._now, seen=seen)

        await _stored(change)

    @_apply.register
    async def _(self, step: steps.ReplayAsked) -> None:
        def ask() -> None:
            row = self._discrepancy(step)
            request_replay(
                row,
                launch=self._launch,
                revision=row.revision,
                author=_AUTHOR,
                close_when_agreed=True,
                now=self._now,
            )

        await _stored(ask)

    @_apply.register
    async def _(self, step: steps.ReplayAnswered) -> None:
        """Which orders they are, and under which ids they came, the product has chosen."""
        sent, self._sent_again = self._sent_again, []
        found = [(UUID(one.headers[topology.REPLAY_HEADER]), one) for one in sent]
        orders = {order.id: order for order in self._placed}
        found.sort(key=lambda one: orders[one[0]].number)
        await self._publish(
            [
                replayed(orders[order], UUID(one.message_id), step.build, self._now)
                for order, one in found[: len(found) - step.silent_on]
            ]
        )

    @_apply.register
    async def _(self, step: steps.Looked) -> None:
        versions = [one.removeprefix("kitchen.") for one in self._broker.queues]
        self._depths: Depths = {}
        with suppress(BrokerLost):
            self._depths = await read_depths(self._broker, versions)
        self.recorded[step.name] = await _stored(partial(self._record, step.name, self._depths))

    @property
    def _launch(self) -> Launch:
        return self._launches[-1]

    def _discrepancy(self, step: steps.ReviewMade | steps.ReplayAsked) -> Discrepancy:
        return Discrepancy.objects.get(
            launch=self._launch.pk, version=step.version, kind=step.kind, path=step.path
        )

    async def _publish(self, messages: Sequence[steps.Message]) -> None:
        refused = await self._broker.publish(
            [
                Outgoing(
                    exchange=one.exchange,
                    routing_key=one.routing_key,
                    body=one.body,
                    headers=one.headers,
                )
                for one in messages
            ]
        )
        assert not any(refused), refused

    def _take_orders(self) -> None:
        """The kitchens take their orders: what they make of them, the steps say."""
        for name, queue in self._broker.queues.items():
            if name.startswith(topology.kitchen_queue("")):
                again = [one for one in queue.waiting if topology.REPLAY_HEADER in one.headers]
                self._sent_again += again
                queue.waiting.clear()


class _NoAck:
    """Deliveries whose acknowledgement never reaches the broker."""

    def __init__(self, deliveries: MemoryDeliveries) -> None:
        self.queue, self.batch = deliveries.queue, deliveries.batch
        self.set_prefetch, self.cancel = deliveries.set_prefetch, deliveries.cancel

    async def ack(self, deliveries: Sequence[Delivery]) -> NoReturn:
        raise BrokerLost("the observer is killed before it acknowledges")


def _place(orders: Sequence[PlacedOrder]) -> None:
    """What the site does, with the ids and the times of the steps."""
    requests = [OrderRequest(lines_from_menu(one.items), one.note) for one in orders]
    given = {id(request): order for request, order in zip(requests, orders, strict=True)}
    make = order_writer._order

    def order(request: OrderRequest, now: datetime, **more: Any) -> Order:
        made = make(request, given[id(request)].placed_at, **more)
        made.uuid = given[id(request)].id
        return made

    with patch.object(order_writer, "_order", order), transaction.atomic():
        placed = order_writer.write_orders(requests)
    assert [one.pk for one in placed] == [one.number for one in orders]


async def _stored(work: Callable[[], _Result]) -> _Result:
    return await sync_to_async(work)()

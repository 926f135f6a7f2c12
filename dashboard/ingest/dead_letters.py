"""Records dead letters, so that the board can show their queue and reason.

A queue without a consumer dead-letters every order, so this must be cheap: all dead letters are
counted, but only a few of those that the broker dropped for one reason are kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import F, QuerySet

from dashboard.comparison.foreign_text import storable
from dashboard.database import atomic
from dashboard.fold.accounting import graver
from dashboard.fold.records import Key, Loss
from dashboard.models import DeadLetter, DeadLetterBatch, DeadLetterTally
from kitchen_worker.amqp.broker import Delivery
from kitchen_worker.amqp.dead_letters import concerns
from kitchen_worker.contract.topology import (
    FORMER_HANDOVER_QUEUE,
    HANDOVER_QUEUES,
    REASON_HEADER,
    REPLAY_HEADER,
    STREAM_QUEUE,
    kitchen_queue,
)

#: Newest dead letters kept; all are counted.
KEPT = 1000
#: Of these, dropped by the broker from one queue for one reason.
KEPT_DROPS = 20
#: Keys of the last batch, and of earlier messages that may still be redelivered.
_REMEMBERED = 3000
_EXCERPT = 2000
_MAX_QUEUE = 200
_MAX_VERSION = 40
_MAX_ORDER = 100
_MAX_REASON = 1000
QUEUE_FULL = "dropped: the queue was full"
#: The broker's reasons that are bounds of a queue.
_BOUNDS = ("maxlen", "expired")
#: The broker's reasons in plain words.
_BROKER_REASONS = {
    "maxlen": QUEUE_FULL,
    "expired": "dropped: it waited too long",
    "rejected": "refused by a consumer",
    "delivery_limit": "delivered too often",
}


def record_dead_letters(deliveries: Sequence[Delivery], batch: UUID, now: datetime) -> None:
    """Count dead letters and keep some, in one transaction.

    Neither a repeated batch nor a redelivered message of the last batch counts twice.
    """
    with atomic():
        last = DeadLetterBatch.objects.select_for_update().filter(pk=1).first()
        if last is None:
            last = DeadLetterBatch(pk=1)
        elif last.batch == batch:
            return
        recorded = Counter(last.keys)
        new = _new(deliveries, recorded)
        keys = [_key(delivery) for delivery in deliveries]
        if any(delivery.redelivered for delivery in deliveries):
            keys += recorded.elements()  # the rest of them may come with the next batch
        last.batch, last.keys = batch, keys[:_REMEMBERED]
        last.save()
        _count(new)
        _keep(new, now)


def losses_in(deliveries: Iterable[Delivery]) -> dict[Key, Loss]:
    """The orders that versions lost, by these dead letters: of a kitchen's queue, and reports that
    the observer refused."""
    found: dict[Key, Loss] = {}
    for delivery in deliveries:
        queue, is_refused = _queue(delivery), REASON_HEADER in delivery.headers
        # A replayed order is a copy, and names the live one.
        if REPLAY_HEADER in delivery.headers:
            continue
        version, order = concerns(queue, delivery, delivery.body)
        if not (0 < len(version) <= _MAX_VERSION and 0 < len(order) <= _MAX_ORDER):
            continue
        if queue != kitchen_queue(version) and not (queue == STREAM_QUEUE and is_refused):
            continue
        dropped = not is_refused and next(_causes(delivery), "") in _BOUNDS
        loss = Loss.DROPPED if dropped else Loss.REFUSED
        found[order, version] = graver(found.get((order, version)), loss)
    return found


def _new(deliveries: Iterable[Delivery], recorded: Counter[str]) -> list[Delivery]:
    """The deliveries without redelivered ones that were recorded before."""
    new = []
    for delivery in deliveries:
        if delivery.redelivered and recorded[key := _key(delivery)]:
            recorded[key] -= 1
        else:
            new.append(delivery)
    return new


def _key(delivery: Delivery) -> str:
    named = f"{delivery.routing_key}\n{delivery.message_id}\n".encode("utf-8", "replace")
    return hashlib.blake2b(named + delivery.body, digest_size=8).hexdigest()


def _count(deliveries: Iterable[Delivery]) -> None:
    for queue, count in sorted(Counter(map(_queue, deliveries)).items()):
        DeadLetterTally.objects.get_or_create(queue=queue)
        DeadLetterTally.objects.filter(queue=queue).update(count=F("count") + count)


def _keep(deliveries: Sequence[Delivery], now: datetime) -> None:
    """Keep the newest, only a few of those dropped by the broker, and delete older ones."""
    drops: Counter[tuple[str, str]] = Counter()
    kept = []
    for delivery in reversed(deliveries):
        key = _queue(delivery), _reason(delivery)
        if REASON_HEADER not in delivery.headers:
            drops[key] += 1
            if drops[key] > KEPT_DROPS:
                continue
        kept.append(_dead_letter(delivery, *key, now))
    DeadLetter.objects.bulk_create(reversed(kept[:KEPT]))
    for queue, reason in drops:
        _trim(DeadLetter.objects.filter(queue=queue, reason=reason), KEPT_DROPS)
    _trim(DeadLetter.objects.all(), KEPT)


def _trim(rows: QuerySet[DeadLetter], kept: int) -> None:
    newest_to_delete = rows.values_list("id", flat=True)[kept : kept + 1].first()
    if newest_to_delete is not None:
        rows.filter(id__lte=newest_to_delete).delete()


def _dead_letter(delivery: Delivery, queue: str, reason: str, now: datetime) -> DeadLetter:
    text = storable(delivery.body[:_EXCERPT].decode("utf-8", "replace"))
    version, order = concerns(queue, delivery, delivery.body)
    return DeadLetter(
        queue=queue,
        reason=reason,
        version=version[:_MAX_VERSION],
        order=order[:_MAX_ORDER],
        excerpt=text,
        size=len(delivery.body),
        seen_at=now,
    )


def _queue(delivery: Delivery) -> str:
    return delivery.routing_key[:_MAX_QUEUE]


def _reason(delivery: Delivery) -> str:
    given = delivery.headers.get(REASON_HEADER)
    if isinstance(given, str):
        return storable(given)[:_MAX_REASON]
    cause = next(_causes(delivery), "")
    return _BROKER_REASONS.get(cause, cause or "no reason given")[:_MAX_REASON]


def _causes(delivery: Delivery) -> Iterator[str]:
    """Why the broker dead-lettered a message, last time first; handovers don't count."""
    deaths = delivery.headers.get("x-death")
    for death in deaths if isinstance(deaths, list) else ():
        if death.get("queue") not in (*HANDOVER_QUEUES, FORMER_HANDOVER_QUEUE):
            yield str(death.get("reason", ""))

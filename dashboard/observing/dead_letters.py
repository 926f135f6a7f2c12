"""Records that a message was dead-lettered, so that the board can say it: where, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F

from dashboard.models import DeadLetter, DeadLetterTally
from kitchen_worker.contract.topology import REASON_HEADER
from kitchen_worker.contract.wire import Delivery

#: Dead letters kept to be looked at; the count goes on.
KEPT = 1000
_EXCERPT = 2000
#: What the broker's own dead-lettering says, in plain words.
_BROKER_REASONS = {
    "maxlen": "dropped: the queue was full",
    "expired": "dropped: it waited too long",
    "rejected": "refused by a consumer",
    "delivery_limit": "delivered too often",
}


def record_dead_letters(deliveries: Sequence[Delivery], now: datetime) -> None:
    """Record copies of dead letters, in one transaction; the oldest beyond KEPT are let go."""
    letters = [_dead_letter(delivery, now) for delivery in deliveries]
    with transaction.atomic():
        DeadLetter.objects.bulk_create(letters[-KEPT:])
        for queue, count in Counter(letter.queue for letter in letters).items():
            DeadLetterTally.objects.get_or_create(queue=queue)
            DeadLetterTally.objects.filter(queue=queue).update(count=F("count") + count)
        oldest = DeadLetter.objects.values_list("id", flat=True)[KEPT : KEPT + 1].first()
        if oldest is not None:
            DeadLetter.objects.filter(id__lte=oldest).delete()


def _dead_letter(delivery: Delivery, now: datetime) -> DeadLetter:
    text = delivery.body[:_EXCERPT].decode("utf-8", "replace").replace("\x00", "\ufffd")
    return DeadLetter(
        queue=delivery.routing_key[:200],
        reason=_reason(delivery)[:1000],
        excerpt=text,
        size=len(delivery.body),
        seen_at=now,
    )


def _reason(delivery: Delivery) -> str:
    given = delivery.headers.get(REASON_HEADER)
    if isinstance(given, str):
        return given.replace("\x00", "\ufffd")
    deaths = delivery.headers.get("x-death")
    cause = str(deaths[0].get("reason", "")) if isinstance(deaths, list) and deaths else ""
    return _BROKER_REASONS.get(cause, cause or "no reason given")

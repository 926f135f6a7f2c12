"""What the observer records: orders, observations, participants, chart points, dead letters."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from django.db import models
from django.db.models import Q

from dashboard.comparison.foreign_text import visible
from dashboard.comparison.outcome import Outcome, State
from dashboard.fold.records import Loss
from kitchen_worker.contract.messages import Role


def choices(kinds: type[StrEnum]) -> list[tuple[str, str]]:
    """The values of an enumeration as a field's choices."""
    return [(kind.value, kind.value.replace("_", " ")) for kind in kinds]


class ObservedOrder(models.Model):
    """One order of a launch, from its message. ``id`` follows the order of arrival.

    The observer assigns all ids of this module.
    """

    id = models.BigIntegerField(primary_key=True)
    order_id = models.CharField(max_length=100)
    launch = models.UUIDField()
    #: For display; not every system numbers its orders.
    number = models.BigIntegerField(null=True)
    placed_at = models.DateTimeField()
    sent_at = models.DateTimeField()
    arrived_at = models.DateTimeField()
    body = models.BinaryField()
    #: For display.
    label = models.CharField(max_length=500, blank=True)
    size = models.PositiveIntegerField(default=0)
    #: As in ``item:burger``.
    categories = models.JSONField(default=list)
    #: The dark versions that it was sent to.
    sample = models.JSONField(default=list)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order_id"], name="one_observed_order")
        ]
        indexes: ClassVar = [
            models.Index(fields=["launch", "-id"], name="observed_orders_of_a_launch"),
            models.Index(fields=["launch", "number"], name="observed_orders_by_number"),
        ]

    def __str__(self) -> str:
        return visible(f"#{self.number}" if self.number is not None else self.order_id)


class StubOrder(models.Model):
    """An order known only from reports, which wait here for its message."""

    order_id = models.CharField(max_length=100, primary_key=True)
    since = models.DateTimeField(db_index=True)
    #: The reports as JSON.
    pending = models.BinaryField()

    def __str__(self) -> str:
        return visible(self.order_id)


class Participant(models.Model):
    """A version's part in a launch, with its counters."""

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    role = models.CharField(max_length=9, choices=choices(Role))
    build = models.CharField(max_length=200, blank=True)
    #: Its builds, as dashboard.comparison.outcome.BuildSpan.
    builds = models.JSONField(default=list)
    #: Orders that this version received or was sent.
    orders = models.PositiveBigIntegerField(default=0)
    handled = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    missing = models.PositiveBigIntegerField(default=0)
    #: Answers after the deadline; they also count as handled or failed.
    late = models.PositiveBigIntegerField(default=0)
    #: Repeated ends of an order; the first one counts.
    repeats = models.PositiveBigIntegerField(default=0)
    #: Orders that both the control and this version have ended; 0 for the control.
    pairs = models.PositiveBigIntegerField(default=0)
    #: Pairs by cell (dashboard.comparison.outcome.cell); empty for the control.
    matrix = models.JSONField(default=dict)
    #: Handling times: a LogHistogram's buckets.
    times = models.JSONField(default=dict)
    #: Time of its last report.
    newest_at = models.DateTimeField(null=True)
    #: When its newest ended order was placed.
    ended_until = models.DateTimeField(null=True)
    #: Orders whose sample names it, and how many of these are at which place
    #: (dashboard.fold.accounting.Place).
    sampled = models.PositiveBigIntegerField(default=0)
    account = models.JSONField(default=dict)
    #: dashboard.verdict.hindsight.Hindsight; of the control .live_effect.LiveEffect and
    #: .capacity.Arrivals.
    hindsight = models.JSONField(default=dict)
    live_effect = models.JSONField(default=dict)
    arrivals = models.JSONField(default=dict)
    #: The five above include the orders from this id on, which came since this time; null: all.
    accounted_from = models.BigIntegerField(default=0)
    accounted_since = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["launch", "version"], name="one_participant_a_version")
        ]

    def __str__(self) -> str:
        return f"{self.version}: {self.handled} handled"


class ObserverState(models.Model):
    """One row: the observer's epoch, its progress, and counters outside launches."""

    #: Rises when another observer takes over.
    epoch = models.PositiveBigIntegerField(default=0)
    #: When the active observer last reported.
    recorded_at = models.DateTimeField(null=True)
    #: Rises when another process changes what the observer keeps in memory.
    changes = models.PositiveBigIntegerField(default=0)
    #: Least id of the next order; lower ones are reserved for copied history.
    first_order = models.BigIntegerField(default=1)
    first_observation = models.BigIntegerField(default=1)
    #: Orders of the last release up to this id remain to be copied (`carry_over`); 0: none.
    history_until = models.BigIntegerField(default=0)
    #: The last ObservedOrder whose missing answers were counted.
    swept_until = models.BigIntegerField(default=0)
    #: Events of orders that were placed outside any launch.
    events_outside = models.PositiveBigIntegerField(default=0)
    #: Orders that the description function could not describe.
    undescribed = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"observer {self.epoch}"


class RelaySession(models.Model):
    """The sequence numbers of a relay's orders that were seen; gaps are lost orders."""

    #: As the relay's header has it.
    session = models.CharField(max_length=100, primary_key=True)
    launch = models.UUIDField(null=True, db_index=True)
    #: First and last number of each range, ascending.
    ranges = models.JSONField(default=list)
    #: Numbers in gaps that can no longer be filled.
    lost = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.session}: {self.ranges}"


class Observation(models.Model):
    """What one version did with one order, compared with the control.

    Durations are in milliseconds. A pair that agrees changes no indexed column.
    """

    id = models.BigIntegerField(primary_key=True)
    order = models.ForeignKey(
        ObservedOrder,
        on_delete=models.DO_NOTHING,
        related_name="observations",
        db_constraint=False,
        db_index=False,  # one_observation_a_participant begins with it
    )
    participant = models.ForeignKey(
        Participant,
        on_delete=models.DO_NOTHING,
        related_name="observations",
        db_constraint=False,
        db_index=False,
    )
    state = models.CharField(max_length=8, choices=choices(State))
    #: The answer came after the deadline.
    late = models.BooleanField(default=False)
    build = models.CharField(max_length=200, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    delivery = models.PositiveIntegerField(default=1)
    received_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    queue_ms = models.FloatField(null=True)
    handling_ms = models.FloatField(null=True)
    #: The result as it came, JSON; empty unless handled.
    result = models.BinaryField(default=bytes)
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    #: Ids of the report that ended it and of repeats, as JSON; null before.
    event_ids = models.TextField(null=True)  # noqa: DJ001
    #: When it was compared with the control; null while one of the two has not ended.
    judged_at = models.DateTimeField(null=True)
    #: The outcome of the pair; null if it agrees or is not judged.
    exception = models.CharField(max_length=16, null=True, choices=choices(Outcome))  # noqa: DJ001
    #: Id of the pair's Signature; null without differences.
    signature = models.BigIntegerField(null=True)
    #: The discrepancies as JSON if the signature is folded, else empty.
    members = models.TextField(blank=True)
    #: Whether it took longer than the control; null unless both handled the order.
    slower = models.BooleanField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["order", "participant"], name="one_observation_a_participant"
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["participant", "exception", "-order"],
                name="exceptions",
                condition=Q(exception__isnull=False),
            ),
            models.Index(
                fields=["signature", "-order"],
                name="observations_by_signature",
                condition=Q(signature__isnull=False),
            ),
            models.Index(
                fields=["participant", "-order"],
                name="slower_observations",
                condition=Q(slower=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.state} {self.order_id}"


class LostOrder(models.Model):
    """An order of a version that a dead letter names; the order may be unknown."""

    order_id = models.CharField(max_length=100)
    version = models.CharField(max_length=40)
    cause = models.CharField(max_length=8, choices=choices(Loss))
    seen_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order_id", "version"], name="one_loss_a_version")
        ]
        indexes: ClassVar = [models.Index(fields=["version", "cause", "-id"], name="lost_orders")]

    def __str__(self) -> str:
        return visible(f"{self.cause} {self.order_id}")


class TimeSlice(models.Model):
    """One version's counts and times in one interval: a point of the charts."""

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    #: Start in seconds since 1970, a multiple of the interval's length.
    start = models.BigIntegerField()
    handled = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    p50 = models.FloatField(null=True)
    p95 = models.FloatField(null=True)
    p99 = models.FloatField(null=True)
    #: Handling times: a LogHistogram's buckets.
    times = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["launch", "start", "version"], name="one_slice_a_version_and_start"
            )
        ]

    def __str__(self) -> str:
        return f"{self.version} from {self.start}"


class DeadLetter(models.Model):
    """A message that could not be read or handled. Only the newest are kept."""

    queue = models.CharField(max_length=200)
    reason = models.CharField(max_length=1000)
    #: Empty if unreadable.
    version = models.CharField(max_length=40, blank=True)
    order = models.CharField(max_length=100, blank=True)
    #: The start of the message, as text.
    excerpt = models.TextField(blank=True)
    size = models.PositiveIntegerField(default=0)
    seen_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return visible(f"{self.queue}: {self.reason}")


class DeadLetterTally(models.Model):
    """How many dead letters came from each queue in total."""

    queue = models.CharField(max_length=200, primary_key=True)
    count = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.queue}: {self.count}"


class DeadLetterBatch(models.Model):
    """One row: the last counted batch of dead letters; the keys detect redeliveries."""

    batch = models.UUIDField()
    keys = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"batch {self.batch} of {len(self.keys)}"

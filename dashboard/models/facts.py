"""Facts: what was observed, what was paired, and the running state of a launch."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from dashboard.domain.foreign_text import visible
from dashboard.domain.outcome import Outcome, State
from dashboard.models.choices import choices
from kitchen_worker.contract.messages import Role


class Observation(models.Model):
    """What one version did with one order. Durations are milliseconds."""

    launch = models.UUIDField()
    order = models.UUIDField()
    version = models.CharField(max_length=40)
    role = models.CharField(max_length=9, choices=choices(Role))
    state = models.CharField(max_length=8, choices=choices(State))
    #: True when the answer came after the deadline had passed.
    late = models.BooleanField(default=False)
    build = models.CharField(max_length=200, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    delivery = models.PositiveIntegerField(default=1)
    placed_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    queue_ms = models.FloatField(null=True)
    handling_ms = models.FloatField(null=True)
    #: The result as JSON text; empty unless handled.
    result = models.TextField(blank=True)
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    #: The ids of the event that ended it and of its repeats, as JSON text; null while none did.
    event_ids = models.TextField(null=True)  # noqa: DJ001

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "version"], name="one_observation_a_version")
        ]

    def __str__(self) -> str:
        return f"{self.version} {self.state} {self.order}"


class Comparison(models.Model):
    """A pair: what the control and another version made of the same order, once both have ended."""

    launch = models.UUIDField()
    order = models.UUIDField()
    #: The version that is held against the control.
    version = models.CharField(max_length=40)
    outcome = models.CharField(max_length=16, choices=choices(Outcome))
    control_ms = models.FloatField(null=True)
    version_ms = models.FloatField(null=True)
    #: The Signature of the differences that it shows; null where it shows none.
    signature = models.BigIntegerField(null=True)
    #: The signature's members where that is the folded one, as JSON text; else empty.
    members = models.TextField(blank=True)
    #: True when the version took longer than the control; null unless both handled the order.
    slower = models.BooleanField(null=True)
    compared_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "version"], name="one_comparison_a_version")
        ]
        indexes: ClassVar = [
            models.Index(fields=["launch", "version", "outcome", "-id"], name="pairs_by_outcome"),
            models.Index(
                fields=["launch", "version", "-id"],
                name="slower_pairs",
                condition=models.Q(slower=True),
            ),
            models.Index(
                fields=["signature", "-id"],
                name="pairs_by_signature",
                condition=models.Q(signature__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} {self.outcome} {self.order}"


class Tally(models.Model):
    """The running state of one version in one launch: constant size, updated with each batch."""

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    role = models.CharField(max_length=9)
    build = models.CharField(max_length=200, blank=True)
    #: Its builds, each with when it was first and last heard of (dashboard.domain.builds).
    builds = models.JSONField(default=list)
    #: Orders this version was seen to have, or known to owe.
    orders = models.PositiveBigIntegerField(default=0)
    handled = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    missing = models.PositiveBigIntegerField(default=0)
    #: Answers after the deadline; they count as handled or failed, too.
    late = models.PositiveBigIntegerField(default=0)
    #: Ends that were heard more than once; the first one counts.
    repeats = models.PositiveBigIntegerField(default=0)
    #: Orders that both the control and this version have ended; none for the control itself.
    pairs = models.PositiveBigIntegerField(default=0)
    #: The outcome matrix: pairs by cell (dashboard.domain.outcome.cell); empty for the control.
    matrix = models.JSONField(default=dict)
    #: Handling times: a LogHistogram's buckets.
    sketch = models.JSONField(default=dict)
    #: When it was last heard of.
    newest_at = models.DateTimeField(null=True)
    #: When the newest of the orders that it has ended was placed.
    ended_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "tallies"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["launch", "version"], name="one_tally_a_version")
        ]

    def __str__(self) -> str:
        return f"{self.version}: {self.handled} handled"


class TimeSlice(models.Model):
    """What one version did in one stretch of time: the points of the charts."""

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    #: Start of the stretch, in whole seconds since 1970, a multiple of its length.
    start = models.BigIntegerField()
    handled = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    p50 = models.FloatField(null=True)
    p95 = models.FloatField(null=True)
    p99 = models.FloatField(null=True)
    sketch = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["launch", "start", "version"], name="one_slice_a_version_and_start"
            )
        ]

    def __str__(self) -> str:
        return f"{self.version} from {self.start}"


class DeadLetter(models.Model):
    """A message that nobody could read or handle: where it was, and why. The newest are kept."""

    queue = models.CharField(max_length=200)
    reason = models.CharField(max_length=1000)
    #: What it concerns, where that could be read.
    version = models.CharField(max_length=40, blank=True)
    order = models.UUIDField(null=True, blank=True)
    #: The start of the message, as text.
    excerpt = models.TextField(blank=True)
    size = models.PositiveIntegerField(default=0)
    seen_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return visible(f"{self.queue}: {self.reason}")


class DeadLetterTally(models.Model):
    """How many dead letters each queue has given, ever."""

    queue = models.CharField(max_length=200, primary_key=True)
    count = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.queue}: {self.count}"


class DeadLetterBatch(models.Model):
    """The batch of dead letters that was counted last; one row. What is delivered again is known
    by its key."""

    batch = models.UUIDField()
    keys = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"batch {self.batch} of {len(self.keys)}"


class Sweep(models.Model):
    """Up to when a launch's letters have been looked through for orders that nobody answered."""

    launch = models.UUIDField(primary_key=True)
    swept_until = models.DateTimeField()
    #: The launch has ended, and none of its letters is left to look through.
    finished = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.launch} until {self.swept_until}"

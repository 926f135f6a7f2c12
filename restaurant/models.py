"""The restaurant's tables: orders with their lines, the outbox, and launches."""

from __future__ import annotations

import secrets
import time
import uuid
from datetime import UTC
from decimal import Decimal
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.lookups import IsNull

from kitchen_worker.contract.messages import VERSION_PATTERN, Role

_version_name = RegexValidator(
    VERSION_PATTERN, "Lower-case letters, digits and dashes, at most 40 of them."
)


def uuid7() -> uuid.UUID:
    """A new id that sorts by time: RFC 9562's version 7, with a resolution of 1/4096 ms."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    return uuid.UUID(
        int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)
    )


class Launch(models.Model):
    """One run of a dark launch: the control, and the dark versions with their percents.

    At most one launch is open. Without one, orders go only to the control of the last launch (or
    ``vlatest``), and nothing is observed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    control = models.CharField(max_length=40, default="vlatest", validators=[_version_name])
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    #: The planned end: a time or a number of orders, whichever comes first.
    ends_at = models.DateTimeField(
        "ends at",
        null=True,
        blank=True,
        help_text="Planned end, in UTC: nothing is sent in the dark from then on, and the verdict"
        " is final.",
    )
    ends_after = models.PositiveBigIntegerField(
        "ends after",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Planned end, in orders of the launch. With a time as well: whichever comes"
        " first.",
    )

    class Meta:
        ordering: ClassVar = ["-started_at"]
        verbose_name_plural = "launches"
        constraints: ClassVar = [
            models.UniqueConstraint(
                IsNull(models.F("ended_at"), True),
                condition=Q(ended_at__isnull=True),
                name="one_open_launch",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def planned_end(self) -> str:
        """The planned end in words; empty if there is none."""
        at = f"{self.ends_at.astimezone(UTC):%-d %b %Y, %H:%M} UTC" if self.ends_at else ""
        plural = "" if self.ends_after == 1 else "s"
        orders = f"{self.ends_after:,} order{plural}" if self.ends_after else ""
        return " or ".join(filter(None, (at, orders)))


class DarkVersion(models.Model):
    """A version that handles a launch's orders in the dark, and its percent of them."""

    launch = models.ForeignKey(Launch, on_delete=models.CASCADE, related_name="dark_versions")
    version = models.CharField(max_length=40, validators=[_version_name])
    role = models.CharField(
        max_length=9,
        choices=[(Role.CANDIDATE.value, "candidate"), (Role.BASELINE.value, "baseline")],
    )
    percent = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        default=Decimal(100),
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))],
        help_text="Share of orders that this version handles in the dark; 0 stops it at once.",
    )
    #: Who asked the relay to drop the orders that wait in its queue; empty if nobody.
    purge_for = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        ordering: ClassVar = ["-role", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["launch", "version"], name="one_row_a_dark_version"),
            models.CheckConstraint(
                condition=Q(percent__gte=0, percent__lte=100), name="percent_0_to_100"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} ({self.role}, {self.percent.normalize():f} %)"


class LaunchChangeKind(models.TextChoices):
    STARTED = "started", "started"
    ADDED = "added", "version added"
    PERCENT = "percent", "percent changed"
    RENAMED = "renamed", "renamed"
    PLANNED = "planned", "end planned"
    ENDED = "ended", "ended"
    PURGED = "purged", "queue purged"


class LaunchChange(models.Model):
    """One change of a launch; written with it by ``launches.py``, never changed."""

    launch = models.ForeignKey(Launch, on_delete=models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=8, choices=LaunchChangeKind.choices)
    #: The dark version that was changed; empty for the launch itself.
    version = models.CharField(max_length=40, blank=True)
    old = models.TextField(blank=True)
    new = models.TextField(blank=True)
    author = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.subject} {self.values}"

    @property
    def subject(self) -> str:
        return self.version or ("queue" if self.kind == LaunchChangeKind.PURGED else "launch")

    @property
    def short(self) -> str:
        """``vnext 25 %``, ``renamed``."""
        is_percent = self.kind == LaunchChangeKind.PERCENT
        return f"{self.version} {self.new}" if is_percent else LaunchChangeKind(self.kind).label

    @property
    def values(self) -> str:
        """The old and the new value."""
        values = f"{self.old} \N{RIGHTWARDS ARROW} {self.new}" if self.old else self.new
        if self.kind == LaunchChangeKind.PLANNED:
            return f"planned end: {values}"
        named = self.kind in (LaunchChangeKind.PERCENT, LaunchChangeKind.ENDED)
        return values if named else f"{self.kind}: {values}"


class OrderState(models.TextChoices):
    PLACED = "placed", "placed"
    IN_KITCHEN = "in_kitchen", "in the kitchen"
    READY = "ready", "ready"
    FAILED = "failed", "failed"


class ResendReason(models.TextChoices):
    """Why an order was sent to the control again."""

    UNANSWERED = "unanswered", "no answer in time"
    UNROUTED = "unrouted", "the control's queue was missing"
    HANDED_OVER = "handed over", "its own control was retired"


class Order(models.Model):
    """What a customer ordered, its message, and the live kitchen's answer.

    ``id`` is the order's number.
    """

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(unique=True, default=uuid7, editable=False)
    launch = models.ForeignKey(
        Launch,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="orders",
        db_index=False,  # orders are never queried by launch
    )
    #: The version whose answer counts: the control of the order's launch.
    control = models.CharField(max_length=40, default="", db_default="")
    placed_at = models.DateTimeField()
    note = models.CharField(max_length=500, blank=True)
    total_price = models.DecimalField(max_digits=12, decimal_places=2)
    #: Minutes.
    total_prep_time = models.PositiveIntegerField()
    idempotency_key = models.CharField(max_length=200, null=True)  # noqa: DJ001
    #: Digest of what was asked under the idempotency key.
    request_digest = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=OrderState.choices, default=OrderState.PLACED)
    answer = models.JSONField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    #: The order's message; empty for old orders whose message was pruned.
    body = models.BinaryField(default=b"")
    #: The dark versions that are to handle the order, decided when it was placed.
    sample = models.JSONField(default=list)
    #: The newest change of the launch when it was placed, which tells its sample's percent; 0 if
    #: unknown.
    launch_change = models.PositiveBigIntegerField(default=0, db_default=0)
    #: When the broker confirmed its message.
    sent_at = models.DateTimeField(null=True, blank=True)
    #: How often, when last and why it was resent to the control.
    times_again = models.PositiveSmallIntegerField(default=0, db_default=0)
    again_at = models.DateTimeField(null=True, blank=True)
    again_reason = models.CharField(
        max_length=12, choices=ResendReason.choices, blank=True, default="", db_default=""
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["idempotency_key"],
                name="one_order_an_idempotency_key",
                condition=Q(idempotency_key__isnull=False),  # most orders have none
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["control", "id"],
                name="unanswered_orders",
                condition=Q(answered_at__isnull=True),
            ),
            models.Index(
                fields=["launch", "again_reason"],
                name="sent_again",
                condition=Q(times_again__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class OrderLine(models.Model):
    """A quantity of one item, at the price and minutes of that moment."""

    order = models.ForeignKey(
        Order,
        on_delete=models.CASCADE,
        related_name="lines",
        db_index=False,  # one_line_a_position begins with it
    )
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=100)
    title = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)
    #: Minutes a portion.
    preparation_time = models.PositiveIntegerField()

    class Meta:
        ordering: ClassVar = ["order", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["order", "position"], name="one_line_a_position")
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.title}"


class OutboxMessage(models.Model):
    """An order whose message the broker hasn't confirmed yet; written with the order, then
    deleted."""

    order = models.OneToOneField(
        Order, on_delete=models.CASCADE, primary_key=True, related_name="outbox_message"
    )

    def __str__(self) -> str:
        return f"message of order #{self.pk}"


class SentCount(models.Model):
    """Orders sent, of those placed between one change of their launch and the next.

    With a version: those sent to that dark version. Maintained by ``sent_counts.py``.
    """

    launch = models.ForeignKey(
        Launch,
        on_delete=models.CASCADE,
        related_name="sent_counts",
        db_index=False,  # one_sent_count begins with it
    )
    #: As in Order.launch_change.
    launch_change = models.PositiveBigIntegerField()
    version = models.CharField(max_length=40, blank=True)
    orders = models.PositiveBigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["launch", "launch_change", "version"], name="one_sent_count"
            )
        ]

    def __str__(self) -> str:
        return f"{self.orders} orders sent to {self.version or 'all'}"


class BrokerProblem(models.Model):
    """A problem with a queue that the relay couldn't fix."""

    queue = models.CharField(max_length=255, unique=True)
    reason = models.TextField()
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.queue}: {self.reason}"

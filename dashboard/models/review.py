"""Discrepancies: like differences of a launch, and the reviews of them."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any, ClassVar, Never

from django.db import models

from dashboard.comparison.foreign_text import visible
from dashboard.comparison.judgement import Group, GroupKind
from dashboard.comparison.outcome import Decision, Outcome
from dashboard.comparison.rules import Treatment
from dashboard.models.orders import choices


class Discrepancy(models.Model):
    """Like differences of one version in one launch, to be reviewed.

    Only the observer writes the counts and assigns the ids; only reviews write ``state``,
    ``revision`` and ``decided_at``.
    """

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    kind = models.CharField(max_length=14, choices=choices(GroupKind))
    #: The grouped path, or a failure's type and normalised message.
    path = models.CharField(max_length=250)
    #: Pairs that show it and are not ignored.
    count = models.PositiveBigIntegerField(default=0)
    #: Pairs in which a rule ignores it.
    ignored = models.PositiveBigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    #: The version's last build that showed it.
    last_build = models.CharField(max_length=200, blank=True)
    #: The values of the control and the version in one of the examples, shortened.
    control_value = models.CharField(max_length=120, blank=True)
    version_value = models.CharField(max_length=120, blank=True)
    #: Orders that show it, as [hash, order id]: the ones with the smallest hashes, ascending.
    examples = models.JSONField(default=list)

    state = models.CharField(max_length=9, choices=choices(Decision), default=Decision.OPEN)
    #: Rises with every decision; a reviewer names the revision seen.
    revision = models.PositiveIntegerField(default=0)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "discrepancies"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["launch", "version", "kind", "path"], name="one_discrepancy_a_group"
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["version"], name="bugs", condition=models.Q(state=Decision.BUG.value)
            )
        ]

    def __str__(self) -> str:
        return visible(f"{self.version} {self.kind} {self.path}")

    @property
    def group(self) -> Group:
        """What its pairs have in common."""
        return Group(GroupKind(self.kind), self.path)


class Signature(models.Model):
    """A set of discrepancies, and how many pairs show exactly these.

    It tells how many pairs a decision affects. Beyond a number of signatures, further pairs count
    in one ``folded`` signature without members.
    """

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    #: Digest of the fields below.
    key = models.CharField(max_length=64)
    #: Ids of discrepancies that count, and of ignored ones.
    counted = models.JSONField(default=list)
    ignored = models.JSONField(default=list)
    folded = models.BooleanField(default=False)
    pairs = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["launch", "version", "key"], name="one_signature_a_version"
            )
        ]

    def __str__(self) -> str:
        return f"{self.version}: {self.pairs} pairs"


class AppendOnlyError(TypeError):
    """Raised on an attempt to change or delete a review."""


class Reviews(models.QuerySet["Review"]):
    """Reviews can only be added."""

    def update(self, **fields: Any) -> Never:
        """Raise AppendOnlyError."""
        raise AppendOnlyError("reviews are never changed")

    def delete(self) -> Never:
        """Raise AppendOnlyError."""
        raise AppendOnlyError("reviews are never deleted")


class Review(models.Model):
    """One decision on a discrepancy. It is never changed or deleted."""

    discrepancy = models.ForeignKey(Discrepancy, on_delete=models.PROTECT, related_name="reviews")
    decision = models.CharField(max_length=9, choices=choices(Decision))
    note = models.TextField(blank=True, max_length=4000)
    #: Name of the user; empty for an automatic decision, which the note explains.
    author = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField()
    #: The discrepancy's revision after it.
    revision = models.PositiveIntegerField()
    #: The replay that proves it.
    replay = models.ForeignKey("Replay", null=True, on_delete=models.PROTECT, related_name="+")

    objects = Reviews.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["discrepancy", "revision"], name="one_review_a_revision"
            )
        ]

    def __str__(self) -> str:
        return visible(f"{self.decision} by {self.author or 'Dark Kitchen'}")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; raises AppendOnlyError for an existing review."""
        if not self._state.adding:
            raise AppendOnlyError("reviews are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Never:
        """Raise AppendOnlyError."""
        raise AppendOnlyError("reviews are never deleted")


class Rule(models.Model):
    """A kind of difference to ignore. A rule is ended, never changed."""

    #: A glob over grouped paths, as in ``items[].minutes`` or ``**.cook``.
    path = models.CharField(max_length=250)
    treatment = models.CharField(max_length=9, choices=choices(Treatment))
    #: The dark version it applies to; empty for all.
    version = models.CharField(max_length=40, blank=True)
    #: TOLERANCE: the largest distance, absolute and as a share of the larger number.
    absolute = models.FloatField(null=True, blank=True)
    relative = models.FloatField(null=True, blank=True)
    #: KEYED: the field by which members are matched.
    key = models.CharField(max_length=100, blank=True)
    #: REPLACE: an RE2 regular expression, and its replacement.
    pattern = models.CharField(max_length=500, blank=True)
    replacement = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500)
    author = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return visible(f"{self.treatment} {self.path}")


class Rejudging(models.Model):
    """A job that judges a launch's stored pairs again by some rules.

    The observer does it in chunks, besides its live work.
    """

    launch = models.UUIDField()
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    #: Ids of the rules in force when it was requested, oldest first.
    rules = models.JSONField(default=list)
    #: Ids of ObservedOrders: how far it is, and where it ends.
    cursor = models.BigIntegerField(default=0)
    until = models.BigIntegerField()
    #: Judged pairs with differences, and those whose differences changed.
    judged = models.PositiveBigIntegerField(default=0)
    changed = models.PositiveBigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.launch}: {self.judged} judged"


class ReplayState(StrEnum):
    """The state of a replayed order."""

    WAITING = "waiting"
    SENT = "sent"
    HANDLED = "handled"
    FAILED = "failed"
    MISSING = "missing"


class Replay(models.Model):
    """Orders that showed a discrepancy, sent again to one dark version only."""

    discrepancy = models.ForeignKey(Discrepancy, on_delete=models.PROTECT, related_name="replays")
    #: The launch and the version they are sent to.
    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    #: Whether to close the discrepancy as fixed when every order agrees.
    close_when_agreed = models.BooleanField(default=True)
    #: The revision of the discrepancy that the user saw.
    revision = models.PositiveIntegerField()
    orders = models.PositiveIntegerField()
    #: When the last of its orders was answered or given up.
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.orders} orders again to {self.version}"


class ReplayedOrder(models.Model):
    """One order of a replay, compared with the control's answer to the live order."""

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="replayed_orders")
    #: The live order's id, and the id it is sent again with.
    order = models.CharField(max_length=100)
    uuid = models.UUIDField(unique=True, default=uuid.uuid4)
    state = models.CharField(
        max_length=7, choices=choices(ReplayState), default=ReplayState.WAITING
    )
    sent_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    build = models.CharField(max_length=200, blank=True)
    handling_ms = models.FloatField(null=True)
    #: The result as JSON text; empty unless handled.
    result = models.TextField(blank=True)
    error_type = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    outcome = models.CharField(max_length=16, choices=choices(Outcome), blank=True)
    #: Whether it still shows the discrepancy; null until it is answered.
    shows = models.BooleanField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["id"],
                name="replays_to_send",
                condition=models.Q(state=ReplayState.WAITING.value),
            )
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["replay", "order"], name="one_order_a_replay")
        ]

    def __str__(self) -> str:
        return f"{self.order} again"

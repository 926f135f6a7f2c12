"""Discrepancies: like differences of a launch, what a person decided on them, and examples."""

from __future__ import annotations

from typing import Any, ClassVar, Never

from django.db import models

from dashboard.domain.comparing.judgement import GroupKind
from dashboard.domain.decision import Decision
from dashboard.domain.foreign_text import visible
from dashboard.models.choices import choices


class Discrepancy(models.Model):
    """All like differences of one version in one launch: what a person reviews.

    The observer alone writes the counts, under the lock of the launch's tallies; reviews alone
    write what stands below them, by ``revision``.
    """

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    kind = models.CharField(max_length=14, choices=choices(GroupKind))
    #: The grouped path, or for a failure its type and its normalised message.
    path = models.CharField(max_length=250)
    #: Pairs that show it and that no rule ignores.
    count = models.PositiveBigIntegerField(default=0)
    #: Pairs that show it and in which a rule ignores it.
    ignored = models.PositiveBigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    #: The version's build that showed it last.
    last_build = models.CharField(max_length=200, blank=True)
    #: What the control and the version had there in one of the examples, shortened.
    control_value = models.CharField(max_length=120, blank=True)
    version_value = models.CharField(max_length=120, blank=True)

    state = models.CharField(max_length=9, choices=choices(Decision), default=Decision.OPEN)
    #: Rises with every decision: a reviewer says which one was seen.
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


class Signature(models.Model):
    """Which discrepancies a pair shows, all of them together, and how many pairs show just these.

    From it follows at once how many pairs a decision concerns. Beyond a number of signatures, new
    ones count in one without members, ``folded``: a pair of which it is only known that it differs.
    """

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    #: Digest of what follows.
    key = models.CharField(max_length=64)
    #: Ids of discrepancies that count, and of those that a rule ignores.
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


class Example(models.Model):
    """An order that shows a discrepancy: one of a reservoir, each as likely as any other."""

    discrepancy = models.ForeignKey(
        Discrepancy,
        on_delete=models.CASCADE,
        related_name="examples",
        db_index=False,  # one_example_a_slot begins with it
    )
    slot = models.PositiveSmallIntegerField()
    order = models.UUIDField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["discrepancy", "slot"], name="one_example_a_slot")
        ]

    def __str__(self) -> str:
        return str(self.order)


class AppendOnlyError(TypeError):
    """Raised when somebody wants to change or delete what is history."""


class Reviews(models.QuerySet["Review"]):
    """Reviews, to which more can be added, and nothing else be done."""

    def update(self, **fields: Any) -> Never:
        """Refuse: a review stays as it was written."""
        raise AppendOnlyError("reviews are never changed")

    def delete(self) -> Never:
        """Refuse: a review stays."""
        raise AppendOnlyError("reviews are never deleted")


class Review(models.Model):
    """One decision on a discrepancy: who, when, why. Nobody changes or deletes it."""

    discrepancy = models.ForeignKey(Discrepancy, on_delete=models.PROTECT, related_name="reviews")
    decision = models.CharField(max_length=9, choices=choices(Decision))
    note = models.TextField(blank=True, max_length=4000)
    #: Name of the user; empty when the product decided by a rule of its own, which the note says.
    author = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField()
    #: The discrepancy's revision that it made.
    revision = models.PositiveIntegerField()
    #: The replay on whose evidence it was decided.
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
        """Write a new review; refuse to change one."""
        if not self._state.adding:
            raise AppendOnlyError("reviews are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Never:
        """Refuse: a review stays."""
        raise AppendOnlyError("reviews are never deleted")

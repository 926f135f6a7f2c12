"""Evidence for the verdict, final verdicts, decisions on launches, records, and thresholds."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Never

from django.db import models

from dashboard.comparison.foreign_text import visible
from dashboard.models.orders import choices
from dashboard.models.review import AppendOnlyError


class Evidence(models.Model):
    """The evidence of one version in one launch, for one build of each version and one timing.

    Blocks that are not settled have rows of their own, so that a batch of orders reads and writes
    only the blocks it falls into.
    """

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    #: Digest of the builds and of the timing.
    key = models.CharField(max_length=64)
    control_build = models.CharField(max_length=200, blank=True)
    version_build = models.CharField(max_length=200, blank=True)
    #: Build of the baseline; empty if it is unknown or not needed.
    baseline_build = models.CharField(max_length=200, blank=True)
    #: The fields of dashboard.verdict.blocks.Timing.
    timing = models.JSONField()
    started_at = models.DateTimeField()
    newest_at = models.DateTimeField()
    #: Evidence of the settled blocks as JSON; empty without any.
    settled = models.TextField(blank=True)
    #: The slow threshold of the settled evidence, in nanoseconds.
    threshold = models.BigIntegerField(null=True)
    closed_until = models.BigIntegerField(null=True)
    settled_until = models.BigIntegerField(null=True)
    late = models.PositiveBigIntegerField(default=0)
    lost = models.PositiveBigIntegerField(default=0)
    bad = models.PositiveBigIntegerField(default=0)
    #: Rises with every change of what counts.
    revision = models.PositiveBigIntegerField(default=0)
    #: Orders by shape: a Coverage as JSON.
    coverage = models.TextField(blank=True)
    #: The effect and its interval over time: a bounded number of points.
    history = models.JSONField(default=dict)
    #: The first decision, its time and number of orders, by requirement.
    decided = models.JSONField(default=dict)
    #: When a requirement passed, after how many orders, and its threshold.
    passed = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "evidence"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["launch", "version", "key"], name="one_evidence_an_epoch"
            )
        ]

    def __str__(self) -> str:
        return f"{self.version} {self.version_build} against {self.control_build}"


class EvidenceBlock(models.Model):
    """The sums of one block that is not settled."""

    evidence = models.ForeignKey(
        Evidence,
        on_delete=models.CASCADE,
        related_name="blocks",
        db_index=False,  # one_row_a_block begins with it
    )
    number = models.BigIntegerField()
    #: dashboard.verdict.blocks.BlockSums as JSON.
    sums = models.TextField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["evidence", "number"], name="one_row_a_block")
        ]

    def __str__(self) -> str:
        return f"block {self.number}"


class FinalVerdict(models.Model):
    """The verdict on a candidate of an ended launch. It is never changed."""

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    word = models.CharField(max_length=8)
    at = models.DateTimeField()
    #: The orders of its evidence.
    orders = models.PositiveBigIntegerField()
    #: The whole verdict, as in the board's frames.
    verdict = models.JSONField()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["launch", "version"], name="one_final_verdict")
        ]

    def __str__(self) -> str:
        return f"{self.version}: {self.word}"


class LaunchChoice(StrEnum):
    """What people can decide on a version of a launch."""

    PROMOTE = "promote"
    ABANDON = "abandon"


class DecisionStep(StrEnum):
    """How far a decision is."""

    #: It opposes the verdict, and a second person must confirm it.
    PROPOSED = "proposed"
    WITHDRAWN = "withdrawn"
    #: Final: there is no other decision on the version in this launch.
    DECIDED = "decided"

    def on(self, choice: str) -> str:
        """What somebody did, as in "decided to promote"."""
        withdrew = self is DecisionStep.WITHDRAWN
        return f"{'withdrew the proposal' if withdrew else self} to {choice}"


class LaunchDecision(models.Model):
    """One step of a decision on a version of a launch; the newest one counts. It is never changed
    or deleted."""

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    choice = models.CharField(max_length=7, choices=choices(LaunchChoice))
    step = models.CharField(max_length=9, choices=choices(DecisionStep))
    author = models.CharField(max_length=150)
    reason = models.CharField(max_length=500)
    at = models.DateTimeField()
    #: The verdict's word and sentence at that time; empty without a verdict.
    word = models.CharField(max_length=8, blank=True)
    sentence = models.TextField(blank=True)
    #: Whether the verdict said otherwise.
    opposed = models.BooleanField()
    #: The step before it, 0 for the first. Unique, so that concurrent steps conflict.
    follows = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["launch", "version", "follows"], name="decisions_follow_one_another"
            ),
            models.UniqueConstraint(
                fields=["launch", "version"],
                condition=models.Q(step=DecisionStep.DECIDED.value),
                name="one_decision_a_version",
            ),
        ]

    def __str__(self) -> str:
        return visible(f"{self.choice} {self.version}: {self.step} by {self.author}")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; raises AppendOnlyError for a stored decision."""
        if not self._state.adding:
            raise AppendOnlyError("decisions are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Never:
        """Raise AppendOnlyError."""
        raise AppendOnlyError("decisions are never deleted")


class LaunchRecord(models.Model):
    """What is kept of a launch that has ended. It is never changed or deleted."""

    launch = models.UUIDField(unique=True)
    #: JSON with sorted keys, in ASCII; see dashboard.launches.record_body.
    body = models.TextField()
    #: SHA-256 of the body, in hexadecimal.
    sha256 = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"record of {self.launch}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; raises AppendOnlyError for a stored record."""
        if not self._state.adding:
            raise AppendOnlyError("records are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Never:
        """Raise AppendOnlyError."""
        raise AppendOnlyError("records are never deleted")


class LaunchRequirements(models.Model):
    """The thresholds for a launch's candidates; the newest row of a launch is in force.

    0.02 is 2 %.
    """

    launch = models.UUIDField()
    speed_margin = models.FloatField()
    failures_margin = models.FloatField()
    slow_margin = models.FloatField()
    differences_margin = models.FloatField()
    most_missing = models.FloatField()
    most_behind_s = models.FloatField()
    author = models.CharField(max_length=150)
    reason = models.CharField(max_length=500)
    set_at = models.DateTimeField()
    #: The row it replaced, 0 for the defaults. Unique, so that concurrent changes conflict.
    follows = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "launch requirements"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["launch", "follows"], name="requirements_follow_one_another"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["launch", "-id"], name="requirements_in_force")]

    def __str__(self) -> str:
        return visible(f"requirements of {self.launch} by {self.author}")

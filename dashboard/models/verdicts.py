"""What a verdict is made of: the evidence of each version, and what is required of it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from dashboard.domain.foreign_text import visible


class Evidence(models.Model):
    """The paired orders of one version in one launch, for one build of each and one timing.

    A domain tally taken apart: the blocks that are not settled yet have rows of their own, so that
    a batch of orders reads and writes only the blocks that it falls into.
    """

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    #: Digest of the builds and of the timing.
    key = models.CharField(max_length=64)
    control_build = models.CharField(max_length=200, blank=True)
    version_build = models.CharField(max_length=200, blank=True)
    #: Of the baseline that measures the noise; empty while none was heard of, or needed.
    baseline_build = models.CharField(max_length=200, blank=True)
    #: The fields of dashboard.verdict.timing.Timing.
    timing = models.JSONField()
    started_at = models.DateTimeField()
    newest_at = models.DateTimeField()
    #: The settled blocks' evidence as JSON text; empty while there is none.
    settled = models.TextField(blank=True)
    #: The settled evidence's slow threshold in nanoseconds: which orders are slow is known from
    #: then on.
    threshold = models.BigIntegerField(null=True)
    closed_until = models.BigIntegerField(null=True)
    settled_until = models.BigIntegerField(null=True)
    late = models.PositiveBigIntegerField(default=0)
    lost = models.PositiveBigIntegerField(default=0)
    bad = models.PositiveBigIntegerField(default=0)
    #: Rises whenever what counts has changed.
    revision = models.PositiveBigIntegerField(default=0)
    #: Orders seen by shape: a domain Coverage as JSON text.
    coverage = models.TextField(blank=True)
    #: The effect and its interval as time went on: a bounded number of points.
    history = models.JSONField(default=dict)
    #: What was decided first, when, and after how many orders, by requirement.
    decided = models.JSONField(default=dict)
    #: When a requirement passed, after how many orders, and against what.
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
    """The sums of one block of time that is not settled yet."""

    evidence = models.ForeignKey(
        Evidence,
        on_delete=models.CASCADE,
        related_name="blocks",
        db_index=False,  # one_row_a_block begins with it
    )
    number = models.BigIntegerField()
    #: dashboard.verdict.blocks.BlockSums as JSON text.
    sums = models.TextField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["evidence", "number"], name="one_row_a_block")
        ]

    def __str__(self) -> str:
        return f"block {self.number}"


class FinalVerdict(models.Model):
    """The word on a candidate of a launch that has ended, kept once: nothing changes it."""

    launch = models.UUIDField()
    version = models.CharField(max_length=40)
    word = models.CharField(max_length=8)
    at = models.DateTimeField()
    #: The orders of its evidence.
    orders = models.PositiveBigIntegerField()
    #: The whole verdict, as the board's frames have it.
    verdict = models.JSONField()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["launch", "version"], name="one_final_verdict")
        ]

    def __str__(self) -> str:
        return f"{self.version}: {self.word}"


class LaunchRequirements(models.Model):
    """The lines that a launch's candidates must pass; the newest row of a launch holds.

    Shares are parts of one: 0.02 is 2 %.
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
    #: The row that it took the place of, 0 for the defaults: of two at once, one alone can.
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

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

ROLES = [("control", "control"), ("candidate", "candidate"), ("baseline", "baseline")]
STATES = [
    ("received", "received"),
    ("handled", "handled"),
    ("failed", "failed"),
    ("missing", "missing"),
]
OUTCOMES = [
    ("agree", "agree"),
    ("differ", "differ"),
    ("candidate_failed", "candidate failed"),
    ("control_failed", "control failed"),
    ("both_failed", "both failed"),
    ("missing", "missing"),
]


class Migration(migrations.Migration):
    """An order is one row, and what a version made of it another.

    The tables of the last release are kept under other names until ``carry_over`` has copied them.
    """

    dependencies = [("dashboard", "0017_requirements_that_passed")]

    operations = [
        migrations.RenameModel("Observation", "FormerObservation"),
        migrations.RenameModel("Comparison", "FormerComparison"),
        # Nothing asks for pairs there any more, but by their orders.
        migrations.RemoveIndex("FormerComparison", "pairs_by_outcome"),
        migrations.RemoveIndex("FormerComparison", "slower_pairs"),
        migrations.RemoveIndex("FormerComparison", "pairs_by_signature"),
        migrations.RemoveConstraint("Tally", "one_tally_a_version"),
        migrations.RenameModel("Tally", "Participant"),
        migrations.AlterModelOptions("Participant", {}),
        migrations.RenameField("Participant", "sketch", "times"),
        migrations.RenameField("TimeSlice", "sketch", "times"),
        migrations.AlterField(
            "Participant",
            "role",
            models.CharField(choices=ROLES, max_length=9),
        ),
        migrations.AddConstraint(
            "Participant",
            models.UniqueConstraint(fields=("launch", "version"), name="one_participant_a_version"),
        ),
        migrations.CreateModel(
            "ObservedOrder",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("order_id", models.CharField(max_length=100)),
                ("launch", models.UUIDField()),
                ("number", models.BigIntegerField(null=True)),
                ("placed_at", models.DateTimeField()),
                ("sent_at", models.DateTimeField()),
                ("arrived_at", models.DateTimeField()),
                ("body", models.BinaryField()),
                ("label", models.CharField(blank=True, max_length=500)),
                ("size", models.PositiveIntegerField(default=0)),
                ("categories", models.JSONField(default=list)),
                ("sample", models.JSONField(default=list)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["launch", "-id"], name="observed_orders_of_a_launch"),
                    models.Index(fields=["launch", "number"], name="observed_orders_by_number"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("order_id",), name="one_observed_order")
                ],
            },
        ),
        migrations.CreateModel(
            "ObserverState",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("epoch", models.PositiveBigIntegerField(default=0)),
                ("recorded_at", models.DateTimeField(null=True)),
                ("changes", models.PositiveBigIntegerField(default=0)),
                ("first_order", models.BigIntegerField(default=1)),
                ("first_observation", models.BigIntegerField(default=1)),
                ("history_until", models.BigIntegerField(default=0)),
                ("swept_until", models.BigIntegerField(default=0)),
                ("events_outside", models.PositiveBigIntegerField(default=0)),
                ("undescribed", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            "RelaySession",
            fields=[
                ("session", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("launch", models.UUIDField(db_index=True, null=True)),
                ("ranges", models.JSONField(default=list)),
                ("lost", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            "StubOrder",
            fields=[
                ("order_id", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("since", models.DateTimeField(db_index=True)),
                ("pending", models.BinaryField()),
            ],
        ),
        migrations.CreateModel(
            "Observation",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "order",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="observations",
                        to="dashboard.observedorder",
                    ),
                ),
                (
                    "participant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="observations",
                        to="dashboard.participant",
                    ),
                ),
                ("state", models.CharField(choices=STATES, max_length=8)),
                ("late", models.BooleanField(default=False)),
                ("build", models.CharField(blank=True, max_length=200)),
                ("worker", models.CharField(blank=True, max_length=200)),
                ("delivery", models.PositiveIntegerField(default=1)),
                ("received_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("queue_ms", models.FloatField(null=True)),
                ("handling_ms", models.FloatField(null=True)),
                ("result", models.BinaryField(default=bytes)),
                ("error_type", models.CharField(blank=True, max_length=200)),
                ("error_message", models.TextField(blank=True)),
                ("event_ids", models.TextField(null=True)),
                ("judged_at", models.DateTimeField(null=True)),
                ("exception", models.CharField(choices=OUTCOMES, max_length=16, null=True)),
                ("signature", models.BigIntegerField(null=True)),
                ("members", models.TextField(blank=True)),
                ("slower", models.BooleanField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=Q(exception__isnull=False),
                        fields=["participant", "exception", "-order"],
                        name="exceptions",
                    ),
                    models.Index(
                        condition=Q(signature__isnull=False),
                        fields=["signature", "-order"],
                        name="observations_by_signature",
                    ),
                    models.Index(
                        condition=Q(slower=True),
                        fields=["participant", "-order"],
                        name="slower_observations",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("order", "participant"), name="one_observation_a_participant"
                    )
                ],
            },
        ),
        # The name is that of a column from now on.
        migrations.AlterField(
            "Example",
            "discrepancy",
            models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="dashboard.discrepancy",
            ),
        ),
        migrations.AddField("Discrepancy", "examples", models.JSONField(default=list)),
        migrations.AlterField("ReplayedOrder", "order", models.CharField(max_length=100)),
        migrations.AlterField(
            "DeadLetter", "order", models.CharField(blank=True, max_length=100, null=True)
        ),
    ]

from __future__ import annotations

from django.db import migrations, models
from django.utils import timezone


def count_from_now_on(apps, schema_editor):
    """The sample of older orders is in their rows alone: reading all of them would take long."""
    alias = schema_editor.connection.alias
    participants = apps.get_model("dashboard", "Participant").objects.using(alias)
    if not participants.exists():
        return
    orders = apps.get_model("dashboard", "ObservedOrder").objects.using(alias)
    newest = orders.order_by("-pk").values_list("pk", flat=True).first() or 0
    state = apps.get_model("dashboard", "ObserverState").objects.using(alias).first()
    first = max(newest + 1, state.first_order, state.swept_until + 1) if state else newest + 1
    participants.update(accounted_from=first, accounted_since=timezone.now())


class Migration(migrations.Migration):
    dependencies = [
        ("dashboard", "0022_ramp_plans_and_guards"),
    ]

    operations = [
        migrations.AddField(
            model_name="participant",
            name="account",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="participant",
            name="accounted_from",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="participant",
            name="accounted_since",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="participant",
            name="hindsight",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="participant",
            name="live_effect",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="participant",
            name="arrivals",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="participant",
            name="sampled",
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.CreateModel(
            name="LostOrder",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("order_id", models.CharField(max_length=100)),
                ("version", models.CharField(max_length=40)),
                (
                    "cause",
                    models.CharField(
                        choices=[("dropped", "dropped"), ("refused", "refused")], max_length=8
                    ),
                ),
                ("seen_at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["version", "cause", "-id"], name="lost_orders")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("order_id", "version"), name="one_loss_a_version"
                    )
                ],
            },
        ),
        migrations.RunPython(count_from_now_on, migrations.RunPython.noop),
    ]

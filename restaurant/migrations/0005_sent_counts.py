from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def count_open_launch(apps: Any, schema_editor: Any) -> None:
    """Count what was sent so far in the launch that is running."""
    sent = apps.get_model("restaurant", "Letter").objects.filter(sent_at__isnull=False)
    for launch in apps.get_model("restaurant", "Launch").objects.filter(ended_at=None):
        if orders := sent.filter(launch=launch).count():
            apps.get_model("restaurant", "SentCount").objects.create(
                launch=launch, launch_change=0, version="", orders=orders
            )


class Migration(migrations.Migration):
    dependencies = [
        ("restaurant", "0004_launch_changes"),
    ]

    operations = [
        migrations.AddField(
            model_name="letter",
            name="launch_change",
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
        migrations.CreateModel(
            name="SentCount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("launch_change", models.PositiveBigIntegerField()),
                ("version", models.CharField(blank=True, max_length=40)),
                ("orders", models.PositiveBigIntegerField()),
                (
                    "launch",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sent_counts",
                        to="restaurant.launch",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("launch", "launch_change", "version"), name="one_sent_count"
                    )
                ],
            },
        ),
        migrations.RunPython(count_open_launch, migrations.RunPython.noop),
    ]

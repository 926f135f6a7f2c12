from django.db import migrations, models

#: Only what still waits for an answer needs to know whose: the rest of a large table is left alone.
_FILL = """
UPDATE restaurant_order SET control = COALESCE(
    (SELECT launch.control FROM restaurant_launch launch WHERE launch.id = launch_id),
    (SELECT launch.control FROM restaurant_launch launch
     ORDER BY launch.ended_at IS NOT NULL, launch.started_at DESC LIMIT 1),
    'vlatest')
WHERE state IN ('placed', 'in_kitchen')
"""


class Migration(migrations.Migration):
    dependencies = [("restaurant", "0002_indexes")]

    operations = [
        migrations.AddField(
            model_name="order",
            name="control",
            field=models.CharField(db_default="", default="", max_length=40),
        ),
        migrations.AddField(
            model_name="letter",
            name="times_again",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="letter",
            name="again_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="letter",
            name="again_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("unanswered", "no answer in time"),
                    ("unrouted", "the control's queue was missing"),
                    ("handed over", "its own control was retired"),
                ],
                db_default="",
                default="",
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="BrokerProblem",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("queue", models.CharField(max_length=255, unique=True)),
                ("reason", models.TextField()),
                ("since", models.DateTimeField()),
            ],
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("state__in", ("placed", "in_kitchen"))),
                fields=["control", "id"],
                name="unanswered_orders",
            ),
        ),
        migrations.AddIndex(
            model_name="letter",
            index=models.Index(
                condition=models.Q(("times_again__gt", 0)),
                fields=["launch", "again_reason"],
                name="sent_again",
            ),
        ),
    ]

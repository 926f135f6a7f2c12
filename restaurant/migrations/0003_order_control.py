from django.db import migrations, models


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
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("answered_at__isnull", True)),
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

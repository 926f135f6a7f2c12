from django.db import migrations, models


class Migration(migrations.Migration):
    """Evidence of earlier orders is of no known build of the baseline; the next one goes on with it."""

    dependencies = [("dashboard", "0014_final_verdict")]

    operations = [
        migrations.AddField("tally", "builds", models.JSONField(default=list)),
        migrations.AddField(
            "evidence", "baseline_build", models.CharField(blank=True, max_length=200)
        ),
    ]

from django.db import migrations, models


def follow(apps, schema_editor):
    """Have each setting say which one it took the place of."""
    requirements = apps.get_model("dashboard", "LaunchRequirements")
    newest = {}
    for pk, launch in requirements.objects.order_by("pk").values_list("pk", "launch"):
        requirements.objects.filter(pk=pk).update(follows=newest.get(launch, 0))
        newest[launch] = pk


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0009_sweep_finished")]

    operations = [
        migrations.AddField(
            model_name="launchrequirements",
            name="follows",
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.RunPython(follow, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="launchrequirements",
            constraint=models.UniqueConstraint(
                fields=["launch", "follows"], name="requirements_follow_one_another"
            ),
        ),
    ]

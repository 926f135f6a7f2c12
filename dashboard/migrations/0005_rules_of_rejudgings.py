"""The rules by which the past is judged anew, kept with what was asked for."""

from django.db import migrations, models
from django.db.models import Q
from django.utils import timezone


def pin_rules(apps, schema_editor):
    """What is under way goes on by the rules now in force."""
    Rule = apps.get_model("dashboard", "Rule")
    Rejudging = apps.get_model("dashboard", "Rejudging")
    in_force = Rule.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=timezone.now()), ended_at=None
    )
    rules = list(in_force.order_by("id").values_list("id", flat=True))
    Rejudging.objects.filter(finished_at=None).update(rules=rules)


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0004_verdicts")]

    operations = [
        migrations.AddField("rejudging", "rules", models.JSONField(default=list)),
        migrations.RunPython(pin_rules, migrations.RunPython.noop),
    ]

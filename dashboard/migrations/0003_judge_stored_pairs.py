"""Pairs that were stored before results were compared: judged anew by the observer."""

from collections import defaultdict

from django.db import migrations
from django.db.models import Count, F, Max
from django.db.models.lookups import IsNull
from django.utils import timezone

CELLS = {
    "handled": "agree",
    "candidate_failed": "handled/failed",
    "control_failed": "failed/handled",
    "both_failed": "failed/failed",
}


def judge_stored_pairs(apps, schema_editor):
    """Count the pairs in the matrix as what they were taken for, and have them judged."""
    Comparison = apps.get_model("dashboard", "Comparison")
    Tally = apps.get_model("dashboard", "Tally")
    Rejudging = apps.get_model("dashboard", "Rejudging")
    matrices = defaultdict(lambda: defaultdict(int))
    silent = {
        "control": IsNull(F("control_ms"), True),
        "other": IsNull(F("version_ms"), True),
    }
    by_outcome = Comparison.objects.annotate(**silent).values(
        "launch", "version", "outcome", "control", "other"
    )
    for row in by_outcome.annotate(pairs=Count("id")):
        missing = "/".join("missing" if row[side] else "handled" for side in silent)
        cell = CELLS.get(row["outcome"], missing)
        matrices[row["launch"], row["version"]][cell] += row["pairs"]
    for (launch, version), matrix in matrices.items():
        Tally.objects.filter(launch=launch, version=version).update(matrix=dict(matrix))
    unjudged = Comparison.objects.filter(outcome="handled")
    for row in unjudged.values("launch").annotate(until=Max("id")).order_by():
        Rejudging.objects.create(
            launch=row["launch"],
            requested_by="the upgrade",
            requested_at=timezone.now(),
            until=row["until"],
        )
    unjudged.update(outcome="agree")


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0002_differences")]

    operations = [migrations.RunPython(judge_stored_pairs, migrations.RunPython.noop)]

"""Sums of blocks are stored by name, and how the versions ended orders is counted from now on."""

import json

from django.db import migrations

#: In the order in which the releases before stored them.
_NAMES = (
    "orders", "changes", "answered", "timed", "timed_ns", "pairs", "log_ratio", "control_ns",
    "candidate_ns", "faster", "slower", "errors_pos", "errors_neg", "missing_pos", "missing_neg",
    "missing_both", "slow_pos", "slow_neg", "handled", "compared", "classes", "signatures",
    "only_shown", "only_noise", "segment_pairs", "segment_sums", "times", "up", "down",
)  # fmt: skip
_OUTCOMES = (
    "orders", "control_failed", "candidate_failed", "baseline_sent", "baseline_handled",
    "baseline_failed",
)  # fmt: skip


def name(apps, schema_editor):
    """Have each number of a block stand under its name, and begin to count outcomes."""
    blocks = apps.get_model("dashboard", "EvidenceBlock")
    for row in blocks.objects.iterator():
        sums = zip(_NAMES, json.loads(row.sums), strict=True)
        row.sums = _text({key: value for key, value in sums if value})
        row.save(update_fields=["sums"])
    for row in apps.get_model("dashboard", "Evidence").objects.exclude(settled="").iterator():
        none = dict.fromkeys(_OUTCOMES, 0)
        settled = json.loads(row.settled) | {"outcomes": none, "newest_parts": [none, none]}
        row.settled = _text(settled)
        row.save(update_fields=["settled"])


def _text(value):
    return json.dumps(value, separators=(",", ":"))


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0011_dead_letter_names")]

    operations = [migrations.RunPython(name, migrations.RunPython.noop)]

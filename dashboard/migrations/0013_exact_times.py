"""Slow orders are decided by exact times; evidence counted before keeps its own threshold.

No order is added to it any more: the next one begins an evidence of its own. The threshold was the
upper edge of a bucket of a histogram. Blocks that were open while it was not known told no pairs of
times, so that of their orders it stays unknown whether they were slow.
"""

import json

from django.db import migrations

_GAMMA = 1.01 / 0.99


def convert(apps, schema_editor):
    """Turn buckets into nanoseconds."""
    for row in apps.get_model("dashboard", "Evidence").objects.iterator():
        if row.threshold is not None:
            row.threshold = round(_edge_ns(row.threshold))
        if row.settled:
            settled = json.loads(row.settled)
            settled["threshold"] = row.threshold
            warm_up = settled["warm_up"]
            warm_up["times"] = {
                str(_middle_ns(bucket)): number for bucket, number in warm_up["times"].items()
            }
            row.settled = _text(settled)
        row.save(update_fields=["threshold", "settled"])
        for block in row.blocks.iterator():
            sums = json.loads(block.sums)
            times = sums.pop("times", {})
            sums.pop("up", None)
            sums.pop("down", None)
            if times:
                sums["times"] = {
                    f"{_middle_ns(bucket)},": number for bucket, number in times.items()
                }
            elif row.threshold is not None:
                sums["slow_of"] = sums.get("pairs", 0)
            block.sums = _text(sums)
            block.save(update_fields=["sums"])


def _edge_ns(bucket):
    return 1e6 * _GAMMA ** int(bucket)


def _middle_ns(bucket):
    return round(_edge_ns(bucket) * 2 / (_GAMMA + 1))


def _text(value):
    return json.dumps(value, separators=(",", ":"))


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0012_blocks_by_name")]

    operations = [migrations.RunPython(convert, migrations.RunPython.noop)]

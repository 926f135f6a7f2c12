"""A process that lasts does not look again and again through what stays."""

from __future__ import annotations

import json
import subprocess
import sys

_SEARCHES = """
import gc, json
from kitchen_worker.amqp.gc_tuning import keep_what_stands
standing = [[] for _ in range(50_000)]
keep_what_stands()
class Knot:
    def __init__(self):
        self.own = self
for _ in range(300_000):
    Knot()
knots = [one for one in gc.get_objects() if type(one) is Knot]
print(json.dumps([gc.get_freeze_count(), len(knots)]))
"""


def test_what_stands_is_left_out_and_what_comes_later_is_still_found() -> None:
    printed = subprocess.check_output([sys.executable, "-c", _SEARCHES], text=True, timeout=60)

    frozen, knots = json.loads(printed)
    assert frozen > 50_000
    assert knots < 25_000

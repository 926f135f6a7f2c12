"""A long-lived process runs on uvloop, and collects only what came after its start."""

from __future__ import annotations

import json
import subprocess
import sys

_SEARCHES = """
import gc, json
from kitchen_worker.amqp.process import tune_gc
standing = [[] for _ in range(50_000)]
tune_gc()
class Knot:
    def __init__(self):
        self.own = self
for _ in range(300_000):
    Knot()
knots = [one for one in gc.get_objects() if type(one) is Knot]
print(json.dumps([gc.get_freeze_count(), len(knots)]))
"""


def test_what_exists_at_the_start_is_left_out_and_later_garbage_is_collected() -> None:
    printed = subprocess.check_output([sys.executable, "-c", _SEARCHES], text=True, timeout=60)

    frozen, knots = json.loads(printed)
    assert frozen > 50_000
    assert knots < 25_000


_LOOP = """
import asyncio
from kitchen_worker.amqp.process import run_process
async def main():
    return type(asyncio.get_running_loop()).__module__
print(run_process(main()))
"""


def test_a_process_runs_on_uvloop() -> None:
    printed = subprocess.check_output([sys.executable, "-c", _LOOP], text=True, timeout=60)
    assert printed.strip().startswith("uvloop")

"""``python -m bench.soak``: the whole product under load for long, with a browser on the board.

It measures what the product keeps up with, then places orders at a share of that, and looks every
few seconds whether backlog, memory and latency stay flat. What it saw is kept as JSON and drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from bench.browser import PageLoad, chromium, open_board
from bench.figures import Report
from bench.processes import machine
from bench.rig import CONTROL, Rig, Servers
from bench.sampling import Sample, Sampler
from bench.soaked import draw, figures, trends
from local.settings import run_directory

_EVERY_S = 5.0
#: Collecting the page's garbage takes time of its own: so many samples share one look at its heap.
_HEAP_EVERY = 6
_DRAINED, _OVERLOADED_S = 4000, 20.0
_CANDIDATE = "vnext"


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, print and keep; 1 if something was not flat."""
    options = _options(argv)
    kept = run_directory(os.environ) / "bench"
    kept.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=kept))
    about, began = machine(), time.monotonic()
    try:
        with Servers(folder) as servers, Rig(folder / "soak", servers, 0) as rig:
            rate, samples = _soak(rig, seconds=options.minutes * 60, share=options.share)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = list(figures(samples))
    print(Report(machine=about, rows=rows, seconds=time.monotonic() - began).markdown())
    print(f"\n{rate:.0f} orders/s, {options.share:.0%} of what was kept up with before:")
    found = trends(samples, rate=rate)
    for name, one in found.items():
        verdict = "flat" if one.is_flat else "NOT FLAT"
        change = f"rose by {one.rise:.2f} of {one.level:.2f}, and may by {one.allowed:.2f}"
        print(f"- {name}: {verdict}; {change}")
    draw(samples, rate=rate, file=kept / "soak.svg")
    document = {
        "machine": about,
        "rate": rate,
        "trends": {name: asdict(one) | {"flat": one.is_flat} for name, one in found.items()},
        "samples": [asdict(one) for one in samples],
    }
    (kept / "soak.json").write_text(json.dumps(document, indent=1))
    return 0 if all(one.is_flat for one in found.values()) else 1


def _soak(rig: Rig, *, seconds: float, share: float) -> tuple[float, list[Sample]]:
    with rig.product(MINUTE_MS="1") as product, chromium() as browser:
        product.open(CONTROL, _CANDIDATE)
        with open_board(browser, product.url) as page, ThreadPoolExecutor(1) as beside:
            rate = share * product.sustained(seconds=_OVERLOADED_S, orders=_DRAINED)
            product.rush(rate, seconds)
            sampler = Sampler(product, (CONTROL, _CANDIDATE))
            load = PageLoad.of(browser, page)
            samples = list(_samples(sampler, load, beside, seconds=seconds))
            product.stop_rush()
            return rate, samples


def _samples(
    sampler: Sampler, load: PageLoad, beside: ThreadPoolExecutor, *, seconds: float
) -> Iterator[Sample]:
    """A sample every few seconds. The browser's library has a loop in this thread, so that what
    asks the broker runs in another."""
    began, used, last = time.monotonic(), load.used_s(), time.monotonic()
    for number in range(1, round(seconds / _EVERY_S) + 1):
        load.page.wait_for_timeout(max(0.0, began + number * _EVERY_S - time.monotonic()) * 1000)
        sample = beside.submit(sampler.sample).result()
        tasks = load.long_tasks_ms()
        now, used_now = time.monotonic(), load.used_s()
        cores = (used_now - used) / (now - last)
        used, last = used_now, now
        yield replace(
            sample,
            cores=sample.cores | {"browser's page": cores},
            heap_mb=load.heap_mb() if number % _HEAP_EVERY == 1 else None,
            long_tasks_ms=tasks,
        )


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--share", type=float, default=0.7, help="of the maximum (0.7)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())

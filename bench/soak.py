"""``python -m bench.soak``: the whole product under load for long, with a browser on the board.

It measures what the product can do at most, then places orders at a share of that, and looks every
few seconds whether backlog, memory and latency stay flat. What it saw is kept as JSON and drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from bench.browser import chromium, open_board
from bench.letters import Letters
from bench.machine import machine
from bench.page_load import PageLoad
from bench.report import Report
from bench.rig import CONTROL, Rig
from bench.sampling import Sample, Sampler
from bench.servers import Servers
from bench.soaked import drawn, figures, trends
from bench.sustained import sustained
from local.settings import run_directory

_EVERY_S = 5.0
#: Collecting the page's garbage takes time of its own: so many samples share one look at its heap.
_HEAP_EVERY = 6
_WARM_UP, _DRAINED = 500, 4000
_OVERLOADED_S = 20.0
#: Orders of the drain wait long for their letters to go.
_NO_DEADLINE = "3600"
_CANDIDATE = "vnext"


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, print and keep; 1 if something was not flat."""
    options = _options(argv)
    kept = run_directory(os.environ) / "bench"
    kept.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=kept))
    about, began = machine(), time.monotonic()
    try:
        with Servers(folder) as servers:
            rate, samples = _soak(servers, folder, minutes=options.minutes, share=options.share)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = list(figures(samples))
    report = Report(machine=about, rows=rows, quick=False, seconds=time.monotonic() - began)
    found = trends(samples, rate=rate)
    print(report.markdown())
    print(f"\n{rate:.0f} orders/s, {options.share:.0%} of what was kept up with before:")
    for name, one in found.items():
        verdict = "flat" if one.is_flat else "NOT FLAT"
        print(
            f"- {name}: {verdict}; rose by {one.rise:.2f} of {one.level:.2f},"
            f" and may by {one.allowed:.2f}"
        )
    (kept / "soak.svg").write_text(drawn(samples, rate=rate))
    document = {
        "machine": dict(about),
        "rate": rate,
        "trends": {name: asdict(one) | {"flat": one.is_flat} for name, one in found.items()},
        "samples": [asdict(one) for one in samples],
    }
    (kept / "soak.json").write_text(json.dumps(document, indent=1))
    return 0 if all(one.is_flat for one in found.values()) else 1


def _soak(
    servers: Servers, folder: Path, *, minutes: float, share: float
) -> tuple[float, list[Sample]]:
    with Rig(folder / "soak", False, minutes * 60, servers=servers) as rig:
        url = rig.database("sqlite")
        with (
            rig.stack(DATABASE_URL=url, MINUTE_MS="1", DEADLINE_SECONDS=_NO_DEADLINE) as stack,
            chromium() as browser,
        ):
            stack.start("site", "observer", _CANDIDATE)
            letters = Letters(stack)
            waiting = letters.place(_WARM_UP + _DRAINED)
            with open_board(browser, stack.url) as page, ThreadPoolExecutor(1) as beside:
                stack.start("relay", CONTROL)
                letters.let_go(waiting[:_WARM_UP])
                drained = _DRAINED / letters.let_go(waiting[_WARM_UP:])
                rate = share * sustained(stack, drained=drained, seconds=_OVERLOADED_S)
                orders = str(round(rate * minutes * 60))
                stack.start(
                    "rush",
                    options=("--orders", orders, "--rate", f"{rate:.2f}", "--wait", "0"),
                )
                sampler = Sampler(
                    stack, (CONTROL, _CANDIDATE), database=Path(url.removeprefix("sqlite:///"))
                )
                load = PageLoad.of(browser, page)
                samples = list(_samples(sampler, load, beside, seconds=minutes * 60))
                # Told to stop it would first count what became of all that it has placed.
                stack.stop("rush", with_signal=signal.SIGKILL)
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
        heap = load.heap_mb() if number % _HEAP_EVERY == 1 else None
        load.long_tasks_ms()  # the collecting of garbage is ours
        yield replace(
            sample,
            cores=sample.cores | {"browser's page": cores},
            heap_mb=heap,
            long_tasks_ms=tasks,
        )


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--share", type=float, default=0.7, help="of the maximum (0.7)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())

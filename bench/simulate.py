"""What the verdict promises, simulated: `make simulate` prints it as Markdown, in a few minutes.

Everything is seeded, and looked at after every block of every launch, by ``bench.looks`` and
``bench.judging``, which tests hold against ``dashboard.domain``. ``--runs`` scales all numbers of
launches, in percent.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

from numpy.random import PCG64, Generator

from bench import needed, promises
from bench.forecast import forecasts
from bench.peers import peers

#: Each table, and of how many launches.
_TABLES: tuple[tuple[Callable[[Generator, int], Iterator[str]], int], ...] = (
    (promises.false_alarms, 1000),
    (promises.false_ready, 1000),
    (promises.false_worse, 500),
    (promises.true_effects, 500),
    (promises.beyond_the_assumption, 500),
    (promises.bursts, 500),
    (needed.orders_to_ready, 300),
    (needed.orders_to_worse, 200),
    (needed.slow_orders, 200),
    (needed.block_lengths, 120),
    (needed.split_traffic, 100),
    (forecasts, 100),
    (peers, 200),
)
_PROCESSES = 2


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="percent of the usual launches")
    percent = parser.parse_args().runs
    started = time.monotonic()
    with ProcessPoolExecutor(_PROCESSES) as pool:
        parts = [pool.submit(_table, number, percent) for number in range(len(_TABLES))]
        for part in parts:
            print(*part.result(), "", sep="\n", flush=True)
    used = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    print(f"{time.monotonic() - started:.0f} s, {used:.0f} s of processors", file=sys.stderr)


def _table(number: int, percent: int) -> list[str]:
    table, runs = _TABLES[number]
    seed = 20_260_101 + number
    return [f"<!-- seed {seed} -->", *table(Generator(PCG64(seed)), max(5, runs * percent // 100))]


if __name__ == "__main__":
    main()

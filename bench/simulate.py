"""What the verdict promises, simulated: `make simulate` prints it as Markdown, in a few minutes.

Everything is seeded. The product's rows are its own evidence at every closed block (25 orders), by
``bench.looks``, which a test holds against ``dashboard.domain``. The peers look as often as each
row says. ``--runs`` scales all numbers of runs, in percent.
"""

from __future__ import annotations

import argparse
import sys
import time

from numpy.random import PCG64, Generator

from bench.effects import interval_misses, orders_needed
from bench.failures import difference_alarms, failure_alarms, field_alarms
from bench.speed import long_spells, speed_alarms


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="percent of the usual runs")
    share = parser.parse_args().runs / 100
    started = time.monotonic()
    tables = (
        speed_alarms,
        failure_alarms,
        difference_alarms,
        field_alarms,
        orders_needed,
        interval_misses,
        long_spells,
    )
    for seed, table in enumerate(tables, 20_260_101):
        print(f"<!-- seed {seed} -->")
        for line in table(Generator(PCG64(seed)), share):
            print(line)
        print(flush=True)
        print(f"{table.__name__}: {time.monotonic() - started:.0f} s so far", file=sys.stderr)


if __name__ == "__main__":
    main()

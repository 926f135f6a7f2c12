"""``python -m bench.growth``: fills a new database with orders that were observed long ago.

By default an SQLite file in .run; on a PostgreSQL server, the database of that URL is made anew.
What is interrupted is taken away again.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from bench.growth.fill import fill
from bench.growth.names import Period
from bench.growth.places import CannotGrow, Grown, new_database, note, url_of_file
from local.settings import environment, run_directory

_INTERRUPTED = 130
_FILE = "grown.sqlite3"


def main(argv: Sequence[str] | None = None) -> int:
    """Grow, and say how large it has become."""
    signal.signal(signal.SIGTERM, _interrupt)
    folder = run_directory(os.environ)
    options = _options(argv)
    period = Period()
    url = options.database or url_of_file(folder / _FILE)
    os.environ.update(environment(os.environ) | {"DATABASE_URL": url})
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with new_database(url, options.orders):
            orders = fill(options.orders, period, seed=options.seed)
    except CannotGrow as cause:
        print(cause, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: what was grown is taken away again.", file=sys.stderr)
        return _INTERRUPTED
    engine = "sqlite" if url.startswith("sqlite") else "postgresql"
    note(folder, engine, Grown(url, orders, period.lasts(orders)))
    sizes = importlib.import_module("bench.growth.sizes")
    print("\n".join(sizes.in_words(sizes.sizes(), orders)))
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make grow ARGS=...", description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000, help="how many (1,000,000)")
    parser.add_argument("--database", default="", help="sqlite:////path or postgres://…/new-name")
    parser.add_argument("--seed", type=int, default=7, help="the same seed, the same orders (7)")
    options = parser.parse_args(argv)
    if options.orders < 1:
        parser.error("at least one order is wanted")
    return options


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

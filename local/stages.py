"""The stages of `make test`, and their sum in the last line; with ``brokers``, of `make
test-brokers`.

A failed stage doesn't stop the next ones, but fails the whole. Nothing may be skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from xml.etree import ElementTree

from local import rabbitmq
from local.debian_root import debian_root
from local.install import RABBITMQ, CannotInstall, install, needs_of
from local.kubectl import KubectlFailed, kubectl
from local.postgres import PostgresFailed, private_postgres
from local.settings import ROOT
from restaurant.checks import IDS

_REPORTS = ROOT / ".run" / "reports"
#: Hundreds of processes import the product: it is compiled once, whatever the environment says.
_BYTECODE = ROOT / ".run" / "bytecode"
_PROGRAMS = Path(sys.executable).parent
#: Each process has databases and a broker of its own.
_PARALLEL = ("-n", "logical", "--maxprocesses", "4", "--dist", "worksteal")
#: The user's own settings, which would affect the tests.
_SETTINGS = {*IDS, "HOST", "PORT"}
#: The argument for the tests on this machine's RabbitMQ and on another Debian's.
_BROKERS = "brokers"
#: Their time limit on one RabbitMQ.
_BROKERS_LIMIT_S = 2400.0
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many passed and failed; a command without tests counts as one."""

    passed: int = 0
    failed: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(passed=self.passed + other.passed, failed=self.failed + other.failed)


Stage = Callable[[], Count]


def lint() -> Count:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "templates/*.html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    templates = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    commands = (
        ("ruff", "check", "--quiet", "."),
        ("ruff", "format", "--check", "--quiet", "."),
        ("djade", "--target-version", "5.2", "--check", *templates),
    )
    return sum((run((str(_PROGRAMS / name), *rest)) for name, *rest in commands), Count())


def types() -> Count:
    return run([str(_PROGRAMS / "mypy")])


def tests() -> Count:
    """All tests without a stage of their own, on SQLite."""
    install(needs_of("broker-tests"))
    marks = "not serial and not browser and not kubernetes and not postgres"
    return pytest("tests", marks, *_PARALLEL)


def serial() -> Count:
    """The tests that measure time or need several broker nodes."""
    install(needs_of("broker-tests"))
    return pytest("serial", "serial and not browser and not kubernetes")


def postgresql() -> Count:
    install((*needs_of("broker-tests"), *needs_of("database-tests")))
    with private_postgres() as url:
        marks = "(database or postgres) and not serial and not browser and not sqlite"
        return pytest("postgresql", marks, *_PARALLEL, added={"DATABASE_URL": url})


def browser() -> Count:
    install(needs_of("browser-tests"))
    return pytest("browser", "browser", "tests/browser")


def kubernetes() -> Count:
    path = f"{kubectl().parent}{os.pathsep}{os.environ['PATH']}"
    return pytest("kubernetes", "kubernetes", "tests/k8s", added={"PATH": path})


#: The quickest to find problems first.
STAGES: Mapping[str, Stage] = {
    one.__name__: one for one in (lint, types, tests, serial, postgresql, browser, kubernetes)
}


def broker_stages() -> dict[str, Stage]:
    """The tests on a broker, on this machine's RabbitMQ and on the other Debian's."""
    own = (rabbitmq.version() or "").partition(".")[0]
    other, suite = ("3", "bookworm") if own == "4" else ("4", "trixie")
    roots: dict[str, Callable[[], Path]] = {
        own: lambda: rabbitmq.MACHINE,
        other: partial(debian_root, suite),
    }
    names = {
        f"rabbitmq-{version}{database}": (root, bool(database))
        for version, root in roots.items()
        for database in ("", "-postgresql")
    }
    return {name: partial(on_rabbitmq, name, *how) for name, how in names.items()}


def on_rabbitmq(name: str, root: Callable[[], Path], postgres: bool) -> Count:
    """The tests on a broker: those that need PostgreSQL, or all others."""
    install((*needs_of("broker-tests"), *needs_of("database-tests")))
    there = root()
    print(f"RabbitMQ {rabbitmq.version(there)}", flush=True)
    marks, added = "broker and not browser and", {"RABBITMQ_ROOT": str(there)}
    if not postgres:
        return pytest(name, f"{marks} not postgres", added=added, limit_s=_BROKERS_LIMIT_S)
    with private_postgres() as url:
        added["DATABASE_URL"] = url
        return pytest(name, f"{marks} postgres", added=added, limit_s=_BROKERS_LIMIT_S)


def run_stage(stage: Stage) -> Count:
    """Run a stage and count; a stage whose needs aren't met has failed."""
    try:
        return stage()
    except (CannotInstall, KubectlFailed, PostgresFailed) as impossible:
        print(impossible, file=sys.stderr)
        return Count(failed=1)


def pytest(
    name: str,
    marks: str,
    *options: str,
    added: Mapping[str, str] = _NOTHING,
    limit_s: float | None = None,
) -> Count:
    report = _REPORTS / f"{name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5"]
    words += [f"--junitxml={report}", "-m", marks, *options]
    return count_of(report, failed=bool(run(words, added=added, limit_s=limit_s).failed))


def run(
    words: Sequence[str], *, added: Mapping[str, str] = _NOTHING, limit_s: float | None = None
) -> Count:
    """Run a command; after its time limit it is killed, and has failed."""
    environ = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    environ |= {"NO_SKIPS": "1", "PYTHONPYCACHEPREFIX": str(_BYTECODE), **added}
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        print(f"Ended: it took longer than {limit_s:g} s.", file=sys.stderr)
        return Count(failed=1)
    return Count(failed=1) if done.returncode else Count(passed=1)


def count_of(report: Path, *, failed: bool) -> Count:
    """Parse a test report; a failed run has at least one failure."""
    suites = ElementTree.parse(report).iter("testsuite") if report.exists() else ()  # noqa: S314
    ran = lost = 0
    for suite in suites:
        ran += int(suite.get("tests", 0)) - int(suite.get("skipped", 0))
        lost += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    ran, lost = max(ran, lost), max(lost, 1) if failed or not ran else lost
    return Count(passed=max(ran - lost, 0), failed=lost)


def _chosen(names: Sequence[str]) -> Mapping[str, Stage]:
    if _BROKERS in names:
        install([RABBITMQ])  # its version decides which other one is needed
        return broker_stages()
    return {name: stage for name, stage in STAGES.items() if not names or name in names}


def main() -> int:
    """Run the stages on the command line, or all of `make test`."""
    try:
        chosen = _chosen(sys.argv[1:])
    except CannotInstall as impossible:
        print(impossible, file=sys.stderr)
        return 1
    lines, total = [], Count()
    for name, stage in chosen.items():
        print(f"\n== {name}", flush=True)
        started_at = time.monotonic()
        count = run_stage(stage)
        took_s = time.monotonic() - started_at
        verdict = "FAILED" if count.failed or not count.passed else "ok"
        lines.append(
            f"{name:<12}{took_s:>7.1f} s {count.passed:>6} passed {count.failed:>4} failed"
            f"   {verdict}"
        )
        total += count
    print("", *lines, "", f"{total.passed} passed, {total.failed} failed", sep="\n")
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main())

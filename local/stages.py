"""What `make test` runs, one stage after another, and the sum of it in its last line; with
``brokers``, what `make test-brokers` runs.

A stage that fails does not stop the next ones; it fails the whole. Nothing may be skipped.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from local import rabbitmq
from local.debian_root import debian_root
from local.install import RABBITMQ, CannotInstall, Need, install, needs_of
from local.kubectl import KubectlFailed, kubectl
from local.postgres import PostgresFailed, private_postgres
from local.settings import ROOT
from restaurant.checks import IDS

#: A command, and the report in which it counts its tests, if it has tests.
Command = tuple[Sequence[str], Path | None]
_REPORTS = ROOT / ".run" / "reports"
_PROGRAMS = Path(sys.executable).parent
#: What the person's own settings would change in the tests.
_SETTINGS = {*IDS, "HOST", "PORT"}
#: The word for the tests on this machine's RabbitMQ and on another Debian's.
_BROKERS = "brokers"
#: How long these may take on one RabbitMQ.
_BROKERS_LIMIT_S = 2400.0


@dataclass(frozen=True, kw_only=True)
class Count:
    """How much passed and how much failed; a command without tests counts as one."""

    passed: int = 0
    failed: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(passed=self.passed + other.passed, failed=self.failed + other.failed)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Some commands under one name, and what must be there for the time that they run."""

    name: str
    commands: Sequence[Command]
    surroundings: Callable[[], AbstractContextManager[Mapping[str, str]]] = lambda: (
        contextlib.nullcontext({})
    )
    needs: Sequence[Need] = ()
    #: How long each command may take; it is ended then, and has failed.
    limit_s: float | None = None


def broker_stages() -> list[Stage]:
    """The tests that use a broker, on this machine's RabbitMQ and on the other Debian's."""
    own = (rabbitmq.version() or "").partition(".")[0]
    other, suite = ("3", "bookworm") if own == "4" else ("4", "trixie")
    roots: dict[str, Callable[[], Path]] = {
        own: lambda: rabbitmq.MACHINE,
        other: partial(debian_root, suite),
    }
    return [
        _on_rabbitmq(f"rabbitmq-{version}{database}", root, postgres=bool(database))
        for version, root in roots.items()
        for database in ("", "-postgresql")
    ]


def stages() -> list[Stage]:
    """All of them, in the order in which they tell most soonest."""
    return [
        Stage(name="lint", commands=_lint()),
        Stage(name="types", commands=[([_program("mypy")], None)]),
        Stage(
            name="tests",
            commands=[_pytest("tests", "not browser and not kubernetes and not postgres")],
            needs=needs_of("broker-tests"),
        ),
        Stage(
            name="postgresql",
            commands=[
                _pytest("postgresql", "(database or postgres) and not browser and not sqlite")
            ],
            surroundings=_on_postgresql,
            needs=needs_of("database-tests"),
        ),
        Stage(
            name="browser",
            commands=[_pytest("browser", "browser", "tests/browser")],
            needs=needs_of("browser-tests"),
        ),
        Stage(
            name="kubernetes",
            commands=[_pytest("kubernetes", "kubernetes", "tests/k8s")],
            surroundings=_with_kubectl,
        ),
    ]


def _program(name: str) -> str:
    return str(_PROGRAMS / name)


def _lint() -> list[Command]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "templates/*.html"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    templates = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    return [
        ([_program("ruff"), "check", "--quiet", "."], None),
        ([_program("ruff"), "format", "--check", "--quiet", "."], None),
        ([_program("djade"), "--target-version", "5.2", "--check", *templates], None),
    ]


def _pytest(name: str, marks: str, *paths: str) -> Command:
    report = _REPORTS / f"{name}.xml"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5"]
    return [*words, f"--junitxml={report}", "-m", marks, *paths], report


def _on_rabbitmq(name: str, root: Callable[[], Path], *, postgres: bool) -> Stage:
    """The tests on a broker: those that need PostgreSQL, or all others."""

    @contextlib.contextmanager
    def surroundings() -> Iterator[Mapping[str, str]]:
        there = root()
        print(f"RabbitMQ {rabbitmq.version(there)}", flush=True)
        database: AbstractContextManager[Mapping[str, str]] = (
            _on_postgresql() if postgres else contextlib.nullcontext({})
        )
        with database as added:
            yield {"RABBITMQ_ROOT": str(there), **added}

    chosen = "postgres" if postgres else "not postgres"
    return Stage(
        name=name,
        commands=[_pytest(name, f"broker and not browser and {chosen}")],
        surroundings=surroundings,
        needs=(*needs_of("broker-tests"), *needs_of("database-tests")),
        limit_s=_BROKERS_LIMIT_S,
    )


@contextlib.contextmanager
def _on_postgresql() -> Iterator[Mapping[str, str]]:
    with private_postgres() as url:
        yield {"DATABASE_URL": url}


@contextlib.contextmanager
def _with_kubectl() -> Iterator[Mapping[str, str]]:
    yield {"PATH": f"{kubectl().parent}{os.pathsep}{os.environ['PATH']}"}


def run_stage(stage: Stage) -> Count:
    """Run every command of a stage and count what passed."""
    environ = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
    environ["NO_SKIPS"] = "1"
    try:
        install(stage.needs)
        with stage.surroundings() as added:
            counts = [
                run_command(command, environ | dict(added), limit_s=stage.limit_s)
                for command in stage.commands
            ]
    except (CannotInstall, KubectlFailed, PostgresFailed) as impossible:
        print(impossible, file=sys.stderr)
        return Count(failed=1)
    return sum(counts, Count())


def run_command(
    command: Command, environ: Mapping[str, str], *, limit_s: float | None = None
) -> Count:
    """Run a command and count what passed."""
    words, report = command
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.unlink(missing_ok=True)
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, timeout=limit_s
        )
        failed = done.returncode != 0
    except subprocess.TimeoutExpired:
        print(f"Ended: it took longer than {limit_s:g} s.", file=sys.stderr)
        failed = True
    if report is None:
        return Count(failed=1) if failed else Count(passed=1)
    return count_of(report, failed=failed)


def count_of(report: Path, *, failed: bool) -> Count:
    """The count of a test report; of a failed run it has one failure at least."""
    suites = ElementTree.parse(report).iter("testsuite") if report.exists() else ()  # noqa: S314
    ran = lost = 0
    for suite in suites:
        ran += int(suite.get("tests", 0)) - int(suite.get("skipped", 0))
        lost += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    ran, lost = max(ran, lost), max(lost, 1) if failed or not ran else lost
    return Count(passed=max(ran - lost, 0), failed=lost)


def _chosen(names: Sequence[str]) -> list[Stage]:
    if _BROKERS in names:
        install([RABBITMQ])  # which one it is decides what the other is
        return broker_stages()
    return [stage for stage in stages() if not names or stage.name in names]


def main() -> int:
    """Run the stages named on the command line, or all of `make test`."""
    try:
        chosen = _chosen(sys.argv[1:])
    except CannotInstall as impossible:
        print(impossible, file=sys.stderr)
        return 1
    lines, total = [], Count()
    for stage in chosen:
        print(f"\n== {stage.name}", flush=True)
        started_at = time.monotonic()
        count = run_stage(stage)
        took_s = time.monotonic() - started_at
        verdict = "FAILED" if count.failed or not count.passed else "ok"
        lines.append(
            f"{stage.name:<12}{took_s:>7.1f} s {count.passed:>6} passed {count.failed:>4} failed"
            f"   {verdict}"
        )
        total += count
    print("", *lines, "", f"{total.passed} passed, {total.failed} failed", sep="\n")
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main())

"""The last line of `make test` counts what ran, and nothing that failed counts as passed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from local import rabbitmq
from local.install import Need, install
from local.stages import Count, broker_stages, count_of, run, run_stage

_REPORT = """<testsuites><testsuite tests="{tests}" failures="{failures}" errors="{errors}"
skipped="{skipped}"/></testsuites>"""


def _report(
    path: Path, *, tests: int, failures: int = 0, errors: int = 0, skipped: int = 0
) -> Path:
    written = path / "report.xml"
    written.write_text(
        _REPORT.format(tests=tests, failures=failures, errors=errors, skipped=skipped)
    )
    return written


def test_a_green_report_counts_its_tests(tmp_path: Path) -> None:
    assert count_of(_report(tmp_path, tests=12), failed=False) == Count(passed=12)


def test_failures_and_errors_do_not_count_as_passed(tmp_path: Path) -> None:
    report = _report(tmp_path, tests=12, failures=2, errors=1)
    assert count_of(report, failed=True) == Count(passed=9, failed=3)


def test_a_run_that_failed_without_a_failing_test_has_one_failure(tmp_path: Path) -> None:
    report = _report(tmp_path, tests=12, skipped=2)
    assert count_of(report, failed=True) == Count(passed=9, failed=1)


@pytest.mark.parametrize("failed", [True, False])
def test_a_run_of_no_test_at_all_has_failed(tmp_path: Path, failed: bool) -> None:
    assert count_of(tmp_path / "never-written.xml", failed=failed) == Count(failed=1)
    assert count_of(_report(tmp_path, tests=0), failed=failed) == Count(failed=1)


def test_a_command_without_tests_counts_as_one() -> None:
    assert run([sys.executable, "-c", "pass"]) == Count(passed=1)
    assert run([sys.executable, "-c", "exit(3)"]) == Count(failed=1)


def test_the_settings_of_the_person_do_not_reach_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://somewhere/precious")
    program = "import os; exit('DATABASE_URL' in os.environ)"
    assert run([sys.executable, "-c", program]) == Count(passed=1)


def test_a_stage_whose_needs_cannot_be_met_has_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def from_nowhere() -> Count:
        install([Need(package="nothing", is_there=lambda: False)])
        return Count(passed=1)

    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_stage(from_nowhere) == Count(failed=1)


def test_a_command_that_takes_longer_than_it_may_is_ended_and_has_failed() -> None:
    waits_for_us = [sys.executable, "-c", "import signal; signal.pause()"]
    assert run(waits_for_us, limit_s=0.2) == Count(failed=1)


@pytest.mark.parametrize(
    ("own", "versions"),
    [("3.10.8", ["3", "4"]), ("4.0.5", ["4", "3"])],
)
def test_the_brokers_tests_run_on_the_machines_rabbitmq_and_on_the_other_debians(
    monkeypatch: pytest.MonkeyPatch, own: str, versions: list[str]
) -> None:
    monkeypatch.setattr(rabbitmq, "version", lambda root=None: own)
    assert list(broker_stages()) == [
        f"rabbitmq-{version}{database}" for version in versions for database in ("", "-postgresql")
    ]

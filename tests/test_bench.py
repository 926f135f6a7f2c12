"""`make bench`: what comes of goals that fail, of what it started, and what the table says."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from bench import __main__ as command
from bench.browser import ShownOrder
from bench.figures import (
    BEFORE,
    FLOOR,
    PRODUCT,
    BenchReport,
    Bound,
    Failed,
    Figure,
    Row,
    at_least,
    at_most,
    digits,
)
from bench.goals.p04_posting import post
from bench.processes import machine, pss_mb, used_s
from bench.rig import CONTROL, Drained, Rig, us_per_order
from local.processes import is_running
from local.settings import ROOT


def tiny(rig: Rig) -> Iterator[Figure]:
    seen = defaultdict(list, {FLOOR: [2.0, 4.0], PRODUCT: [1.0, 1.0]})
    yield Figure(goal="P1", what="tiny", unit="orders/s", bound=at_least(0.9), seen=seen)


def broken(rig: Rig) -> Iterator[Figure]:
    bound = at_most(5, absolute=True)
    yield Figure(goal="P2", what="before", unit="us", seen={PRODUCT: [3.0]}, bound=bound)
    raise OSError("no luck")


def hangs(rig: Rig) -> Iterator[Figure]:
    yield from ()
    signal.pause()


def closes_twice(rig: Rig) -> Iterator[Figure]:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        yield from tiny(rig)
    finally:
        raise OSError("closed twice")


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts goals in the place of the real ones; what is kept goes to a folder of the test."""
    monkeypatch.setenv("RUN_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(command, "install", lambda needs: None)
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    yield lambda **goals: monkeypatch.setattr(command, "GOALS", goals)
    for number, handler in before.items():
        signal.signal(number, handler)


def kept(tmp_path: Path) -> dict[str, Any]:
    """What was kept of a run, and nothing beside it."""
    files = sorted(path.name for path in (tmp_path / "bench").iterdir())
    assert files == ["bench.json", "bench.md"]
    document: dict[str, Any] = json.loads((tmp_path / "bench" / "bench.json").read_text())
    return document


def test_all_goals_have_a_module_that_says_its_purpose() -> None:
    assert list(command.GOALS) == [f"P{number}" for number in range(1, 13)]
    for name, measure in command.GOALS.items():
        assert (sys.modules[measure.__module__].__doc__ or "").startswith(f"{name}: ")


def test_a_missed_goal_is_printed_and_is_no_failure(
    plant: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(P1=tiny)
    assert command.main(["--quick"]) == 0
    assert "| ≥ 0.9 | **no** |" in capsys.readouterr().out
    (one,) = kept(tmp_path)["figures"]
    assert (one["goal"], one["ratio"], one["met"]) == ("P1", [0.5, 0.25], False)


def test_a_goal_that_fails_loses_no_figures_and_fails_the_whole(
    plant: Callable[..., None], tmp_path: Path
) -> None:
    plant(P1=tiny, P2=broken)
    assert command.main([]) == 1
    document = kept(tmp_path)
    assert [one["what"] for one in document["figures"]] == ["tiny", "before"]
    assert document["failed"] == [{"goal": "P2", "why": "OSError: no luck"}]


def test_a_goal_that_hangs_is_stopped(
    plant: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_LIMIT_S", 0.1)
    plant(P3=hangs, P11=tiny)
    assert command.main(["--orders", "1"]) == 1
    document = kept(tmp_path)
    assert len(document["figures"]) == 1
    assert "TimeoutError" in document["failed"][0]["why"]


def test_goals_are_chosen_by_name_and_a_quick_run_leaves_out_what_takes_long(
    plant: Callable[..., None], tmp_path: Path
) -> None:
    plant(P1=tiny, P6=broken)
    for words, figures in ((["P1"], 1), (["--quick"], 1), (["--quick", "P6"], 1), ([], 2)):
        assert command.main(words) == (1 if figures == 2 or "P6" in words else 0)
        assert len(kept(tmp_path)["figures"]) == figures
    for wrong in (["P7"], ["--against", str(tmp_path)]):
        with pytest.raises(SystemExit):
            command.main(wrong)


def test_an_interrupt_that_turns_into_another_error_ends_the_run_too(
    plant: Callable[..., None], tmp_path: Path
) -> None:
    plant(P1=tiny, P3=closes_twice, P11=tiny)
    assert command.main([]) == 130
    assert len(kept(tmp_path)["figures"]) == 1


def test_interrupted_it_keeps_what_it_has_and_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from bench import __main__ as m; from tests import test_bench as t;"
        "m.GOALS = {'P1': t.tiny, 'P2': t.hangs}; m.install = lambda needs: None;"
        "sys.exit(m.main([]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "RUN_DIRECTORY": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("P1 tiny")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "| P1 | tiny" in out
    assert len(kept(tmp_path)["figures"]) == 1


@pytest.mark.broker
def test_a_rig_drains_a_backlog_through_another_checkout_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (other / path.name).symlink_to(path)
    (other / ".run").mkdir()
    with Rig(tmp_path, against=other) as rig:
        with rig.product(BEFORE, MINUTE_MS="0") as before:
            assert rig.checkouts == {BEFORE: other, PRODUCT: ROOT}
            before.open(CONTROL, "vnext")
            pids = before.pids()
            assert Path(f"/proc/{pids['relay']}/cwd").resolve() == other
            drained = before.drain(20)
            assert drained.rate > 0
            assert {"relay", "observer", CONTROL, "broker", "database"} <= drained.used_s.keys()
            assert before.ended_by_all() == 20
        assert not any(is_running(pid, naming="python") for pid in pids.values())
        assert not list(tmp_path.glob(f"{BEFORE}*"))
        node = rig.broker
    assert not node.is_running()


@pytest.mark.postgres
def test_a_database_is_dropped_at_the_end_of_its_block(tmp_path: Path) -> None:
    def databases() -> list[str]:
        with psycopg.connect(rig.postgres) as server:
            rows = server.execute("select datname from pg_database where datname like 'bench%'")
            return [name for (name,) in rows]

    with Rig(tmp_path) as rig:
        with (
            rig.database("postgresql", tmp_path) as one,
            rig.database("postgresql", tmp_path) as two,
        ):
            assert one != two
            assert len(databases()) == 2
        assert databases() == []


def figure(bound: Bound, costs: Mapping[str, Any] | None = None, **seen: Sequence[float]) -> Figure:
    return Figure(goal="P0", what="it", unit="us", seen=seen, bound=bound, costs=costs or {})


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    one = figure(at_least(0.6), floor=(10, 20, 100), product=(8, 10, 100))
    assert one.ratio() == (0.8, 0.5, 1.0)
    assert one.value == 0.8
    assert one.met


@pytest.mark.parametrize(
    ("bound", "value", "met"),
    [
        (at_least(5, absolute=True), 5, True),
        (at_least(5, absolute=True), 4.9, False),
        (at_most(5, absolute=True), 5, True),
        (at_most(5, absolute=True), 5.1, False),
    ],
)
def test_a_bound_of_the_product_needs_no_floor(bound: Bound, value: float, met: bool) -> None:
    assert figure(bound, product=[value]).met is met


def test_the_table_has_spread_ratio_bound_and_what_was_missed() -> None:
    rows: list[Row] = [
        figure(at_least(0.6), floor=(1000, 2000), product=(100, 800)),
        figure(at_most(8, absolute=True), product=[2.5]),
        Failed(goal="P9", why="it rained"),
    ]
    report = BenchReport(machine={"Python": "3.11"}, rows=rows, seconds=12)
    text = report.markdown()
    assert "| P0 | it, us | 1,500 (1,000..2,000) | 450 (100..800) | 0.25 (0.10..0.40) |" in text
    assert "| ≥ 0.6 | **no** |" in text
    assert "| P0 | it, us |  | 2.50 |  | ≤ 8 us | yes |" in text
    assert "| P9 | **failed**: it rained |" in text
    assert "- Python: 3.11" in text


def test_the_table_of_a_pair_has_both_their_ratio_and_what_each_process_costs() -> None:
    costs = {BEFORE: {"relay": 100, "observer": 600}, PRODUCT: {"relay": 130, "observer": 400}}
    one = figure(at_least(0.6), costs, floor=[1000], before=[400], product=[500])
    text = BenchReport(machine={}, rows=[one], seconds=12).markdown()
    assert "| goal | what | floor | before | product | ratio | product to before | bound |" in text
    assert "| P0 | it, us | 1,000 | 400 | 500 | 0.50 | 1.25 | ≥ 0.6 |" in text
    assert "| observer | 600 | 400 | -200 |" in text
    assert "| together | 700 | 530 | -170 |" in text


@pytest.mark.parametrize(
    ("number", "text"),
    [(12345.6, "12,346"), (99.96, "100.0"), (12, "12"), (0.254, "0.25"), (0.00123, "0.0012")],
)
def test_numbers_have_no_more_digits_than_they_deserve(number: float, text: str) -> None:
    assert digits(number) == text


def test_the_machine_is_named() -> None:
    about = machine()
    assert about["Python"] == f"CPython {sys.version.split()[0]}"
    assert about["processors"].startswith(f"{os.cpu_count()} x ")
    assert all(about.values())


def test_an_order_is_on_the_board_when_it_or_a_later_one_is_shown() -> None:
    times = {"a": 1000, "c": 3000, "d": 2500, "other": 1}
    page: Any = SimpleNamespace(evaluate=lambda script: times)
    shown = ShownOrder(page, {"a": 1, "b": 2, "c": 3, "d": 4})
    assert [shown.at(number) for number in (1, 2, 3, 4, 5)] == [1.0, 2.5, 2.5, 2.5, None]


def test_a_process_has_used_what_its_children_used_even_those_that_ended() -> None:
    before = used_s(os.getpid())
    spin = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", spin], check=True)
    assert used_s(os.getpid()) - before >= 0.29
    assert used_s(os.getpid(), program="no such program") == 0
    assert pss_mb(os.getpid()) > 1


def test_processor_time_per_order_is_that_of_all_rounds_together() -> None:
    rounds = [Drained(100, 1.0, {"relay": 0.01}), Drained(300, 1.0, {"relay": 0.07})]
    assert us_per_order(rounds) == {"relay": pytest.approx(200)}


class _Site(http.server.BaseHTTPRequestHandler):
    """Takes orders, or refuses them."""

    protocol_version = "HTTP/1.1"
    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_answers_are_counted_and_one_that_is_not_200_is_an_error() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        assert post(site.server_port, seconds=0.2) >= 4
        _Site.status = 429
        with pytest.raises(RuntimeError, match="429"):
            post(site.server_port, seconds=0.2)
        site.shutdown()

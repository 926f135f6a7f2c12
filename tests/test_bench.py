"""The frame of `make bench`: what it makes of goals that fail, and of what it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bench.goals
from bench import __main__ as command
from bench.rig import CONTROL, Rig
from bench.servers import Servers
from bench.suite import goals
from local.processes import is_running
from local.settings import ROOT
from local.stack import until

TINY = '''
    """P1: a tiny goal."""
    from bench.figures import AtLeast, Figure, Samples
    SECONDS = 5
    def measure(rig):
        yield Figure(goal="P1", what="tiny", unit="orders/s", floor=Samples((2.0, 4.0)),
                     product=Samples((1.0, 1.0)), bound=AtLeast(0.9))
'''
BROKEN = '''
    """P2: breaks after its first figure."""
    from bench.figures import AtMost, Figure, Samples
    SECONDS = 5
    def measure(rig):
        yield Figure(goal="P2", what="before", unit="us", product=Samples((3.0,)),
                     bound=AtMost(5, of="product"))
        raise OSError("no luck")
'''
HANGS = '''
    """P3: waits for ever."""
    import signal
    SECONDS = 0
    def measure(rig):
        yield from ()
        signal.pause()
'''


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Puts goals in the place of the real ones; what is kept goes to a folder of the test."""
    folder = tmp_path / "goals"
    folder.mkdir()
    monkeypatch.setattr(bench.goals, "__path__", [str(folder)])
    monkeypatch.setenv("RUN_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(command, "install", lambda needs: None)
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}

    def make(**sources: str) -> None:
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(source))
            monkeypatch.delitem(sys.modules, f"bench.goals.{name}", raising=False)

    yield make
    for number, handler in before.items():
        signal.signal(number, handler)


def kept(tmp_path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((tmp_path / "bench" / "bench.json").read_text())
    return document


def kept_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "bench").iterdir())


def test_all_goals_have_a_module_a_share_and_a_purpose() -> None:
    for name, module in goals().items():
        source = (ROOT / "bench" / "goals" / f"{module}.py").read_text()
        assert source.startswith(f'"""{name}: ')
        assert "\nSECONDS = " in source


def test_a_missed_goal_is_printed_and_is_no_failure(
    plant: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(p01_tiny=TINY)
    assert command.main(["--quick"]) == 0
    assert "| ≥ 0.9 | **no** |" in capsys.readouterr().out
    (one,) = kept(tmp_path)["figures"]
    assert (one["goal"], one["ratio"], one["met"]) == ("P1", [0.5, 0.25], False)
    assert kept_files(tmp_path) == ["bench.json", "bench.md"]


def test_a_goal_that_fails_loses_no_figures_and_fails_the_whole(
    plant: Callable[..., None], tmp_path: Path
) -> None:
    plant(p01_tiny=TINY, p02_broken=BROKEN, p10_unreadable="this is no Python")
    assert command.main([]) == 1
    document = kept(tmp_path)
    assert [one["what"] for one in document["figures"]] == ["tiny", "before"]
    failed = document["failed"]
    assert failed[0] == {"goal": "P2", "why": "OSError: no luck"}
    assert failed[1]["goal"] == "P10"


def test_a_goal_that_hangs_is_stopped(
    plant: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.suite._PATIENCE_S", 0.1)
    plant(p03_hangs=HANGS, p11_tiny=TINY)
    assert command.main([]) == 1
    document = kept(tmp_path)
    assert len(document["figures"]) == 1
    assert "OutOfTime" in document["failed"][0]["why"]


def test_goals_are_chosen_by_name(plant: Callable[..., None], tmp_path: Path) -> None:
    plant(p01_tiny=TINY, p02_broken=BROKEN)
    assert command.main(["P1"]) == 0
    assert len(kept(tmp_path)["figures"]) == 1
    with pytest.raises(SystemExit):
        command.main(["P7"])


def test_an_interrupt_that_turns_into_another_error_ends_the_run_too(
    plant: Callable[..., None], tmp_path: Path
) -> None:
    interrupted_while_closing = """
        import os, signal

        SECONDS = 60

        def measure(rig):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                yield
            finally:
                raise OSError("closed twice")
        """
    plant(p03_interrupted=interrupted_while_closing, p11_tiny=TINY)
    assert command.main([]) == 130
    assert kept(tmp_path)["figures"] == []


def test_interrupted_it_keeps_what_it_has_and_leaves_nothing(tmp_path: Path) -> None:
    goals_folder = tmp_path / "goals"
    goals_folder.mkdir()
    (goals_folder / "p01_tiny.py").write_text(textwrap.dedent(TINY))
    (goals_folder / "p02_hangs.py").write_text(textwrap.dedent(HANGS).replace("= 0", "= 60"))
    script = (
        f"import sys, bench.goals; bench.goals.__path__ = [{str(goals_folder)!r}];"
        "from bench import __main__ as m; m.install = lambda needs: None; sys.exit(m.main([]))"
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
    assert kept_files(tmp_path) == ["bench.json", "bench.md"]


@pytest.mark.broker
def test_a_rig_that_is_closed_leaves_nothing_behind(tmp_path: Path) -> None:
    with Servers(tmp_path) as servers:
        with Rig(tmp_path / "P0", True, 60, servers=servers) as rig, rig.stack() as stack:
            stack.start("relay", CONTROL)
            pids = stack.pids()
            launches = "select name from restaurant_launch"
            assert stack.query(launches) == [("Bench",)]
            until(lambda: "takes orders" in stack.log(CONTROL), "the kitchen has its queue")
            host = stack.amqp_url.rpartition("/")[2]
            assert host in servers.broker.control("list_vhosts").split()
        assert not any(is_running(pid, naming="python") for pid in pids.values())
        assert not (tmp_path / "P0").exists()
        assert host not in servers.broker.control("list_vhosts").split()
        node = servers.broker
    assert not node.is_running()


@pytest.mark.postgres
def test_a_rig_that_is_closed_drops_its_databases(tmp_path: Path) -> None:
    with Servers(tmp_path) as servers:
        with Rig(tmp_path / "P0", True, 60, servers=servers) as rig:
            first, second = rig.database("postgresql"), rig.database("postgresql")
            assert first != second
            assert len(databases(servers)) == 2
        assert databases(servers) == []


def databases(servers: Servers) -> list[str]:
    with servers.ask_postgres() as server:
        named = server.execute("select datname from pg_database where datname like 'bench%'")
        return [str(name) for (name,) in named]


def test_a_quick_run_leaves_out_what_takes_long_unless_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = list[list[str]]()
    monkeypatch.setattr(command, "goals", lambda: dict.fromkeys(("P1", "P6"), "module"))
    monkeypatch.setattr(command, "_measured", lambda chosen, *_, **__: ran.append([*chosen]))
    monkeypatch.setattr(command, "install", lambda needs: None)
    for words in (["--quick"], ["--quick", "P6"], []):
        command.main(words)
    assert ran == [["P1"], ["P6"], ["P1", "P6"]]

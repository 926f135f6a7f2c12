"""The README's pipeline gate works as printed, and none of its failures looks like a verdict."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.management.commands.verdict import EXIT_CODES, NOTHING_TO_SAY
from dashboard.verdict.wording import Word

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
VERDICTS = {*EXIT_CODES.values(), NOTHING_TO_SAY}


def ask(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command at the top of the repository, with nothing else in its environment."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_exit_codes_of_the_readme_are_those_of_the_command() -> None:
    [row] = re.findall(r"^\| exit code \|(.*)\| any other \|$", README, re.MULTILINE)
    assert [int(code) for code in row.split("|") if code.strip()] == [
        *EXIT_CODES.values(), NOTHING_TO_SAY,
    ]  # fmt: skip


def test_the_gates_of_the_readme_answer(tmp_path: Path) -> None:
    gates = re.findall(r"^(?:python|\.venv/bin/python) .*verdict.*$", README, re.MULTILINE)
    assert len(gates) == 2
    settings = {
        "SECRET_KEY": "k" * 50,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'kitchen.sqlite3'}",
        "RUN_DIRECTORY": str(tmp_path),
    }
    assert ask(sys.executable, "manage.py", "migrate", "-v0", **settings).returncode == 0
    for gate in gates:
        done = ask(sys.executable, *gate.split()[1:], **settings)
        assert done.returncode == NOTHING_TO_SAY, done
        assert f"There is no launch yet in {tmp_path}/kitchen.sqlite3." in done.stderr


@pytest.mark.parametrize(
    ("words", "environ", "code", "said"),
    [
        (["-S", "manage.py", "verdict"], {}, os.EX_UNAVAILABLE, "Django is not installed for "),
        (["manage.py", "verdict"], {}, os.EX_CONFIG, "SECRET_KEY: is not set"),
        (["manage.py", "verdict", "--verison", "vnext"], {"SECRET_KEY": "k" * 50}, 2, "--verison"),
        (["manage.py", "verdict"], {"SECRET_KEY": "k" * 50, "DATABASE_URL": "sqlite:////no/x"}, 1,
         "No answer: /no/x and /no/x-dashboard: unable to open database file"),
    ],
)  # fmt: skip
def test_a_gate_that_cannot_be_asked_is_no_verdict(
    words: list[str], environ: dict[str, str], code: int, said: str
) -> None:
    done = ask(sys.executable, *words, **environ)
    assert done.returncode == code
    assert code not in VERDICTS
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("code", [*sorted(VERDICTS), 1, 2, os.EX_UNAVAILABLE, os.EX_CONFIG])
def test_make_takes_a_verdict_for_success_and_nothing_else(tmp_path: Path, code: int) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@"\nexit {code}\n')
    python.chmod(0o755)
    done = ask("make", "-o", ".venv/runtime", "verdict", f"BIN={tmp_path}", "ARGS=--version vmine")
    assert done.stdout == "-m local.manage verdict --version vmine\n"
    assert (done.returncode == 0) is (code in VERDICTS)
    assert ("Error" in done.stderr) is (code not in VERDICTS)


@pytest.mark.parametrize("code", [*sorted(VERDICTS), 1, 2, os.EX_UNAVAILABLE, os.EX_CONFIG])
def test_the_loop_of_the_readme_waits_while_a_verdict_may_still_come(
    tmp_path: Path, code: int
) -> None:
    [loop] = re.findall(r"^while true; do\n.*?^done\n", README, re.MULTILINE | re.DOTALL)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for program, text in (
        (".venv/bin/python", f"exit {code}"),
        ("sleep", "echo waits; kill $PPID"),
    ):
        script = tmp_path / program
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", loop],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    waits = code in {EXIT_CODES[Word.NOT_YET], EXIT_CODES[Word.WITHHELD], NOTHING_TO_SAY}
    assert (done.stdout == "waits\n") is waits
    assert done.returncode == (-signal.SIGTERM if waits else code)

"""Options and environment make a frozen record, or one error that names what is wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kitchen_worker.__main__ import main
from kitchen_worker.config import ConfigError, WorkerConfig
from kitchen_worker.contract.messages import Role
from kitchen_worker.kitchens.vnext import Fault

LEAST = ["--version", "vnext", "--role", "candidate"]


def test_version_and_role_are_enough() -> None:
    config = WorkerConfig.read(LEAST, {})
    assert config == WorkerConfig(version="vnext", role=Role.CANDIDATE, build="shipped")


@pytest.mark.parametrize(
    ("argv", "environ", "build"),
    [
        (LEAST, {}, "shipped"),
        (
            [*LEAST, "--mend", "too-many,float-prices"],
            {},
            "shipped, mended: float-prices, too-many",
        ),
        (
            ["--version", "vnext-2", "--role", "candidate"],
            {"MEND": "crowded"},
            "shipped, mended: crowded",
        ),
        (["--version", "vlatest-b", "--role", "baseline"], {"MEND": "crowded"}, "shipped"),
        ([*LEAST, "--mend", "crowded", "--build", "git:1a2b3c"], {}, "git:1a2b3c, mended: crowded"),
        ([*LEAST, "--kitchen", "json:dumps", "--mend", "crowded"], {}, ""),
    ],
)
def test_a_shipped_kitchen_names_its_own_build_and_what_is_mended_in_it(
    argv: list[str], environ: dict[str, str], build: str
) -> None:
    assert WorkerConfig.read(argv, environ).build == build


def test_every_option_can_be_given_in_the_environment() -> None:
    environ = {
        "VERSION": "vother",
        "ROLE": "baseline",
        "KITCHEN": "json:dumps",
        "BUILD": "git:1a2b3c",
        "CONCURRENCY": "3",
        "PREFETCH": "4",
        "MINUTE_MS": "0.5",
        "SEED": "9",
        "MEND": "lost-note, crowded",
        "AMQP_URL": "amqps://broker",
        "HEALTH_PORT": "8081",
        "LOG_LEVEL": "debug",
    }
    config = WorkerConfig.read([], environ)
    assert (config.version, config.role, config.kitchen) == (
        "vother",
        Role.BASELINE,
        "json:dumps",
    )
    assert (config.build, config.concurrency, config.prefetch) == ("git:1a2b3c", 3, 4)
    assert (config.minute_ms, config.seed) == (0.5, 9)
    assert config.mend == {Fault.LOST_NOTE, Fault.CROWDED}
    assert (config.amqp_url, config.health_port) == ("amqps://broker", 8081)
    assert config.log_level == "DEBUG"


def test_an_option_wins_over_its_variable() -> None:
    config = WorkerConfig.read([*LEAST, "--concurrency", "2"], {"CONCURRENCY": "x"})
    assert config.concurrency == 2


def test_the_prefetch_is_twice_the_concurrency_by_default() -> None:
    assert WorkerConfig.read(LEAST, {}).prefetch == 200
    assert WorkerConfig.read([*LEAST, "--concurrency", "1"], {}).prefetch == 2
    assert WorkerConfig.read([*LEAST, "--prefetch", "7"], {}).prefetch == 7


@pytest.mark.parametrize(
    ("argv", "environ", "named"),
    [
        ([], {"VERSION": "vnext"}, "ROLE: "),
        ([], {"ROLE": "control"}, "VERSION: "),
        (["--role", "chef", "--version", "vnext"], {}, "--role: 'chef'"),
        ([*LEAST, "--version", "V Next"], {}, "--version: 'V Next'"),
        ([*LEAST, "--kitchen", "no colon"], {}, "--kitchen: 'no colon'"),
        (LEAST, {"CONCURRENCY": "0"}, "CONCURRENCY: '0'"),
        (LEAST, {"PREFETCH": "²"}, "PREFETCH: '²'"),
        (LEAST, {"MINUTE_MS": "nan"}, "MINUTE_MS: 'nan'"),
        (LEAST, {"MINUTE_MS": "-1"}, "MINUTE_MS: '-1'"),
        (LEAST, {"SEED": "now"}, "SEED: 'now'"),
        ([*LEAST, "--mend", "all"], {}, "--mend: 'all'"),
        (LEAST, {"HEALTH_PORT": "70000"}, "HEALTH_PORT: '70000'"),
        (LEAST, {"LOG_LEVEL": "LOUD"}, "LOG_LEVEL: 'LOUD'"),
    ],
)
def test_what_is_wrong_is_named_by_its_option_or_variable(
    argv: list[str], environ: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        WorkerConfig.read(argv, environ)
    assert str(caught.value).startswith(named)


def test_an_unknown_version_stops_at_start_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--version", "vother", "--role", "candidate"], {}) == 2
    said = capsys.readouterr().err
    assert "vlatest, vnext" in said
    assert "--kitchen" in said


@pytest.mark.parametrize("path", ["no_such_module:cook", "json:no_such_thing", "json:__doc__"])
def test_a_kitchen_that_cannot_be_had_stops_at_start(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LEAST, "--kitchen", path], {}) == 2
    assert f"--kitchen: {path}" in capsys.readouterr().err


def test_a_broker_address_never_shows_its_password() -> None:
    secret = "amqp://cook:hunter2@broker"
    assert "hunter2" not in repr(WorkerConfig.read(LEAST, {"AMQP_URL": secret}))
    with pytest.raises(ConfigError) as caught:
        WorkerConfig.read(LEAST, {"AMQP_URL": "http://cook:hunter2@broker"})
    assert str(caught.value).startswith("AMQP_URL: ")
    assert "hunter2" not in str(caught.value)


def test_the_help_names_every_variable_and_needs_no_broker() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kitchen_worker", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in ("VERSION", "MINUTE_MS", "MEND", "AMQP_URL", "float-prices", "SIGTERM"):
        assert name in done.stdout

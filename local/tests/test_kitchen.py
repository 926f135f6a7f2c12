"""`make kitchen` finds the broker of `make run`, or prints that there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kitchen_worker.contract.permissions import users
from local.broker import make_users
from local.broker_node import BrokerNode
from local.processes import ends_with_us
from local.settings import BROKER, ROOT
from local.stack import until

#: It is refused by its own name before it would connect to a broker.
_NO_KITCHEN = ("--version", "vmine", "--role", "candidate", "--kitchen", "no_such_kitchen:cook")


def _kitchen(directory: Path, amqp_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local.kitchen", *_NO_KITCHEN],
        cwd=ROOT,
        env={**os.environ, "RUN_DIRECTORY": str(directory / "run"), "AMQP_URL": amqp_url},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_a_broker_one_line_tells_what_to_do(tmp_path: Path) -> None:
    refused = _kitchen(tmp_path, "")
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert "start `make run` first, or set AMQP_URL" in line


def test_with_a_broker_it_becomes_the_kitchen(tmp_path: Path) -> None:
    become = _kitchen(tmp_path, "amqp://guest:guest@127.0.0.1:5672/")
    assert become.returncode == 2
    assert "no_such_kitchen" in become.stderr


@pytest.mark.broker
def test_at_the_private_broker_a_new_version_gets_a_user_of_its_own(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    node = BrokerNode(directory / BROKER)
    node.start()
    try:
        make_users(node, users({}), directory)
        command = [sys.executable, "-m", "local.kitchen", "--version", "vmine"]
        own = ["--role", "candidate", "--kitchen", "kitchen_worker.tests.own_kitchen:cook"]
        environ = {**os.environ, "RUN_DIRECTORY": str(directory), "AMQP_URL": ""}
        kitchen = subprocess.Popen(
            ends_with_us([*command, *own]), cwd=ROOT, env=environ, stderr=subprocess.DEVNULL
        )
        try:
            until(
                lambda: "kitchen-vmine" in node.control("list_connections", "user"),
                "it has connected as itself",
            )
        finally:
            kitchen.kill()
            kitchen.wait()
        permissions = node.control("list_user_permissions", "kitchen-vmine")
        assert r"^(kitchen\.events|orders\.dead)$" in permissions
    finally:
        node.stop(gently=False)

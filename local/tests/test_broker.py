"""Which broker `make run` takes: the given one, a private one, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from kitchen_worker.contract import permissions
from kitchen_worker.contract.messages import Role
from local import broker as chosen
from local.broker_node import BrokerNode
from local.install import CannotInstall, Need, install
from local.settings import BROKER

USERS = permissions.users({"vlatest": Role.CONTROL})
_MISSING = Need(package="a-broker", is_there=lambda: False)


@pytest.fixture
def _nothing_can_be_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(chosen, "RABBITMQ", _MISSING)


def test_the_given_broker_is_used_as_it_is() -> None:
    given = "amqp://kitchen:secret@broker.example:5672/"
    with chosen.broker({"AMQP_URL": given}, USERS) as found:
        assert (found.url_of("relay"), found.name) == (given, "the one of AMQP_URL")


@pytest.mark.usefixtures("_nothing_can_be_installed")
def test_without_any_way_to_a_broker_the_three_ways_out_are_named() -> None:
    with (
        pytest.raises(chosen.NoBroker) as refused,
        chosen.broker({"AMQP_URL": " "}, USERS),
    ):
        pass
    for way_out in ("set AMQP_URL", "apt-get install rabbitmq-server", "compose.yaml"):
        assert way_out in str(refused.value)


@pytest.mark.usefixtures("_nothing_can_be_installed")
def test_what_cannot_be_installed_is_named() -> None:
    with pytest.raises(CannotInstall, match="sudo apt-get install a-broker"):
        install([_MISSING])


def test_what_is_there_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    install([Need(package="anything", is_there=lambda: True)])


@pytest.mark.broker
def test_the_private_node_is_gone_after_the_block_even_when_it_fails(tmp_path: Path) -> None:
    node = BrokerNode(tmp_path / BROKER)

    def fail() -> None:
        with chosen.broker({"RUN_DIRECTORY": str(tmp_path)}, USERS) as found:
            assert node.is_running()
            assert found.name == f"{node.url} (private)"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not node.is_running()

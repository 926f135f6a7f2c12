"""The environment of manage.py commands beside `make run`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.broker_node import BrokerNode
from local.manage import with_broker
from local.settings import BROKER


def test_a_given_broker_is_kept(tmp_path: Path) -> None:
    given = {"RUN_DIRECTORY": str(tmp_path), "AMQP_URL": "amqp://elsewhere/"}
    assert with_broker(given, "site") == given


def test_without_a_broker_no_url_is_set(tmp_path: Path) -> None:
    given = {"RUN_DIRECTORY": str(tmp_path)}
    assert with_broker(given, "site") == given


@pytest.mark.broker
def test_the_private_broker_of_make_run_is_found_as_one_of_its_users(tmp_path: Path) -> None:
    node = BrokerNode(tmp_path / BROKER)
    node.start()
    try:
        found = urlsplit(with_broker({"RUN_DIRECTORY": str(tmp_path)}, "relay")["AMQP_URL"])
        assert (found.username, found.port) == ("relay", node.ports.amqp)
    finally:
        node.stop(gently=False)

"""What tests of every package share: private brokers, marks by what a test uses, and no skips."""

from __future__ import annotations

import base64
import itertools
import json
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings

from local import broker_cluster as clusters
from local.broker_node import BrokerNode
from local.ports import LOOPBACK
from tests.users import users_for_tests

# How long one example takes says how busy the machine is; bounds on work are tests of their own.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

#: A fixture that a test uses, at whatever remove, and the marks that the test gets for it.
_MARKS = {
    "_broker_with_virtual_hosts": ("broker",),
    "broker_cluster": ("broker", "serial"),
    "broker_node": ("broker",),
    "_django_db_helper": ("database",),
    "live_server": ("database",),
}
#: Under this, or under CI, a test that is skipped fails the run.
_NO_SKIPS = ("NO_SKIPS", "CI")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Test databases of this process alone: on a server by name, else as files of this run."""
    folder = tmp_path_factory.mktemp("database")
    for alias, database in settings.DATABASES.items():
        if database["ENGINE"].endswith("sqlite3"):
            database["TEST"]["NAME"] = str(folder / f"{alias}.sqlite3")


@pytest.fixture(scope="session")
def _broker_with_virtual_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerNode]:
    """One node for all tests of this process, whose virtual hosts keep them apart."""
    node = BrokerNode(tmp_path_factory.mktemp("broker"), management=True)
    node.start()
    yield node
    node.stop(gently=False)


@pytest.fixture(scope="session")
def make_amqp_url(_broker_with_virtual_hosts: BrokerNode) -> Callable[[], str]:
    """Each call makes a virtual host with the users of `tests.users` alone, and gives its URL."""
    node = _broker_with_virtual_hosts
    numbers = itertools.count(1)

    def make() -> str:
        name = f"test-{next(numbers)}"
        _manage(node, "PUT", f"vhosts/{name}")
        url = f"amqp://guest:guest@{LOOPBACK}:{node.ports.amqp}/{name}"
        _manage(node, "POST", "definitions", users_for_tests(url))
        return url

    return make


@pytest.fixture
def amqp_url(
    make_amqp_url: Callable[[], str], _broker_with_virtual_hosts: BrokerNode
) -> Iterator[str]:
    """A broker for one test alone; whoever is still connected afterwards is cut off."""
    url = make_amqp_url()
    yield url
    _manage(_broker_with_virtual_hosts, "DELETE", f"vhosts/{url.rpartition('/')[2]}")


@pytest.fixture(scope="session")
def session_amqp_url(make_amqp_url: Callable[[], str]) -> str:
    """A broker for fixtures that many tests share."""
    return make_amqp_url()


@pytest.fixture
def management_url(_broker_with_virtual_hosts: BrokerNode) -> str:
    """The management API of the same broker, with an administrator's login."""
    return f"http://guest:guest@{LOOPBACK}:{_broker_with_virtual_hosts.ports.management}"


@pytest.fixture
def lower_bound(
    amqp_url: str, _broker_with_virtual_hosts: BrokerNode
) -> Callable[[str, int], None]:
    """Has a queue hold so many messages at most, as an operator would: by a policy."""

    def lower(queue: str, length: int) -> None:
        _manage(
            _broker_with_virtual_hosts,
            "PUT",
            f"policies/{amqp_url.rpartition('/')[2]}/{queue}",
            {"pattern": f"^{queue}$", "definition": {"max-length": length}, "apply-to": "queues"},
        )

    return lower


@pytest.fixture
def broker_node(tmp_path: Path) -> Iterator[BrokerNode]:
    """A running node that the test may stop and start; ``broker_node.url`` stays the same."""
    node = BrokerNode(tmp_path / "broker-node")
    node.start()
    yield node
    node.stop(gently=False)


@pytest.fixture
def broker_cluster(tmp_path: Path) -> Iterator[clusters.BrokerCluster]:
    """Three running nodes that are one broker; the test may kill and start each."""
    with clusters.broker_cluster(tmp_path / "broker-cluster") as cluster:
        yield cluster


def _manage(
    node: BrokerNode, method: str, path: str, body: Mapping[str, Any] | None = None
) -> None:
    credentials = base64.b64encode(b"guest:guest").decode()
    request = urllib.request.Request(  # noqa: S310 - our own node
        f"{node.management_url}/{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=30).close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by what it uses, so that `make test` can choose; one that uses a database may
    use every one."""
    for item in items:
        for fixture, marks in _MARKS.items():
            if fixture in getattr(item, "fixturenames", ()):
                for mark in marks:
                    item.add_marker(mark)
        asked = item.get_closest_marker("django_db")
        if asked:
            item.add_marker("database")
        if item.get_closest_marker("database"):
            every = {**(asked.kwargs if asked else {}), "databases": "__all__"}
            item.add_marker(pytest.mark.django_db(**every), append=False)


class SkipsFail:
    """Fails the run when a test was skipped: what was not run was not tested."""

    def __init__(self) -> None:
        self._skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skipped test; one that fails as expected did run."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a skipped file."""
        if report.skipped:
            self._skipped.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a green run with skips into a failed one."""
        if self._skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which, and why that fails the run."""
        for nodeid in self._skipped:
            terminalreporter.write_line(f"NOT RUN {nodeid}: here, nothing may be skipped", red=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run kill more often than the quick one."""
    parser.addoption("--kills", type=int, default=1, help="how often each process is killed")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often a test kills each process."""
    number: int = request.config.getoption("--kills")
    return number


def pytest_configure(config: pytest.Config) -> None:
    """Forbid skips where the run is to be trusted."""
    if any(os.environ.get(name) for name in _NO_SKIPS):
        config.pluginmanager.register(SkipsFail())

"""A kitchen and a broker that speak TLS, with certificates of a CA made here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from kitchen_worker.amqp.broker import Outgoing
from kitchen_worker.amqp.connection import connect
from kitchen_worker.amqp.tests.waiting import DEADLINE_S, taken, until
from kitchen_worker.contract.topology import ORDERS_DEAD, Binding, Exchange, Queue, Topology
from local.broker_node import BrokerNode
from local.ports import LOOPBACK, answers, free_ports
from local.stack import until as wait_until

ROOT = Path(__file__).resolve().parents[2]
_CONFIGURATION = """
listeners.ssl.local = {host}:{port}
ssl_options.cacertfile = {directory}/ca.pem
ssl_options.certfile = {directory}/server.pem
ssl_options.keyfile = {directory}/server.pem
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ``ca.pem``, what a server has of it in ``server.pem``, and ``other.pem``."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    trustme.CA().cert_pem.write_to_path(directory / "other.pem")
    server = authority.issue_cert(LOOPBACK)
    server.private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    return directory


@pytest.fixture(scope="module")
def tls_url(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[str]:
    """A node that also listens with TLS, without the ``cafile``."""
    directory = tmp_path_factory.mktemp("tls") / "node"
    (directory / "conf.d").mkdir(parents=True)
    for name in ("ca.pem", "server.pem"):
        (directory / name).write_bytes((certificates / name).read_bytes())
    (port,) = free_ports(1)
    configuration = _CONFIGURATION.format(host=LOOPBACK, port=port, directory=directory)
    (directory / "conf.d" / "tls.conf").write_text(configuration)
    node = BrokerNode(directory)
    node.start()
    wait_until(lambda: answers(port), "the node listens with TLS")
    yield f"amqps://guest:guest@{LOOPBACK}:{port}/"
    node.stop(gently=False)


@contextmanager
def _a_kitchen(url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "kitchen_worker", "--version", "vnext", "--role", "candidate"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "AMQP_URL": url}, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.broker
async def test_messages_of_any_size_cross_tls(tls_url: str, certificates: Path) -> None:
    whole = Topology(
        exchanges=(Exchange(name=ORDERS_DEAD, type="topic"),),
        queues=(Queue(name="sizes"),),
        bindings=(Binding(source=ORDERS_DEAD, destination="sizes", routing_key="#"),),
    )
    bodies = [b"", b"1", b"x" * 131_072, b"y" * 5_000_000] + [b"small"] * 500
    async with connect(f"{tls_url}?cafile={certificates / 'ca.pem'}", "test") as broker:
        await broker.declare(whole)
        sent = [Outgoing(exchange=ORDERS_DEAD, routing_key="any", body=body) for body in bodies]
        assert not any(await broker.publish(sent))
        assert [one.body for one in await taken(broker, "sizes", len(bodies))] == bodies


@pytest.mark.broker
async def test_a_kitchen_connects_to_a_broker_whose_certificate_is_of_its_cafile(
    tls_url: str, certificates: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with _a_kitchen(f"{tls_url}?cafile={certificates / 'ca.pem'}", log):
        await until(lambda: "connected to the broker" in log.read_text(), "it has connected")


@pytest.mark.broker
@pytest.mark.parametrize("query", ["?cafile={}/other.pem", ""])
async def test_a_kitchen_logs_an_untrusted_broker_in_one_line(
    tls_url: str, certificates: Path, tmp_path: Path, query: str
) -> None:
    log = tmp_path / "log"
    with _a_kitchen(f"{tls_url}{query.format(certificates)}", log) as process:
        await until(lambda: log.read_text().count("no broker") > 1, "it has tried twice")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    said = log.read_text()
    assert "certificate verify failed" in said
    assert "connected" not in said
    assert "Traceback" not in said
    assert "guest" not in said


def test_a_kitchen_without_its_cafile_does_not_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with _a_kitchen("amqps://kitchen:secret@broker/?cafile=/no/ca.pem", log) as process:
        assert process.wait(DEADLINE_S) != 0
    assert "AMQP_URL: its cafile /no/ca.pem is unusable: No such file" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert "secret" not in log.read_text()

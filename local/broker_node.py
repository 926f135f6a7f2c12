"""A private RabbitMQ node in a directory of its own, on the loopback interface.

It has its own cookie, ports (AMQP, Erlang distribution, epmd, and the management API if requested)
and data; once stopped, it leaves no process. RABBITMQ_ROOT names the root of another Debian whose
RabbitMQ to run. ``python -m local.broker_node list_queues`` runs a rabbitmqctl command on the node
of a running `make run`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from local.ports import LOOPBACK, answers, can_listen, free_ports
from local.processes import ends_with_us, is_running
from local.rabbitmq import given_root, in_root, scripts, server_script
from local.settings import BROKER, run_directory

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
_NODE_NAME = "dark-kitchen@localhost"
_MANAGEMENT = ("rabbitmq_management", "rabbitmq_management_agent", "rabbitmq_web_dispatch")


class NodeFailed(RuntimeError):
    """Raised when a node doesn't start or stop."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    amqp: int
    distribution: int
    epmd: int
    management: int

    @classmethod
    def free(cls) -> Ports:
        amqp, distribution, epmd, management = free_ports(4)
        return cls(amqp=amqp, distribution=distribution, epmd=epmd, management=management)

    def are_free(self) -> bool:
        return all(can_listen(port) for port in asdict(self).values())


@dataclass(frozen=True, kw_only=True)
class Membership:
    """What a node of a cluster needs to know of it."""

    #: Has the directory of each node, and the home with their shared cookie.
    directory: Path
    #: The Erlang name of the node that starts first; the others join it.
    first: str
    #: Their shared name server; no node stops it.
    epmd: int


class BrokerNode:
    """The node of one directory; every process that knows the directory can start and stop it."""

    def __init__(
        self,
        directory: Path,
        *,
        management: bool = False,
        name: str = _NODE_NAME,
        cluster: Membership | None = None,
    ) -> None:
        self._directory = directory.resolve()
        self._management = management
        self._name = name
        self._cluster = cluster
        self._root = given_root(os.environ)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{LOOPBACK}:{self.ports.amqp}/"

    @property
    def management_url(self) -> str:
        """The management API's URL, if it was requested."""
        return f"http://{LOOPBACK}:{self.ports.management}/api"

    @property
    def ports(self) -> Ports:
        """The node's ports, or those of its last run."""
        return Ports(**json.loads(self._ports_file.read_text()))

    @property
    def name(self) -> str:
        return self._name

    @property
    def log(self) -> Path:
        return self._directory / "log" / "rabbit.log"

    def is_running(self) -> bool:
        return self._pid() is not None

    def start(self) -> None:
        """Start the node unless it runs, and wait until it accepts connections.

        It keeps its last ports if they are free, so that clients find it again.
        """
        if self.is_running() and self._answers():
            return
        self.begin()
        self.wait_until_begun()

    def begin(self) -> None:
        """Start the node without waiting, since the nodes of a new cluster wait for each other.

        Call it in a thread that stays: Linux ends the node with its parent thread.
        """
        self.stop()
        self._write_configuration(self._choose_ports())
        plugins = _MANAGEMENT if self._management else ()
        script = server_script(self._directory / "rabbitmq", plugins=plugins, root=self._root)
        command = self._in_root(str(self._seen_in_root(script)))
        with (self._directory / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                ends_with_us(command),
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_begun(self) -> None:
        """Wait until the node accepts connections."""
        self._wait_until_it_answers()
        self._remembered_pid_file.write_text(str(self._pid()))

    def stop(self, *, gently: bool = True) -> None:
        """Stop the node and its epmd, no matter who started them; a clean stop keeps its data."""
        pid = self._pid()
        # While starting, it may not respond.
        patience_s = STOP_TIMEOUT_S if self._ports_file.exists() and self._answers() else 2.0
        for number in (signal.SIGTERM, signal.SIGKILL) if gently else (signal.SIGKILL,):
            self._signal(pid, number)
            if self._wait_until_gone(pid, patience_s):
                break
            patience_s = STOP_TIMEOUT_S
        else:
            raise NodeFailed(f"The RabbitMQ node in {self._directory} does not stop.")
        if self._process is not None:
            self._process.wait()
            self._process = None
        if self._cluster is None and self._ports_file.exists() and answers(self.ports.epmd):
            self.stop_epmd()

    def control(self, *arguments: str, program: str = "rabbitmqctl") -> str:
        """Run ``rabbitmqctl``, or another tool, on the node; returns its output."""
        script = self._seen_in_root((scripts(self._root) or Path()) / program)
        try:
            done = subprocess.run(
                self._in_root(str(script), "--quiet", "-n", self._name, *arguments),
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=START_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as late:
            raise NodeFailed(f"{program} {' '.join(arguments)}: {late}") from late
        if done.returncode:
            raise NodeFailed(f"{program} {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def import_definitions(self, definitions: str) -> None:
        """Import users, permissions and so on from JSON."""
        # From a file: RabbitMQ 4's rabbitmqctl doesn't read them from stdin.
        file = self._directory / "definitions.json"
        file.touch(mode=0o600)
        file.write_text(definitions)
        self.control("import_definitions", str(file))
        file.unlink()

    def _in_root(self, *command: str) -> list[str]:
        shared = self._directory if self._cluster is None else self._cluster.directory
        return in_root(self._root, shared, command)

    def _seen_in_root(self, path: Path) -> Path:
        """A path as seen inside the root; the node's own directory is the same."""
        return Path("/") / path.relative_to(self._root) if path.is_relative_to(self._root) else path

    @property
    def _ports_file(self) -> Path:
        return self._directory / "ports.json"

    def _answers(self) -> bool:
        return answers(self.ports.amqp)

    def _choose_ports(self) -> Ports:
        if self._cluster is not None:
            return self._ports_in(self._cluster)
        if self._ports_file.exists() and self.ports.are_free():
            return self.ports
        return Ports.free()

    def _ports_in(self, cluster: Membership) -> Ports:
        """A cluster member keeps its ports: clients and other nodes know them."""
        if self._ports_file.exists():
            return self.ports
        return replace(Ports.free(), epmd=cluster.epmd)

    def _write_configuration(self, ports: Ports) -> None:
        for name in ("data", "log", "home"):
            (self._directory / name).mkdir(parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        self._ports_file.write_text(json.dumps(asdict(ports)))
        plugins = "rabbitmq_management" if self._management else ""
        (self._directory / "enabled_plugins").write_text(f"[{plugins}].\n")
        lines = [
            f"listeners.tcp.local = {LOOPBACK}:{ports.amqp}",
            "log.console = false",
            f"log.file = {self.log}",
            "disk_free_limit.absolute = 50MB",
            "vm_memory_high_watermark.absolute = 512MB",
        ]
        if self._cluster is not None:
            lines.append("cluster_formation.peer_discovery_backend = classic_config")
            lines += [
                f"cluster_formation.classic_config.nodes.{number} = {name}"
                for number, name in enumerate(sorted({self._cluster.first, self._name}), start=1)
            ]
        if self._management:  # by default it listens on every interface
            lines += [
                f"management.tcp.ip = {LOOPBACK}",
                f"management.tcp.port = {ports.management}",
            ]
        (self._directory / "rabbitmq.conf").write_text("\n".join([*lines, ""]))

    def _environment(self) -> dict[str, str]:
        directory, ports = self._directory, self.ports
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_"))
        }
        return inherited | {
            # Where Erlang keeps the cookie.
            "HOME": str((self._cluster.directory if self._cluster else directory) / "home"),
            "ERL_EPMD_PORT": str(ports.epmd),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_CRASH_DUMP": str(directory / "erl_crash.dump"),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(ports.amqp),
            "RABBITMQ_DIST_PORT": str(ports.distribution),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_PID_FILE": str(self._pid_file),
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(directory / "conf.d" / "*.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "schema"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            # One scheduler that sleeps when idle, for machines with few cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none"
            ),
        }

    @property
    def _pid_file(self) -> Path:
        """Written by the node; deleted when it starts to stop."""
        return self._directory / "pid"

    @property
    def _remembered_pid_file(self) -> Path:
        """Our copy, which lasts until the node no longer uses its data."""
        return self._directory / "remembered-pid"

    def _pid(self) -> int | None:
        """The process of the node's Erlang machine, while it runs."""
        for file in (self._pid_file, self._remembered_pid_file):
            try:
                pid = int(file.read_text())
            except (OSError, ValueError):
                continue
            if self._is_ours(pid):
                return pid
        return None

    def _is_ours(self, pid: int) -> bool:
        return is_running(pid, naming=str(self._directory))

    def _signal(self, pid: int | None, number: signal.Signals) -> None:
        if pid is not None and self._is_ours(pid):
            os.kill(pid, number)
        elif self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            ended = self._process is not None and self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                raise NodeFailed(
                    f"The private RabbitMQ node did not start; see {self.log} and "
                    f"{self._directory / 'output.log'}."
                )
            time.sleep(0.05)

    def _wait_until_gone(self, pid: int | None, patience_s: float) -> bool:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            ended = self._process is None or self._process.poll() is not None
            if ended and (pid is None or not self._is_ours(pid)):
                return True
            time.sleep(0.05)
        return False

    def stop_epmd(self) -> None:
        """Stop the node's name server, found by its port; it refuses while a node is registered."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while answers(self.ports.epmd) and time.monotonic() < deadline:
            command = self._in_root("epmd", "-kill")
            subprocess.run(command, env=self._environment(), capture_output=True)
            time.sleep(0.05)


def main() -> int:
    """Run a rabbitmqctl command on the node of a running `make run`."""
    node = BrokerNode(run_directory(os.environ) / BROKER)
    if not node.is_running():
        print("No private broker runs here: start `make run` first.", file=sys.stderr)
        return 3
    try:
        print(node.control(*sys.argv[1:]), end="")
    except NodeFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

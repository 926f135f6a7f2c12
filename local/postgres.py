"""A private PostgreSQL server on the loopback interface, without durability, for tests.

PostgreSQL refuses to run as root; started by root, it runs as its package's user.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.ports import LOOPBACK, free_ports
from local.processes import ends_with_us

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
_ACCOUNT = "postgres"
_DATABASE = "postgres"
#: Settings for a server whose data needn't survive a crash.
_FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class PostgresFailed(RuntimeError):
    """Raised when the server can't be created or started."""


def programs() -> Path | None:
    """The newest PostgreSQL's program directory; None if there is none."""
    packaged = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = max(packaged, key=lambda program: float(program.parts[-3]), default=None)
    if newest is not None:
        return newest.parent
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None


@contextmanager
def private_postgres(*, forgetful: bool = True, certificate: bytes = b"") -> Iterator[str]:
    """The DATABASE_URL of a server for the duration of the block.

    Unless it is forgetful, it writes durably, as in production. With a certificate (and its key, as
    PEM) it also speaks TLS.
    """
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        _give_to_account(directory)
        settings = _FORGETFUL if forgetful else ()
        if certificate:
            file = _secret_file(directory / "server.pem", certificate)
            settings = (*settings, "ssl=on", f"ssl_cert_file={file}", f"ssl_key_file={file}")
        with _served(directory, settings) as url:
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _served(directory: Path, also: Sequence[str]) -> Iterator[str]:
    password, data = secrets.token_urlsafe(16), directory / "data"
    _initialise(data, password)
    (port,) = free_ports(1)
    options = (f"port={port}", f"listen_addresses={LOOPBACK}", "unix_socket_directories=")
    settings = [word for option in (*options, *also) for word in ("-c", option)]
    with (directory / "output.log").open("wb") as output:
        server = subprocess.Popen(
            _as_account([_program("postgres"), "-D", str(data), *settings]),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_ready(server, port, directory / "output.log")
        yield f"postgres://{_ACCOUNT}:{password}@{LOOPBACK}:{port}/{_DATABASE}"
    finally:
        server.send_signal(signal.SIGINT)  # ends its clients too
        server.wait(STOP_TIMEOUT_S)


def _initialise(data: Path, password: str) -> None:
    secret = _secret_file(data.with_name("password"), f"{password}\n".encode())
    arguments = ["-D", str(data), "-U", _ACCOUNT, "-E", "UTF8", "--locale=C", "--no-sync"]
    done = subprocess.run(
        _as_account([_program("initdb"), *arguments, "-A", "scram-sha-256", f"--pwfile={secret}"]),
        cwd=data.parent,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise PostgresFailed(f"initdb: {done.stderr or done.stdout}")


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    question = [_program("pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port)]
    while subprocess.run(question).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise PostgresFailed(f"PostgreSQL did not start:\n{log.read_text()}")
        time.sleep(0.05)


def _program(name: str) -> str:
    directory = programs()
    if directory is None:
        raise PostgresFailed("PostgreSQL is not installed on this machine.")
    return str(directory / name)


def _secret_file(path: Path, content: bytes) -> Path:
    """A file that only the server can read."""
    path.touch(mode=0o600)
    path.write_bytes(content)
    _give_to_account(path)
    return path


def _give_to_account(path: Path) -> None:
    if os.geteuid() == 0:
        account = pwd.getpwnam(_ACCOUNT)
        os.chown(path, account.pw_uid, account.pw_gid)


def _as_account(command: Sequence[str]) -> list[str]:
    """The command as a user that PostgreSQL accepts; it ends when we die."""
    if os.geteuid() != 0:
        return ends_with_us(command, signal_name="INT")
    account = pwd.getpwnam(_ACCOUNT)
    identity = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups"]
    return ["setpriv", *identity, "--pdeathsig", "INT", "--", *command]

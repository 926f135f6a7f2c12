"""The database over TLS, with certificates of a CA made here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from local.ports import LOOPBACK
from local.postgres import private_postgres
from local.settings import ROOT
from local.stack import until

_IS_ENCRYPTED = (
    "from django.db import connection as c; k = c.cursor();"
    "k.execute('select ssl from pg_stat_ssl where pid = pg_backend_pid()'); print(k.fetchone())"
)


@pytest.fixture(scope="module")
def tls_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server; it ends with the directory of the CAs' files, ca.pem and other.pem."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    trustme.CA().cert_pem.write_to_path(directory / "other.pem")
    certificate = authority.issue_cert(LOOPBACK).private_key_and_cert_chain_pem.bytes()
    with private_postgres(certificate=certificate) as url:
        yield f"{url}?sslmode=verify-full&sslrootcert={directory}"


def _environ(database: str, **settings: str) -> dict[str, str]:
    secret = "a key that is used in tests and nowhere else, not even once"
    return {**os.environ, "SECRET_KEY": secret, "DATABASE_URL": database, **settings}


@pytest.mark.postgres
def test_a_database_whose_certificate_is_of_its_sslrootcert_is_used_encrypted(
    tls_database: str,
) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", _IS_ENCRYPTED],
        cwd=ROOT,
        env=_environ(f"{tls_database}/ca.pem"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "(True,)" in done.stdout, done.stderr


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("file", "problem"),
    [("other.pem", "certificate verify failed"), ("none.pem", 'none.pem" does not exist')],
)
def test_the_relay_logs_an_untrusted_database_in_one_line(
    tls_database: str, amqp_url: str, tmp_path: Path, file: str, problem: str
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        relay = subprocess.Popen(
            [sys.executable, "manage.py", "relay"],
            cwd=ROOT,
            env=_environ(f"{tls_database}/{file}", AMQP_URL=amqp_url),
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: log.read_text().count("database unavailable") > 1, "it has tried twice")
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(30) == 0
    finally:
        relay.kill()
    assert problem in log.read_text()
    assert "Traceback" not in log.read_text()

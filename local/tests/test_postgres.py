"""The private PostgreSQL: there for the time of a block, for us alone."""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg
import pytest

from local.ports import LOOPBACK, answers
from local.postgres import private_postgres

pytestmark = pytest.mark.postgres


def test_the_server_answers_for_the_time_of_the_block_and_is_gone_afterwards() -> None:
    with private_postgres() as url:
        with psycopg.connect(url) as connection:
            row = connection.execute("select 6 * 7").fetchone()
        address = urlsplit(url)
        assert (row, address.hostname) == ((42,), LOOPBACK)
    assert not answers(address.port or 0)


def test_nobody_comes_in_without_the_password() -> None:
    with private_postgres() as url:
        stranger = url.replace(urlsplit(url).password or "", "guessed")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(stranger)

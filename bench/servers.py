"""The broker and the database server of one run of the bench: private, and started when needed."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

import psycopg

from local.broker_node import BrokerNode
from local.ports import LOOPBACK
from local.postgres import private_postgres

Engine = Literal["sqlite", "postgresql"]

#: A call of rabbitmqctl takes a second: virtual hosts are made so many at once.
_HOSTS_AT_ONCE = 10
_MAKE_HOSTS = """
[begin rabbit_vhost:add(Name, <<"bench">>),
       rabbit_auth_backend_internal:set_permissions(
           <<"guest">>, Name, <<".*">>, <<".*">>, <<".*">>, <<"bench">>)
 end || Name <- [{names}]].
"""
_DROP_HOSTS = '[rabbit_vhost:delete(Name, <<"bench">>) || Name <- [{names}]].'


class Servers:
    """What all goals share; whoever opens it closes it, and nothing of it is left then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = ExitStack()
        self._node: BrokerNode | None = None
        self._postgres = ""
        self._numbers = itertools.count(1)
        self._hosts: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def broker(self) -> BrokerNode:
        """The private node."""
        if self._node is None:
            self._node = BrokerNode(self.folder / "broker")
            self._open.callback(self._node.stop, gently=False)
            self._node.start()
        return self._node

    def virtual_host(self) -> str:
        """The name of a virtual host with nothing in it."""
        if not self._hosts:
            self._hosts = [f"bench-{next(self._numbers)}" for _ in range(_HOSTS_AT_ONCE)]
            self._evaluate(_MAKE_HOSTS, self._hosts)
        return self._hosts.pop(0)

    def drop_virtual_hosts(self, names: list[str]) -> None:
        """Take virtual hosts away, with all queues in them; cuts off who is connected."""
        if names:
            self._evaluate(_DROP_HOSTS, names)

    def amqp_url(self, host: str) -> str:
        """Where clients find a virtual host."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.broker.ports.amqp}/{host}"

    def database(self, engine: Engine, folder: Path) -> str:
        """The URL of an empty database; in this folder where it is a file."""
        name = f"bench_{next(self._numbers)}"
        if engine == "sqlite":
            return f"sqlite:///{folder / name}.sqlite3"
        with self.ask_postgres() as server:
            server.execute(f"create database {name}")
        return urlunsplit(urlsplit(self._postgres)._replace(path=f"/{name}"))

    def ask_postgres(self) -> psycopg.Connection:
        """A connection to the private server, past all databases of a goal."""
        if not self._postgres:
            self._postgres = self._open.enter_context(private_postgres(forgetful=False))
        return psycopg.connect(self._postgres, autocommit=True)

    def drop_database(self, url: str) -> None:
        """Take a PostgreSQL database away, whoever is connected; a file goes with its folder."""
        if url.startswith("postgres"):
            with self.ask_postgres() as server:
                server.execute(f"drop database if exists {urlsplit(url).path[1:]} with (force)")

    def _evaluate(self, erlang: str, names: list[str]) -> None:
        self.broker.control("eval", erlang.format(names=", ".join(f'<<"{n}">>' for n in names)))

"""The settings of the site, the relay and the observer, as one typed record.

A process that is given a wrong one does not start: ``settings.py`` stops it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import dj_database_url
from msgspec import Meta

from kitchen_worker.amqp.settings import (
    Address,
    AmqpUrls,
    Flag,
    LogLevel,
    Port,
    Problem,
    checked,
    number,
    read_settings,
    whole,
)
from kitchen_worker.contract.topology import QueueType, QueueTypes

BASE_DIR = Path(__file__).resolve().parent.parent

#: How long a thread keeps its connection to the database.
_CONNECTION_S = 60
#: Pages that an SQLite connection keeps at hand: orders' ids are random, and so are their places.
_SQLITE_CACHE_KB = 16_000
#: Protects nothing, and is the same in every process: of use with DEBUG=1 alone.
_DEBUG_KEY = "the key of a developer's machine, which everybody can read in the code"


def database_of(url: str) -> dict[str, Any]:
    """Django's settings of a database; raises ValueError for one that cannot be had."""
    scheme = url.partition(":")[0]
    if scheme not in ("sqlite", "postgres", "postgresql"):
        raise ValueError("it begins with none of sqlite:, postgres: and postgresql:")
    try:
        config: dict[str, Any] = {**dj_database_url.parse(url, conn_max_age=_CONNECTION_S)}
    except ValueError as cause:
        # The error of a port quotes what may be a password.
        raise ValueError("its host or its port cannot be read") from cause
    if not config["NAME"]:
        raise ValueError("it names no database")
    if scheme == "sqlite":
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            f" PRAGMA cache_size=-{_SQLITE_CACHE_KB};",
        }
        # In a file: threads that share a database in memory lock each other out.
        config["TEST"] = {"NAME": str(Path(str(config["NAME"])).with_name("test.sqlite3"))}
    else:
        config["CONN_HEALTH_CHECKS"] = True
        config.setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
    return config


def _check_origins(given: tuple[str, ...]) -> None:
    for origin in given:
        url = urlsplit(origin)
        if url.scheme not in ("http", "https") or not url.netloc or url.path:
            raise ValueError(f"{origin[:80]!r} is no origin")


#: Blocks that a deadline may last. A block is kept until the deadline of its last order is over,
#: and of 512 that are kept, half are left for a time in which none can be closed.
MOST_BLOCKS_A_DEADLINE = 200

_Seconds = Annotated[float, number(1, 86_400)]
_Rate = Annotated[int, whole(0, 1_000_000, ", 0 for no limit")]
_HostName = Annotated[
    str, Meta(pattern=r"^(\*|\.?[A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])$")
]
_HostNames = Annotated[
    tuple[_HostName, ...],
    Meta(description="host names without scheme and port, with a comma between"),
]
_Origins = Annotated[
    tuple[str, ...],
    checked(_check_origins, "origins such as https://kitchen.example, with a comma between"),
]
_DatabaseUrl = Annotated[
    str,
    checked(
        database_of, "sqlite:////path/kitchen.sqlite3 or postgres://user:password@host:5432/name"
    ),
]
_SecretKey = Annotated[
    str, Meta(description="50 or more random characters, the same for every process")
]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Every setting of the site, the relay and the observer.

    Each is read from the variable of its name; its id is the one of its system check.
    """

    secret_key: Annotated[_SecretKey, "restaurant.E001"] = field(repr=False)
    debug: Annotated[Flag, "restaurant.E002"] = False
    allowed_hosts: Annotated[_HostNames, "restaurant.E003"] = ("localhost", "127.0.0.1", "[::1]")
    csrf_trusted_origins: Annotated[_Origins, "restaurant.E004"] = ()
    #: May hold a password.
    database_url: Annotated[_DatabaseUrl, "restaurant.E005"] = field(
        default=f"sqlite:///{BASE_DIR / '.run' / 'dark-kitchen.sqlite3'}", repr=False
    )
    #: May hold a password.
    amqp_url: Annotated[AmqpUrls, "restaurant.E006"] = field(
        default="amqp://guest:guest@127.0.0.1:5672/", repr=False
    )
    board_public: Annotated[Flag, "restaurant.E007"] = False
    #: Whether browsers come by HTTPS, through a proxy that says so in ``X-Forwarded-Proto``.
    https: Annotated[Flag, "restaurant.E021"] = False
    #: Proxies in front of the site, each of which appends to ``X-Forwarded-For``.
    trusted_proxies: Annotated[int, whole(0, 10), "restaurant.E030"] = 0
    #: How long a client may take to send a request, and to begin its next one.
    request_s: Annotated[_Seconds, "restaurant.E029"] = 30.0
    orders_per_minute: Annotated[_Rate, "restaurant.E024"] = 600
    logins_per_minute: Annotated[_Rate, "restaurant.E025"] = 30
    #: Wrong passwords for one name from one address, after which it is locked for a while.
    login_failures: Annotated[int, whole(1, 1_000), "restaurant.E026"] = 5
    login_lock_s: Annotated[_Seconds, "restaurant.E027"] = 300.0
    sockets_per_client: Annotated[int, whole(0, 100_000, ", 0 for no limit"), "restaurant.E028"] = (
        30
    )
    #: How long after an order was sent a version may be silent before it counts as missing.
    deadline_s: Annotated[_Seconds, "restaurant.E009"] = 30.0
    #: How long the blocks are that orders are gathered in; else it is chosen by their rate.
    block_s: Annotated[_Seconds, "restaurant.E019"] | None = None
    #: How long after a version's first answer its orders are not weighed yet.
    warm_up_s: Annotated[_Seconds, "restaurant.E020"] = 60.0
    #: Of the queues that customers wait for, and of all others.
    queue_type: Annotated[QueueType, "restaurant.E010"] = QueueType.CLASSIC
    dark_queue_type: Annotated[QueueType, "restaurant.E022"] = QueueType.CLASSIC
    #: How long an order may stay unanswered before it is sent to the control again.
    resend_s: Annotated[_Seconds, "restaurant.E023"] = 60.0
    #: Port of a process's health check; 0 for none.
    health_port: Annotated[Port, "restaurant.E015"] = 0
    #: The interface on which it listens.
    health_host: Annotated[Address, "restaurant.E018"] = "127.0.0.1"
    log_level: Annotated[LogLevel, "restaurant.E016"] = "INFO"
    static_root: Annotated[Path, Meta(description="a directory"), "restaurant.E017"] = (
        BASE_DIR / ".run" / "static"
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Environment:
        """Read every setting; raises WrongSettings that names all that are wrong."""
        is_debug = environ.get("DEBUG", "").strip().lower() in ("1", "true")
        defaults = {"SECRET_KEY": _DEBUG_KEY} if is_debug else {}
        return read_settings(cls, environ, defaults=defaults, together=_problems)

    @property
    def queue_types(self) -> QueueTypes:
        """How the broker keeps the queues."""
        return QueueTypes(live=self.queue_type, dark=self.dark_queue_type)

    @property
    def database(self) -> dict[str, Any]:
        """Django's settings of the database."""
        return database_of(self.database_url)


def _problems(read: Environment) -> Iterator[Problem]:
    """Settings that do not fit together."""
    if read.block_s and read.deadline_s > MOST_BLOCKS_A_DEADLINE * read.block_s:
        yield Problem(
            "BLOCK_SECONDS",
            f"a deadline of {read.deadline_s:g} s is more than {MOST_BLOCKS_A_DEADLINE} blocks of"
            f" {read.block_s:g} s, and orders would be lost to the verdict",
            f"{math.ceil(read.deadline_s / MOST_BLOCKS_A_DEADLINE)} or more, or lower"
            " DEADLINE_SECONDS",
        )

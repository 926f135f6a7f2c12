"""The settings of the site, the relay and the observer, as one typed record.

With a wrong setting a process doesn't start: ``settings.py`` stops it.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import dj_database_url
from msgspec import Meta

from kitchen_worker.amqp.settings import (
    Address,
    AmqpUrls,
    CallablePath,
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
#: Not secret, and the same in every process: for DEBUG=1 only.
_DEBUG_KEY = "the key of a developer's machine, which everybody can read in the code"


#: No segment begins with a dot, and none needs to be encoded.
_PATH_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")


class Door(StrEnum):
    """The pages that a process serves."""

    BOTH = "both"
    #: The order page, tickets and the API; nobody logs in there.
    CUSTOMERS = "customers"
    #: The dashboard, its WebSocket, the login and the admin.
    DASHBOARD = "dashboard"


def database_of(url: str) -> dict[str, Any]:
    """Django's settings for a database URL; raises ValueError if it is invalid."""
    scheme = url.partition(":")[0]
    if scheme not in ("sqlite", "postgres", "postgresql"):
        raise ValueError("it does not start with sqlite:, postgres: or postgresql:")
    try:
        config: dict[str, Any] = {**dj_database_url.parse(url, conn_max_age=_CONNECTION_S)}
    except ValueError as cause:
        # The message would quote what may be a password.
        raise ValueError("its host or port is malformed") from cause
    if not config["NAME"]:
        raise ValueError("it has no database name")
    if scheme == "sqlite":
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            f" PRAGMA cache_size=-{_SQLITE_CACHE_KB};",
        }
        # In a file: threads that share a database in memory lock each other out.
        file = Path(str(config["NAME"]))
        config["TEST"] = {"NAME": str(file.with_name(f"test-{file.name}"))}
    else:
        config["CONN_HEALTH_CHECKS"] = True
        config.setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
    return config


def _file_beside(database: Mapping[str, Any]) -> dict[str, Any]:
    """The dashboard's SQLite file, beside the other one."""
    made = copy.deepcopy(dict(database))
    if (name := str(database["NAME"])) != ":memory:":
        file = Path(name)
        made["NAME"] = str(file.with_name(f"{file.stem}-dashboard{file.suffix}"))
        made["TEST"]["NAME"] = str(file.with_name(f"test-{file.stem}-dashboard{file.suffix}"))
    return made


def _place(url: str) -> tuple[Any, ...]:
    """What identifies a database; PostgreSQL's options may select a schema."""
    database = database_of(url)
    if database["ENGINE"].endswith("sqlite3"):
        return (Path(database["NAME"]).resolve(),)
    return tuple(database.get(key) for key in ("HOST", "PORT", "NAME", "OPTIONS"))


def _check_origins(given: tuple[str, ...]) -> None:
    for origin in given:
        url = urlsplit(origin)
        _ = url.port  # ValueError if it is none
        if url.scheme not in ("http", "https") or not url.netloc or url.path:
            raise ValueError(f"{origin[:80]!r} is not an origin")


def _check_path_prefix(given: str) -> None:
    if not _PATH_PREFIX.fullmatch(given):
        raise ValueError("it is no plain path without a slash at its end")
    if given == "/api":
        raise ValueError("the probes are at /api/health and /api/ready")


def _check_other_door(given: str) -> None:
    url = urlsplit(given)
    _check_origins((given.removesuffix(url.path),))
    if url.path:
        _check_path_prefix(url.path)
    if url.query or url.fragment or url.username is not None:
        raise ValueError("it has more than a scheme, a host, a port and a path prefix")


#: Blocks that a deadline may last. A block is kept until the deadline of its last order is over,
#: and of 512 that are kept, half are left for a time in which none can be closed.
MOST_BLOCKS_A_DEADLINE = 200

DEFAULT_DESCRIPTION = "restaurant.description:describe"

_Seconds = Annotated[float, number(1, 86_400)]
_Rate = Annotated[int, whole(0, 1_000_000, ", 0 for no limit")]
_HostName = Annotated[
    str, Meta(pattern=r"^(\*|\.?[A-Za-z0-9_-][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])$")
]
_HostNames = Annotated[
    tuple[_HostName, ...],
    Meta(description="host names without scheme and port, separated by commas"),
]
_Origins = Annotated[
    tuple[str, ...],
    checked(_check_origins, "origins such as https://kitchen.example, separated by commas"),
]
_PathPrefix = Annotated[str, checked(_check_path_prefix, "a path such as /kitchen, or unset it")]
_OtherDoor = Annotated[
    str,
    checked(
        _check_other_door,
        "an origin such as https://board.example, followed by that door's PATH_PREFIX if it has"
        " one",
    ),
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
    """All settings of the site, the relay and the observer.

    Each field is read from the variable of its name; its id is that of its system check.
    """

    secret_key: Annotated[_SecretKey, "restaurant.E001"] = field(repr=False)
    debug: Annotated[Flag, "restaurant.E002"] = False
    allowed_hosts: Annotated[_HostNames, "restaurant.E003"] = ("localhost", "127.0.0.1", "[::1]")
    csrf_trusted_origins: Annotated[_Origins, "restaurant.E004"] = ()
    #: The path below which the site is served, without a slash at its end; the proxy leaves it in.
    path_prefix: Annotated[_PathPrefix, "restaurant.E041"] = ""
    #: Relays and observers have no pages: the customers' door has no app of the dashboard's.
    door: Annotated[Door, "restaurant.E033"] = Door.BOTH
    #: Where the other pages are, for links.
    other_door: Annotated[_OtherDoor, "restaurant.E034"] | None = None
    #: May hold a password.
    database_url: Annotated[_DatabaseUrl, "restaurant.E005"] = field(
        default=f"sqlite:///{BASE_DIR / '.run' / 'dark-kitchen.sqlite3'}", repr=False
    )
    #: Of the dashboard's tables, where they are not to be in the database of all others, or on
    #: SQLite not in the file beside it. May hold a password.
    dashboard_database_url: Annotated[_DatabaseUrl, "restaurant.E031"] | None = field(
        default=None, repr=False
    )
    #: May hold a password.
    amqp_url: Annotated[AmqpUrls, "restaurant.E006"] = field(
        default="amqp://guest:guest@127.0.0.1:5672/", repr=False
    )
    board_public: Annotated[Flag, "restaurant.E007"] = False
    #: Whether a decision against the verdict needs a second person.
    decision_needs_second_person: Annotated[Flag, "restaurant.E040"] = False
    #: Whether browsers use HTTPS, through a proxy that sets ``X-Forwarded-Proto``.
    https: Annotated[Flag, "restaurant.E021"] = False
    #: Proxies in front of the site, each of which appends to ``X-Forwarded-For``.
    trusted_proxies: Annotated[int, whole(0, 10), "restaurant.E030"] = 0
    #: How long a client may take to send a request, and to begin its next one.
    request_s: Annotated[_Seconds, "restaurant.E029"] = 30.0
    orders_per_minute: Annotated[_Rate, "restaurant.E024"] = 600
    logins_per_minute: Annotated[_Rate, "restaurant.E025"] = 30
    #: Wrong passwords for one name from one address before the name is locked there.
    login_failures: Annotated[int, whole(1, 1_000), "restaurant.E026"] = 5
    login_lock_s: Annotated[_Seconds, "restaurant.E027"] = 300.0
    sockets_per_client: Annotated[int, whole(0, 100_000, ", 0 for no limit"), "restaurant.E028"] = (
        30
    )
    #: After how long without an answer an order counts as missing for a version.
    deadline_s: Annotated[_Seconds, "restaurant.E009"] = 30.0
    #: Length of a block of orders; by default chosen by their rate.
    block_s: Annotated[_Seconds, "restaurant.E019"] | None = None
    #: For how long after a version's first answer its orders don't count for the verdict.
    warm_up_s: Annotated[_Seconds, "restaurant.E020"] = 60.0
    #: The function that describes orders; only the observer calls it.
    order_description: Annotated[CallablePath, "restaurant.E032"] = DEFAULT_DESCRIPTION
    #: Guards, which stop a candidate (dashboard/launches/guards.py). A worse candidate harms no
    #: customer and shows more of its faults while it runs.
    guard_worse: Annotated[Flag, "restaurant.E035"] = False
    guard_queue_full: Annotated[Flag, "restaurant.E036"] = True
    guard_control_slowed: Annotated[Flag, "restaurant.E037"] = True
    #: By how many percent the control's median must rise, and on how many orders.
    guard_slowed_percent: Annotated[int, whole(10, 1_000), "restaurant.E038"] = 50
    guard_slowed_orders: Annotated[int, whole(50, 1_000_000), "restaurant.E039"] = 200
    #: Types of the queues that customers wait for, and of all others.
    queue_type: Annotated[QueueType, "restaurant.E010"] = QueueType.CLASSIC
    dark_queue_type: Annotated[QueueType, "restaurant.E022"] = QueueType.CLASSIC
    #: After how long without an answer an order is resent to the control.
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
        """Read all settings; raises WrongSettings that names all wrong ones."""
        is_debug = environ.get("DEBUG", "").strip().lower() in ("1", "true")
        defaults = {"SECRET_KEY": _DEBUG_KEY} if is_debug else {}
        return read_settings(cls, environ, defaults=defaults, together=_problems)

    @property
    def queue_types(self) -> QueueTypes:
        return QueueTypes(live=self.queue_type, dark=self.dark_queue_type)

    @property
    def databases(self) -> dict[str, dict[str, Any]]:
        """Django's DATABASES; ``dashboard`` if its tables have their own."""
        default = database_of(self.database_url)
        if self.door is Door.CUSTOMERS:
            return {"default": default}
        if self.dashboard_database_url:
            return {"default": default, "dashboard": database_of(self.dashboard_database_url)}
        if default["ENGINE"].endswith("sqlite3"):
            return {"default": default, "dashboard": _file_beside(default)}
        return {"default": default}


def _problems(read: Environment) -> Iterator[Problem]:
    """Settings that contradict each other."""
    if read.door is Door.BOTH and read.other_door:
        use = f"DOOR={Door.CUSTOMERS} or DOOR={Door.DASHBOARD}, or unset OTHER_DOOR"
        yield Problem("OTHER_DOOR", "DOOR is both, so there is no other door", use)
    if read.door is not Door.BOTH and not read.other_door:
        use = "the origin of the other door, such as https://board.example"
        yield Problem("OTHER_DOOR", f"is not set, and DOOR is {read.door}", use)
    if (own := read.dashboard_database_url) and _place(own) == _place(read.database_url):
        yield Problem("DASHBOARD_DATABASE_URL", "it is DATABASE_URL's", "another database, or none")
    if read.block_s and read.deadline_s > MOST_BLOCKS_A_DEADLINE * read.block_s:
        yield Problem(
            "BLOCK_SECONDS",
            f"a deadline of {read.deadline_s:g} s is more than {MOST_BLOCKS_A_DEADLINE} blocks of"
            f" {read.block_s:g} s, and orders would be lost to the verdict",
            f"{math.ceil(read.deadline_s / MOST_BLOCKS_A_DEADLINE)} or more, or lower"
            " DEADLINE_SECONDS",
        )

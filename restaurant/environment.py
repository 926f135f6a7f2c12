"""The site's settings as the environment gives them: one typed record, and what is wrong with it.

Reading never raises: a wrong value is replaced by its default and kept as a problem, which
``manage.py check`` reports with an id and a hint (see ``checks.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import dj_database_url

from kitchen_worker.contract.limits import limits_from_environ
from kitchen_worker.contract.topology import Limits

_Value = TypeVar("_Value")

BASE_DIR = Path(__file__).resolve().parent.parent

#: How long a thread keeps its connection to the database.
_CONNECTION_S = 60
#: Pages that an SQLite connection keeps at hand: orders' ids are random, and so are their places.
_SQLITE_CACHE_KB = 16_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A setting that cannot be what it is: its name, what is wrong, and what to do."""

    name: str
    message: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Every setting of the site, the relay and the observer."""

    secret_key: str = ""
    debug: bool = False
    allowed_hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    csrf_trusted_origins: tuple[str, ...] = ()
    database: Mapping[str, Any] = field(default_factory=dict)
    amqp_url: str = "amqp://guest:guest@127.0.0.1:5672/"
    board_public: bool = False
    secure_cookies: bool = False
    #: How long after an order was sent a version may be silent before it counts as missing.
    deadline_s: float = 30.0
    #: Orders are weighed in blocks of time of this length.
    block_s: float = 10.0
    #: How long after a version's first answer its orders are not weighed yet.
    warm_up_s: float = 60.0
    limits: Limits = field(default_factory=Limits)
    #: Port of a process's health check; 0 for none.
    health_port: int = 0
    #: The interface on which it listens.
    health_host: str = "127.0.0.1"
    log_level: str = "INFO"
    static_root: Path = BASE_DIR / ".run" / "static"
    problems: tuple[Problem, ...] = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Environment:
        """Read every setting; the wrong ones become ``problems``."""
        reader = _Reader(environ)
        return cls(
            secret_key=reader.text("SECRET_KEY", ""),
            debug=reader.read("DEBUG", _flag, False, "Use 1 or 0."),
            allowed_hosts=reader.read("ALLOWED_HOSTS", _names, cls.allowed_hosts, "Comma between."),
            csrf_trusted_origins=reader.read(
                "CSRF_TRUSTED_ORIGINS",
                _origins,
                (),
                "Full origins with a comma between, as in https://kitchen.example.",
            ),
            database=reader.read(
                "DATABASE_URL",
                _database,
                _database(f"sqlite:///{BASE_DIR / '.run' / 'dark-kitchen.sqlite3'}"),
                "As in sqlite:////data/kitchen.sqlite3 or postgres://user:password@host/name.",
            ),
            amqp_url=reader.read(
                "AMQP_URL", _amqp_url, cls.amqp_url, "As in amqp://user:password@host:5672/vhost."
            ),
            board_public=reader.read("BOARD_PUBLIC", _flag, False, "Use 1 or 0."),
            secure_cookies=reader.read("SECURE_COOKIES", _flag, False, "Use 1 or 0."),
            deadline_s=reader.read(
                "DEADLINE_SECONDS", _seconds, 30.0, "A number of seconds from 1 to 86400."
            ),
            block_s=reader.read(
                "BLOCK_SECONDS", _seconds, 10.0, "A number of seconds from 1 to 86400."
            ),
            warm_up_s=reader.read(
                "WARM_UP_SECONDS", _seconds, 60.0, "A number of seconds from 1 to 86400."
            ),
            limits=reader.limits(),
            health_port=reader.read("HEALTH_PORT", _port, 0, "A port, or 0 for none."),
            health_host=reader.read(
                "HEALTH_HOST", _address, "127.0.0.1", "An IP address; 0.0.0.0 for all of them."
            ),
            log_level=reader.read(
                "LOG_LEVEL", _log_level, "INFO", "DEBUG, INFO, WARNING, ERROR or CRITICAL."
            ),
            static_root=Path(reader.text("STATIC_ROOT", str(cls.static_root))),
            problems=tuple(reader.problems),
        )


class _Reader:
    """Takes settings from the environment, one by one, and keeps what is wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[Problem] = []

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name, "").strip() or default

    def read(self, name: str, parse: Callable[[str], _Value], default: _Value, hint: str) -> _Value:
        given = self.text(name, "")
        if not given:
            return default
        try:
            return parse(given)
        except Exception as cause:  # noqa: BLE001 - a parser's own errors are of many types
            self.problems.append(Problem(name, f"{name} cannot be read: {cause}", hint))
            return default

    def limits(self) -> Limits:
        try:
            return limits_from_environ(self._environ)
        except ValueError as cause:
            name = str(cause).partition(":")[0]
            hint = "QUEUE_TYPE is classic or quorum; lengths and times are positive whole numbers."
            self.problems.append(Problem(name, f"{cause}", hint))
            return Limits()


def _flag(given: str) -> bool:
    flags = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if given.lower() not in flags:
        raise ValueError(f"{given!r} is neither 1 nor 0")
    return flags[given.lower()]


def _names(given: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _origins(given: str) -> tuple[str, ...]:
    origins = _names(given)
    for origin in origins:
        if not origin.startswith(("http://", "https://")):
            raise ValueError(f"{origin!r} has no scheme")
    return origins


def _amqp_url(given: str) -> str:
    if not given.startswith(("amqp://", "amqps://")):
        raise ValueError("it must start with amqp:// or amqps://")
    return given


def _seconds(given: str) -> float:
    seconds = float(given)
    if not 1 <= seconds <= 86_400:
        raise ValueError(f"{given} is out of range")
    return seconds


def _port(given: str) -> int:
    port = int(given)
    if not 0 <= port <= 65_535:
        raise ValueError(f"{given} is no port")
    return port


def _address(given: str) -> str:
    return str(ip_address(given))


def _log_level(given: str) -> str:
    if given.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        raise ValueError(f"{given!r} is no level")
    return given.upper()


def _database(url: str) -> dict[str, Any]:
    config: dict[str, Any] = {**dj_database_url.parse(url)}
    config["CONN_MAX_AGE"] = _CONNECTION_S
    engine = str(config.get("ENGINE", ""))
    if engine.endswith("sqlite3"):
        if config["NAME"] != ":memory:":
            config["ENGINE"] = "restaurant.sqlite"
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            f" PRAGMA cache_size=-{_SQLITE_CACHE_KB};",
        }
        # In a file: threads that share a database in memory lock each other out.
        config["TEST"] = {"NAME": str(Path(str(config["NAME"])).with_name("test.sqlite3"))}
    elif engine.endswith("postgresql"):
        config["CONN_HEALTH_CHECKS"] = True
        config.setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
    else:
        raise ValueError("only sqlite and postgres are supported")
    return config

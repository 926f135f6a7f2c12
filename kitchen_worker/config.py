"""What one kitchen process is told by its options and its environment, as a frozen record."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import TypeVar

from kitchen_worker.contract.limits import limits_from_environ
from kitchen_worker.contract.messages import VERSION_PATTERN, Role
from kitchen_worker.contract.topology import Limits
from kitchen_worker.kitchens.known import COOKS, known_name, shipped_build
from kitchen_worker.kitchens.vnext import Fault

_Word = TypeVar("_Word", bound=StrEnum)

_KITCHEN_PATTERN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

#: Option, environment variable, default, and what the help says of it.
_OPTIONS: tuple[tuple[str, str, str, str], ...] = (
    ("--version", "VERSION", "", "name of the version that cooks here, such as vnext"),
    ("--role", "ROLE", "", f"its part in the launch: {', '.join(Role)}"),
    ("--kitchen", "KITCHEN", "", "your own kitchen, package.module:callable; takes an order"),
    ("--build", "BUILD", "", "what was built, such as git:1a2b3c; shown on the board"),
    ("--concurrency", "CONCURRENCY", "100", "orders cooked at once at most"),
    ("--prefetch", "PREFETCH", "200", "orders held at once at most, cooked or waiting"),
    ("--minute-ms", "MINUTE_MS", "10", "simulated milliseconds a minute of work; 0 for none"),
    ("--seed", "SEED", "", "a whole number that makes chance the same at every run"),
    ("--mend", "MEND", "", f"faults of vnext to mend, by comma: {', '.join(Fault)}"),
    ("--amqp-url", "AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/", "where the broker is"),
    ("--health-port", "HEALTH_PORT", "0", "port of /live and /ready; 0 for none"),
    ("--health-host", "HEALTH_HOST", "127.0.0.1", "interface of /live and /ready"),
    ("--log-level", "LOG_LEVEL", "INFO", f"how much is logged: {', '.join(_LOG_LEVELS)}"),
)


class ConfigError(ValueError):
    """Raised when an option or a variable is wrong; names it and says what it may be."""


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """One kitchen process: which version it is, how it cooks, and how much at once."""

    version: str
    role: Role
    #: ``package.module:callable`` of a user's own kitchen; None for a shipped one.
    kitchen: str | None = None
    build: str = ""
    concurrency: int = 100
    prefetch: int = 200
    minute_ms: float = 10.0
    seed: int | None = None
    mend: frozenset[Fault] = frozenset()
    #: Holds a password: never logged.
    amqp_url: str = field(default="amqp://guest:guest@127.0.0.1:5672/", repr=False)
    health_port: int = 0
    health_host: str = "127.0.0.1"
    log_level: str = "INFO"
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def read(cls, argv: Sequence[str], environ: Mapping[str, str]) -> WorkerConfig:
        """Read options, then the environment, then defaults; raises ConfigError."""
        given = _Given(vars(_parser().parse_args(argv)), environ)
        try:
            limits = limits_from_environ(environ)
        except ValueError as wrong:
            raise ConfigError(str(wrong)) from wrong
        kitchen = given.matching("--kitchen", _KITCHEN_PATTERN, "package.module:callable") or None
        version, mend = _version(given, needs_known=kitchen is None), _faults(given)
        build = given.text("--build")
        return cls(
            version=version,
            role=given.word("--role", Role),
            kitchen=kitchen,
            build=(build if kitchen else shipped_build(version, build, mend))[:200],
            concurrency=given.whole("--concurrency", least=1, most=10_000),
            prefetch=given.whole("--prefetch", least=1, most=65_535),
            minute_ms=given.number("--minute-ms", most=60_000),
            seed=given.whole("--seed", least=0, most=2**63) if given.text("--seed") else None,
            mend=mend,
            amqp_url=given.matching("--amqp-url", re.compile(r"amqps?://.+"), "amqp://..."),
            health_port=given.whole("--health-port", least=0, most=65_535),
            health_host=_address(given),
            log_level=_log_level(given),
            limits=limits,
        )


class _Given:
    """What was given for each option: on the command line, in the environment, or by default."""

    def __init__(self, options: Mapping[str, str | None], environ: Mapping[str, str]) -> None:
        self._texts: dict[str, str] = {}
        self._sources: dict[str, str] = {}
        for option, variable, default, _ in _OPTIONS:
            value = options[option[2:].replace("-", "_")]
            self._sources[option] = option if value is not None else variable
            chosen = environ.get(variable, "") if value is None else value
            self._texts[option] = chosen.strip() or default

    def text(self, option: str) -> str:
        return self._texts[option]

    def wrong(self, option: str, what: str) -> ConfigError:
        shown = "" if option == "--amqp-url" else f" {self._texts[option]!r}"
        return ConfigError(f"{self._sources[option]}:{shown} {what}")

    def matching(self, option: str, pattern: re.Pattern[str], what: str) -> str:
        text = self._texts[option]
        if text and not pattern.fullmatch(text):
            raise self.wrong(option, f"is not {what}")
        return text

    def whole(self, option: str, *, least: int, most: int) -> int:
        text = self._texts[option]
        if not (text.isascii() and text.isdigit()) or not least <= int(text[:30]) <= most:
            raise self.wrong(option, f"is not a whole number from {least} to {most}")
        return int(text)

    def number(self, option: str, *, most: float) -> float:
        try:
            number = float(self._texts[option])
        except ValueError:
            number = -1.0
        if not 0 <= number <= most:
            raise self.wrong(option, f"is not a number from 0 to {most}")
        return number

    def word(self, option: str, words: type[_Word]) -> _Word:
        try:
            return words(self._texts[option])
        except ValueError:
            raise self.wrong(option, f"is not one of: {', '.join(words)}") from None


def _version(given: _Given, *, needs_known: bool) -> str:
    version = given.text("--version")
    if not re.fullmatch(VERSION_PATTERN, version):
        raise given.wrong("--version", "is not 1 to 40 of a-z, 0-9 and -")
    if needs_known and known_name(version) is None:
        known = ", ".join(COOKS)
        raise given.wrong(
            "--version",
            f"is not known here; known: {known}, or one of them with a suffix such as vlatest-b; "
            "for any other give --kitchen package.module:callable",
        )
    return version


def _faults(given: _Given) -> frozenset[Fault]:
    names = [name.strip() for name in given.text("--mend").split(",") if name.strip()]
    try:
        return frozenset(Fault(name) for name in names)
    except ValueError:
        raise given.wrong("--mend", f"names a fault that is none of: {', '.join(Fault)}") from None


def _address(given: _Given) -> str:
    try:
        return str(ip_address(given.text("--health-host")))
    except ValueError:
        raise given.wrong("--health-host", "is not an IP address") from None


def _log_level(given: _Given) -> str:
    level = given.text("--log-level").upper()
    if level not in _LOG_LEVELS:
        raise given.wrong("--log-level", f"is not one of: {', '.join(_LOG_LEVELS)}")
    return level


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kitchen_worker",
        description="A kitchen: takes a version's orders from the broker, cooks each, and says "
        "what it made of it. Every option can be given as an environment variable too.",
        epilog="Queue limits come from the environment alone: QUEUE_TYPE, DARK_QUEUE_LENGTH, "
        "DARK_QUEUE_TTL_SECONDS, OBSERVER_QUEUE_LENGTH, DEAD_QUEUE_LENGTH. SIGTERM and SIGINT "
        "stop it: it takes no more, finishes what it holds within 10 s, and exits 0.",
        allow_abbrev=False,
    )
    for option, variable, default, meaning in _OPTIONS:
        by_default = f", default {default}" if default and "://" not in default else ""
        parser.add_argument(
            option, metavar=variable, help=f"{meaning} (variable {variable}{by_default})"
        )
    return parser

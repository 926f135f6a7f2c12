"""What one kitchen process is told by its options and its environment, as a frozen record."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from msgspec import Meta

from kitchen_worker.amqp.settings import (
    Address,
    AmqpUrls,
    LogLevel,
    Port,
    WrongSettings,
    number,
    read_settings,
    settings_of,
    whole,
)
from kitchen_worker.contract.messages import VERSION_PATTERN, Role
from kitchen_worker.kitchens.known import COOKS, known_name, shipped_build
from kitchen_worker.kitchens.vnext import Fault

_MAX_BUILD = 200
#: The broker itself takes back what is not acknowledged within 30 minutes.
_MAX_ORDER_TIMEOUT_S = 1_200
_NAME = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
_Version = Annotated[str, Meta(pattern=VERSION_PATTERN, description="1 to 40 of a-z, 0-9 and -")]
_Kitchen = Annotated[str, Meta(pattern=f"^{_NAME}:{_NAME}$", description="package.module:callable")]
_Faults = Annotated[
    frozenset[Fault], Meta(description=f"some of {', '.join(Fault)}, with a comma between")
]


class ConfigError(ValueError):
    """Raised when an option or a variable is wrong; names it and says what it may be."""


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """One kitchen process: which version it is, how it cooks, and how much at once.

    Each field is an option and a variable of its name; its title is what the help says of it.
    """

    version: Annotated[_Version, Meta(title="name of the version that cooks here, such as vnext")]
    role: Annotated[Role, Meta(title=f"its part in the launch: {', '.join(Role)}")]
    #: None for a shipped one.
    kitchen: (
        Annotated[_Kitchen, Meta(title="your own kitchen, package.module:callable; takes an order")]
        | None
    ) = None
    build: Annotated[str, Meta(title="what was built, such as git:1a2b3c; shown on the board")] = ""
    concurrency: Annotated[int, whole(1, 10_000), Meta(title="orders cooked at once at most")] = 100
    prefetch: Annotated[
        int,
        whole(0, 65_535, ", 0 for twice --concurrency"),
        Meta(title="orders held at once at most, cooked or waiting"),
    ] = 0
    order_timeout_seconds: Annotated[
        float,
        number(0.1, _MAX_ORDER_TIMEOUT_S),
        Meta(
            title="how long an order may take, else it fails as TimedOut; "
            "less than the site's DEADLINE_SECONDS"
        ),
    ] = 20.0
    minute_ms: Annotated[
        float,
        number(0, 60_000),
        Meta(title="simulated milliseconds a minute of work; 0 for none"),
    ] = 10.0
    seed: (
        Annotated[
            int,
            whole(0, 2**63 - 1),
            Meta(title="a whole number that makes chance the same at every run"),
        ]
        | None
    ) = None
    mend: Annotated[
        _Faults, Meta(title=f"faults of vnext to mend, by comma: {', '.join(Fault)}")
    ] = frozenset()
    #: May hold a password: never logged.
    amqp_url: Annotated[AmqpUrls, Meta(title="where the broker is")] = field(
        default="amqp://guest:guest@127.0.0.1:5672/", repr=False
    )
    health_port: Annotated[Port, Meta(title="port of /live and /ready; 0 for none")] = 0
    health_host: Annotated[Address, Meta(title="interface of /live and /ready")] = "127.0.0.1"
    log_level: Annotated[LogLevel, Meta(title="how much is logged")] = "INFO"

    def __post_init__(self) -> None:
        # What waits in a kitchen is in no queue any more: much of it looks lost to the relay.
        object.__setattr__(self, "prefetch", self.prefetch or 2 * self.concurrency)

    @classmethod
    def read(cls, argv: Sequence[str], environ: Mapping[str, str]) -> WorkerConfig:
        """Read options, then the environment, then defaults; raises ConfigError."""
        options = {
            variable: value
            for variable, value in vars(_parser().parse_args(argv)).items()
            if value is not None
        }
        names = {variable: _option(variable) for variable in options}
        given = {**environ, **options}
        try:
            config = read_settings(cls, given, shown_as=names)
        except (WrongSettings, ValueError) as wrong:
            raise ConfigError(str(wrong)) from wrong
        config = replace(config, build=config.build[:_MAX_BUILD])
        if config.kitchen:
            return config
        if known_name(config.version) is None:
            raise ConfigError(
                f"{names.get('VERSION', 'VERSION')}: {config.version!r} is not known here; known: "
                f"{', '.join(COOKS)}, or one of them with a suffix such as vlatest-b; "
                "for any other give --kitchen package.module:callable"
            )
        build = shipped_build(config.version, config.build, config.mend)
        return replace(config, build=build[:_MAX_BUILD])


def _option(variable: str) -> str:
    return f"--{variable.lower().replace('_', '-')}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kitchen_worker",
        description="A kitchen: takes a version's orders from the broker, cooks each, and says "
        "what it made of it. Every option can be given as an environment variable too.",
        epilog="SIGTERM and SIGINT "
        "stop it: it takes no more, finishes what it holds within 10 s, and exits 0. It exits 1 "
        "when its kitchen hangs, and when it is to be a control that no launch names; 2 on wrong "
        "options.",
        allow_abbrev=False,
    )
    for setting in settings_of(WorkerConfig):
        default = setting.field.default
        is_shown = setting.field.repr and default and not setting.is_required
        parser.add_argument(
            _option(setting.variable),
            dest=setting.variable,
            metavar=setting.variable,
            help=f"{setting.title} (variable {setting.variable}"
            f"{f', default {default}' if is_shown else ''})",
        )
    return parser

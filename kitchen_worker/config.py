"""The configuration of a kitchen process, from options and environment."""

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
from kitchen_worker.kitchens.shipped import COOKS, shipped_build, shipped_name
from kitchen_worker.kitchens.vnext import Fault

_MAX_BUILD = 200
#: RabbitMQ requeues deliveries that are not acknowledged within 30 minutes.
_MAX_ORDER_TIMEOUT_S = 1_200
_NAME = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
_Version = Annotated[str, Meta(pattern=VERSION_PATTERN, description="1 to 40 of a-z, 0-9 and -")]
_Kitchen = Annotated[str, Meta(pattern=f"^{_NAME}:{_NAME}$", description="package.module:callable")]
_Faults = Annotated[
    frozenset[Fault], Meta(description=f"some of {', '.join(Fault)}, separated by commas")
]


class ConfigError(ValueError):
    """Raised when an option or variable is wrong; names it and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """One kitchen process: its version, its kitchen and its limits.

    Each field is an option and an environment variable of the same name; its title is the help
    text.
    """

    version: Annotated[_Version, Meta(title="the version's name, such as vnext")]
    role: Annotated[Role, Meta(title=f"its role in the launch: {', '.join(Role)}")]
    #: None for a shipped one.
    kitchen: (
        Annotated[
            _Kitchen, Meta(title="your own kitchen, package.module:callable; called with an order")
        ]
        | None
    ) = None
    build: Annotated[
        str, Meta(title="the build's name, such as git:1a2b3c; shown on the board")
    ] = ""
    concurrency: Annotated[
        int, whole(1, 10_000), Meta(title="maximum number of orders in work at once")
    ] = 100
    prefetch: Annotated[
        int,
        whole(0, 65_535, ", 0 for twice --concurrency"),
        Meta(title="maximum number of orders held at once, in work or waiting"),
    ] = 0
    order_timeout_seconds: Annotated[
        float,
        number(0.1, _MAX_ORDER_TIMEOUT_S),
        Meta(
            title="time limit of an order, after which it fails as TimedOut; "
            "less than the site's DEADLINE_SECONDS"
        ),
    ] = 20.0
    minute_ms: Annotated[
        float,
        number(0, 60_000),
        Meta(title="simulated milliseconds per minute of work; 0 for none"),
    ] = 10.0
    seed: (
        Annotated[
            int,
            whole(0, 2**63 - 1),
            Meta(title="an integer that makes random choices reproducible"),
        ]
        | None
    ) = None
    mend: Annotated[
        _Faults, Meta(title=f"faults of vnext to fix, by comma: {', '.join(Fault)}")
    ] = frozenset()
    #: May hold a password: never logged.
    amqp_url: Annotated[AmqpUrls, Meta(title="the broker's URL")] = field(
        default="amqp://guest:guest@127.0.0.1:5672/", repr=False
    )
    health_port: Annotated[Port, Meta(title="port of /live and /ready; 0 for none")] = 0
    health_host: Annotated[Address, Meta(title="interface of /live and /ready")] = "127.0.0.1"
    log_level: Annotated[LogLevel, Meta(title="log level")] = "INFO"

    def __post_init__(self) -> None:
        # Few: orders that wait in a kitchen have left their queue, and look lost to the relay.
        object.__setattr__(self, "prefetch", self.prefetch or 2 * self.concurrency)

    @classmethod
    def read(cls, argv: Sequence[str], environ: Mapping[str, str]) -> WorkerConfig:
        """Options win over the environment, the environment over defaults; raises ConfigError."""
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
        if shipped_name(config.version) is None:
            raise ConfigError(
                f"{names.get('VERSION', 'VERSION')}: {config.version!r} is not a shipped kitchen; "
                f"shipped: {', '.join(COOKS)}, or one of them with a suffix such as vlatest-b; "
                "for your own, add --kitchen package.module:callable"
            )
        build = shipped_build(config.version, config.build, config.mend)
        return replace(config, build=build[:_MAX_BUILD])


def _option(variable: str) -> str:
    return f"--{variable.lower().replace('_', '-')}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kitchen_worker",
        description="A kitchen: takes a version's orders from the broker, handles them and "
        "publishes the results. Every option can also be given as an environment variable.",
        epilog="SIGTERM and SIGINT stop it: it takes no more orders, finishes those it holds "
        "within 10 s, and exits with 0. It exits with 1 if its kitchen hangs, or no launch names "
        "it as control; with 2 on wrong options.",
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

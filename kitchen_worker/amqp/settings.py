"""Reads typed settings: one variable per field of a record.

msgspec converts each value and checks it against the field's type; the field's ``Meta`` describes
what is allowed. An empty value counts as not set. A wrong value is never replaced by a default.
"""

from __future__ import annotations

import importlib
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from enum import Enum
from ipaddress import ip_address
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Meta

_Record = TypeVar("_Record")

#: Settings of earlier releases and what replaces them: none is silently ignored.
REMOVED = {
    "SECURE_COOKIES": "HTTPS=1 (or HTTPS=0) instead",
    **dict.fromkeys(
        (
            "DARK_QUEUE_LENGTH",
            "DARK_QUEUE_TTL_SECONDS",
            "OBSERVER_QUEUE_LENGTH",
            "DEAD_QUEUE_LENGTH",
        ),
        "a RabbitMQ policy to lower a queue's bound",
    ),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A setting that can't be used: its name, what is wrong, and what is allowed."""

    name: str
    what: str
    use: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}; use {self.use}"


class WrongSettings(ValueError):
    """Raised when a process can't start with its settings; names all problems."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def read_settings(
    record: type[_Record],
    given: Mapping[str, str],
    *,
    defaults: Mapping[str, str] | None = None,
    shown_as: Mapping[str, str] | None = None,
    together: Callable[[_Record], Iterable[Problem]] = lambda _: (),
) -> _Record:
    """Build a record from variables; raises WrongSettings with every problem at once.

    ``shown_as`` has the names to use in problems, where they differ from the variables' names.
    ``together`` checks settings against each other.
    """
    values, problems = (
        {},
        [
            Problem(name, "was removed", use)
            for name, use in REMOVED.items()
            if given.get(name, "").strip()
        ],
    )
    for setting in settings_of(record):
        name = (shown_as or {}).get(setting.variable, setting.variable)
        text = given.get(setting.variable, "").strip()
        text = text or (defaults or {}).get(setting.variable, "")
        if text:
            try:
                values[setting.field.name] = setting.read(text)
            except ValueError as cause:
                problems.append(Problem(name, setting.what_is_wrong(text, cause), setting.use))
        elif setting.is_required:
            problems.append(Problem(name, "is not set", setting.use))
    if problems:
        raise WrongSettings(tuple(problems))
    made = record(**values)
    if problems := [*together(made)]:
        raise WrongSettings(tuple(problems))
    return made


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a record, as a setting."""

    field: Field[Any]
    #: Its type, without None: a text that is given is never None.
    kind: Any

    @property
    def variable(self) -> str:
        """The variable's name: ``deadline_s`` is read from DEADLINE_SECONDS."""
        name = self.field.name.upper()
        return f"{name[:-2]}_SECONDS" if name.endswith("_S") else name

    @property
    def is_required(self) -> bool:
        return self.field.default is MISSING and self.field.default_factory is MISSING

    @property
    def use(self) -> str:
        """What is allowed, in words."""
        texts = [meta.description for meta in self._metas if meta.description]
        return texts[-1] if texts else f"one of {', '.join(self._words)}"

    @property
    def title(self) -> str:
        """What the setting is for."""
        return next((meta.title for meta in self._metas if meta.title), "")

    @property
    def check_id(self) -> str:
        """The id of its system check: text beside its bounds."""
        ids = [one for one in getattr(self.kind, "__metadata__", ()) if isinstance(one, str)]
        return ids[-1] if ids else ""

    def read(self, text: str) -> Any:
        """Parse a text; raises ValueError."""
        given: Any = next((word for word in self._words if word.lower() == text.lower()), text)
        if get_origin(self._plain) in (tuple, frozenset):
            given = [part.strip() for part in text.split(",") if part.strip()]
        # The hook converts what msgspec doesn't: a Path.
        value = msgspec.convert(
            given, self.kind, strict=False, dec_hook=lambda kind, raw: kind(raw)
        )
        for meta in self._metas:
            if check := (meta.extra or {}).get("check"):
                check(value)
        return value

    def what_is_wrong(self, text: str, cause: ValueError) -> str:
        """The problem, with the text unless it may be a secret."""
        shown = f"{text[:80]!r}" if self.field.repr else "its value"
        if isinstance(cause, msgspec.ValidationError):
            return f"{shown} is not valid"
        return f"{shown}: {cause}" if self.field.repr else str(cause)

    @property
    def _plain(self) -> Any:
        return get_args(self.kind)[0] if get_origin(self.kind) is Annotated else self.kind

    @property
    def _words(self) -> tuple[str, ...]:
        """The values of an enumeration, matched case-insensitively."""
        if get_origin(self._plain) is Literal:
            return get_args(self._plain)
        is_enum = isinstance(self._plain, type) and issubclass(self._plain, Enum)
        return tuple(word.value for word in self._plain) if is_enum else ()

    @property
    def _metas(self) -> list[Meta]:
        return [meta for meta in getattr(self.kind, "__metadata__", ()) if isinstance(meta, Meta)]


def settings_of(record: type[Any]) -> list[Setting]:
    """The settings of a record, in the order of its fields."""
    types = get_type_hints(record, include_extras=True)
    return [Setting(field, _without_none(types[field.name])) for field in fields(record)]


def _without_none(kind: Any) -> Any:
    if get_origin(kind) not in (Union, UnionType):
        return kind
    [given] = [part for part in get_args(kind) if part is not NoneType]
    return given


def checked(check: Callable[[Any], None], description: str) -> Meta:
    """A text for which ``check`` raises ValueError if it is wrong."""
    return Meta(description=description, extra={"check": check})


def import_callable(path: str) -> Callable[..., Any]:
    """Import ``package.module:name``; raises ValueError if that fails or isn't callable."""
    module_name, _, attributes = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception as cause:
        raise ValueError(f"{path} cannot be imported: {type(cause).__name__}: {cause}") from cause
    if callable(found):
        return found  # type: ignore[no-any-return]
    raise ValueError(f"{path} is not callable")


def whole(least: int, most: int, meaning: str = "") -> Meta:
    """An integer within bounds; ``meaning`` explains a special value."""
    return Meta(ge=least, le=most, description=f"an integer from {least} to {most}{meaning}")


def number(least: float, most: float) -> Meta:
    """A number within bounds; excludes ``nan``."""
    return Meta(ge=least, le=most, description=f"a number from {least:g} to {most:g}")


def check_amqp_urls(given: str) -> None:
    """Raise ValueError unless each of the comma-separated URLs is a valid broker URL."""
    for position, text in enumerate(given.split(","), 1):
        where = f"URL {position}: " if "," in given else ""
        try:
            url = urlsplit(text.strip())
            _ = url.port
        except ValueError as cause:
            # The message would quote what may be a password.
            raise ValueError(f"{where}its host or port is malformed") from cause
        if url.scheme not in ("amqp", "amqps"):
            raise ValueError(f"{where}it does not start with amqp:// or amqps://")
        if not url.hostname:
            raise ValueError(f"{where}it has no host")
        for cafile in parse_qs(url.query).get("cafile", ()):
            _check_cafile(cafile, url.scheme, where)


def _check_cafile(cafile: str, scheme: str, where: str) -> None:
    if scheme != "amqps":
        raise ValueError(f"{where}it has a cafile but no TLS; use amqps://")
    try:
        ssl.create_default_context(cafile=cafile)
    except OSError as cause:
        problem = "it has no certificate" if isinstance(cause, ssl.SSLError) else cause.strerror
        raise ValueError(f"{where}its cafile {cafile} is unusable: {problem}") from cause


#: ``package.module:name``; both parts may be dotted.
_CALLABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def _check_callable(given: str) -> None:
    if not _CALLABLE.fullmatch(given):
        raise ValueError("it is not of the form package.module:function")


def _check_address(given: str) -> None:
    ip_address(given)


AmqpUrls = Annotated[
    str,
    checked(
        check_amqp_urls,
        "amqp://user:password@host:5672/vhost (with TLS amqps://...:5671/vhost?cafile=/ca.pem), or "
        "several such URLs, separated by commas",
    ),
]
Port = Annotated[int, whole(0, 65_535, ", 0 for none")]
Address = Annotated[
    str, checked(_check_address, "an IP address of this machine, or 0.0.0.0 for all of them")
]
#: The module is not imported yet: settings are read first.
CallablePath = Annotated[str, checked(_check_callable, "package.module:function")]
Flag = Annotated[bool, Meta(description="1 or 0")]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

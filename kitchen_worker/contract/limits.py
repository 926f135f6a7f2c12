"""Reads from the environment how queues are kept and how far they may grow."""

from __future__ import annotations

from collections.abc import Mapping

from kitchen_worker.contract.topology import Limits, QueueType

#: Largest length or time that RabbitMQ takes in a queue's arguments.
_MAX_ARGUMENT = 2**31 - 1


def limits_from_environ(environ: Mapping[str, str]) -> Limits:
    """The limits that ``environ`` asks for; raises ValueError that names the wrong variable."""
    default = Limits()
    return Limits(
        queue_type=_queue_type(environ, default.queue_type),
        dark_queue_length=_count(environ, "DARK_QUEUE_LENGTH", default.dark_queue_length),
        dark_queue_ttl_ms=_milliseconds(
            environ, "DARK_QUEUE_TTL_SECONDS", default.dark_queue_ttl_ms
        ),
        observer_queue_length=_count(
            environ, "OBSERVER_QUEUE_LENGTH", default.observer_queue_length
        ),
        dead_queue_length=_count(environ, "DEAD_QUEUE_LENGTH", default.dead_queue_length),
    )


def _queue_type(environ: Mapping[str, str], default: QueueType) -> QueueType:
    text = environ.get("QUEUE_TYPE", "").strip()
    try:
        return QueueType(text.lower()) if text else default
    except ValueError:
        known = ", ".join(QueueType)
        raise ValueError(f"QUEUE_TYPE: {text!r} is not one of: {known}") from None


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise ValueError(f"{name}: {text!r} is not a whole number above 0")
    if not 0 < (count := int(text)) <= _MAX_ARGUMENT:
        raise ValueError(f"{name}: {text!r} is not between 1 and {_MAX_ARGUMENT}")
    return count


def _milliseconds(environ: Mapping[str, str], name: str, default_ms: int) -> int:
    milliseconds = _count(environ, name, default_ms // 1000) * 1000
    if milliseconds > _MAX_ARGUMENT:
        raise ValueError(f"{name}: at most {_MAX_ARGUMENT // 1000} are allowed")
    return milliseconds

"""The words of an enumeration as a field's choices."""

from __future__ import annotations

from enum import StrEnum


def choices(kinds: type[StrEnum]) -> list[tuple[str, str]]:
    """Each value with the words that a person reads."""
    return [(kind.value, kind.value.replace("_", " ")) for kind in kinds]

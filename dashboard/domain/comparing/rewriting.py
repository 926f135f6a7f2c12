"""Replaces what a person's pattern finds in a text: in linear time, and without raising."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import re2

#: Longest pattern and replacement, in characters.
MAX_PATTERN = 300
MAX_REPLACEMENT = 200
#: Longer texts stay as they are.
MAX_REWRITTEN = 4000
#: Places in one text that are replaced; each may cost a walk through the rest of the text.
MAX_PLACES = 200
#: Memory that one pattern may use, compiled, in bytes.
_MAX_MEMORY = 1024 * 1024

_REFERENCE = re.compile(r"\\(?:(?P<index>[0-9]{1,2})|g<(?P<name>\w+)>|(?P<backslash>\\)|)")


class RewritingError(ValueError):
    """Raised when a pattern or a replacement cannot be; names the part, and why to a person."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(reason)
        self.part = part
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A pattern and what to put in its place: texts, and numbers of the pattern's groups."""

    _pattern: Any
    _parts: tuple[str | int, ...]

    @classmethod
    def of(cls, pattern: str, replacement: str) -> Rewriting:
        """Read both; raises RewritingError."""
        compiled = _compiled(pattern)
        if len(replacement) > MAX_REPLACEMENT:
            raise RewritingError("replacement", f"at most {MAX_REPLACEMENT} characters, please")
        return cls(compiled, _parts(replacement, compiled))

    def __call__(self, text: str) -> str:
        """The text with its places replaced; as it is when it is too long or no Unicode text."""
        if len(text) > MAX_REWRITTEN:
            return text
        try:
            rewritten: str = self._pattern.sub(self._replaced, text, MAX_PLACES)
        except UnicodeEncodeError:
            # A lone surrogate, which JSON can hold and UTF-8 cannot.
            return text
        return rewritten

    def _replaced(self, found: Any) -> str:
        return "".join(
            part if isinstance(part, str) else found.group(part) or "" for part in self._parts
        )


def _compiled(pattern: str) -> Any:
    if not pattern:
        raise RewritingError("pattern", "give a regular expression")
    if len(pattern) > MAX_PATTERN:
        raise RewritingError("pattern", f"at most {MAX_PATTERN} characters, please")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise RewritingError("pattern", reason or "not a regular expression of RE2") from error
    except UnicodeEncodeError:
        raise RewritingError("pattern", "holds a character that no text can hold") from None


def _parts(replacement: str, compiled: Any) -> tuple[str | int, ...]:
    parts: list[str | int] = []
    end = 0
    for found in _REFERENCE.finditer(replacement):
        parts.append(replacement[end : found.start()])
        end = found.end()
        if found["backslash"]:
            parts.append("\\")
        else:
            parts.append(_group(found, compiled))
    parts.append(replacement[end:])
    return tuple(part for part in parts if part != "")


def _group(found: re.Match[str], compiled: Any) -> int:
    name = found["name"] or found["index"] or ""
    if not name:
        raise RewritingError("replacement", r"write \\ for a backslash, \1 or \g<name> for a group")
    group = int(name) if name.isdecimal() else compiled.groupindex.get(name)
    if group is None or group > compiled.groups:
        raise RewritingError("replacement", f"the pattern has no group {name}")
    return int(group)

"""Which shipped kitchen cooks for which version."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from types import MappingProxyType
from typing import Any

from kitchen_worker.contract.messages import Order
from kitchen_worker.kitchens import vlatest, vnext

#: What every shipped kitchen is: an order and a source of chance in, a result out.
Cook = Callable[[Order, random.Random], dict[str, Any]]

COOKS: Mapping[str, Cook] = MappingProxyType({"vlatest": vlatest.cook, "vnext": vnext.cook})


def known_name(version: str) -> str | None:
    """The shipped kitchen that cooks for a version: its own, or ``vlatest`` for ``vlatest-b``."""
    own = [name for name in COOKS if version == name or version.startswith(f"{name}-")]
    return max(own, key=len, default=None)


def cook_of(version: str, mend: AbstractSet[vnext.Fault] = frozenset()) -> Cook | None:
    """How a version cooks, without the faults that are mended; None for an unknown version."""
    name = known_name(version)
    if name is None:
        return None
    return partial(vnext.cook, mend=mend) if name == "vnext" else COOKS[name]


def shipped_build(version: str, build: str, mend: AbstractSet[vnext.Fault]) -> str:
    """What a shipped kitchen was built from, and what is mended in it."""
    build = build or "shipped"
    if not mend or known_name(version) != "vnext":
        return build
    return f"{build}, mended: {', '.join(sorted(mend))}"

"""The shipped kitchens by version name."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from types import MappingProxyType
from typing import Any

from kitchen_worker.contract.messages import PlacedOrder
from kitchen_worker.kitchens import vlatest, vnext

#: A shipped kitchen: takes an order and a random generator, returns a result.
Cook = Callable[[PlacedOrder, random.Random], dict[str, Any]]

COOKS: Mapping[str, Cook] = MappingProxyType({"vlatest": vlatest.cook, "vnext": vnext.cook})


def shipped_name(version: str) -> str | None:
    """The name of the kitchen that a version runs: ``vlatest-b`` runs ``vlatest``; None if none."""
    matching = [name for name in COOKS if version == name or version.startswith(f"{name}-")]
    return max(matching, key=len, default=None)


def cook_of(version: str, mend: AbstractSet[vnext.Fault] = frozenset()) -> Cook | None:
    """A version's kitchen without its fixed faults; None for an unknown version."""
    name = shipped_name(version)
    if name is None:
        return None
    return partial(vnext.cook, mend=mend) if name == "vnext" else COOKS[name]


def shipped_build(version: str, build: str, mend: AbstractSet[vnext.Fault]) -> str:
    """The build name of a shipped kitchen, with the faults that are fixed in it."""
    build = build or "shipped"
    if not mend or shipped_name(version) != "vnext":
        return build
    return f"{build}, mended: {', '.join(sorted(mend))}"

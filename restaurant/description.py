"""What the dashboard shows of an order, and the segments of its evidence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from kitchen_worker.amqp.settings import import_callable
from restaurant.environment import DEFAULT_DESCRIPTION


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """``size``: number of pieces; ``categories``: names such as ``item:burger``, each once."""

    label: str = ""
    number: int | None = None
    placed_at: datetime | None = None
    size: int = 0
    categories: tuple[str, ...] = ()


class _OrderedItem(msgspec.Struct, frozen=True, gc=False):
    name: str
    title: str
    quantity: int


class _OrderData(msgspec.Struct, gc=False):
    """The fields of an order's body that matter here."""

    number: int
    placed_at: datetime
    items: tuple[_OrderedItem, ...]
    note: str = ""


_read = msgspec.json.Decoder(_OrderData).decode


def describe(body: bytes) -> Description:
    """Describe an order by its message. Raises msgspec.MsgspecError if it is malformed."""
    order = _read(body)
    titles = [
        item.title.lower() if item.quantity == 1 else f"{item.quantity} {item.title.lower()}"
        for item in order.items
    ]
    names = dict.fromkeys(f"item:{item.name}" for item in order.items)
    return Description(
        label=", ".join(titles),
        number=order.number,
        placed_at=order.placed_at,
        size=sum(item.quantity for item in order.items),
        categories=("note:yes" if order.note else "note:no", *names),
    )


class DescriptionFunction:
    """The function that a setting names, as ``package.module:function``.

    It takes an order's message and returns a Description. Raises ValueError if it can't be
    imported.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._call: Callable[[bytes], Description] = import_callable(path)

    def __call__(self, body: bytes) -> Description:
        return self._call(body)

    @property
    def name(self) -> str:
        """The key of its evidence: empty for the restaurant's own function, else the path, and the
        function's attribute ``version`` if it has one. A new name starts without evidence."""
        version: Any = getattr(self._call, "version", "")
        name = f"{self.path} {version}".strip() if version else self.path
        return "" if name == DEFAULT_DESCRIPTION else name

"""A rush of orders as customers would place them, reproducible from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from restaurant.menu import MENU
from restaurant.pricing import OrderRequest, lines_from_menu

#: Shares of the unusual orders; the rest is one to four lines of a few portions.
MANY_OF_ONE = 0.01
VERY_LARGE = 0.01
LONG_WITH_NOTE = 0.06
WITH_NOTE = 0.15

NOTES = (
    "no onions",
    "extra napkins, please",
    "gluten free bun if you have one",
    "sauce on the side",
    "for a birthday: a candle!",
    "allergic to nuts — café will know",
    "ring twice",
    "well done",
)

_NAMES = [item.name for item in MENU]
#: Items so quick to make that an office orders dozens of them.
_QUICK = [item.name for item in MENU if item.preparation_time <= 2]


def rush(seed: int) -> Iterator[OrderRequest]:
    """An endless sequence of orders."""
    random = Random(seed)
    while True:
        yield _order(random)


def _order(random: Random) -> OrderRequest:
    kind = random.random()
    if kind < MANY_OF_ONE:
        return _request(_many_of_one(random), _some_note(random))
    kind -= MANY_OF_ONE
    if kind < VERY_LARGE:
        return _request(_very_large(random), _some_note(random))
    kind -= VERY_LARGE
    if kind < LONG_WITH_NOTE:
        names = random.sample(_NAMES, random.randint(5, 6))
        return _request({name: _few(random) for name in names}, random.choice(NOTES))
    names = random.sample(_NAMES, random.choices([1, 2, 3, 4], [40, 35, 18, 7])[0])
    return _request({name: _few(random) for name in names}, _some_note(random))


def _request(quantities: dict[str, int], note: str) -> OrderRequest:
    return OrderRequest(lines_from_menu(quantities), note)


def _few(random: Random) -> int:
    return random.choices([1, 2, 3, 4], [62, 26, 8, 4])[0]


def _some_note(random: Random) -> str:
    return random.choice(NOTES) if random.random() < WITH_NOTE else ""


def _many_of_one(random: Random) -> dict[str, int]:
    """A party: 21 to 30 of one item."""
    return {random.choice(_NAMES): random.randint(21, 30)}


def _very_large(random: Random) -> dict[str, int]:
    """An office: more than 30 portions of quick items, at most 20 of each."""
    return {name: random.randint(11, 16) for name in random.sample(_QUICK, 3)}

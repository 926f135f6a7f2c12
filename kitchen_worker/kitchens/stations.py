"""The station that makes an item, derived from its name."""

from __future__ import annotations

from enum import StrEnum


class Station(StrEnum):
    """A place in the kitchen where one cook works."""

    GRILL = "grill"
    FRYER = "fryer"
    DRINKS = "drinks"
    DESSERTS = "desserts"


#: Words in an item's name and their stations; the first match counts.
_WORDS: tuple[tuple[str, Station], ...] = (
    ("burger", Station.GRILL),
    ("sundae", Station.DESSERTS),
    ("brownie", Station.DESSERTS),
    ("cake", Station.DESSERTS),
    ("ice cream", Station.DESSERTS),
    ("cookie", Station.DESSERTS),
    ("fries", Station.FRYER),
    ("fried", Station.FRYER),
    ("rings", Station.FRYER),
    ("nugget", Station.FRYER),
    ("soda", Station.DRINKS),
    ("lemonade", Station.DRINKS),
    ("shake", Station.DRINKS),
    ("juice", Station.DRINKS),
    ("water", Station.DRINKS),
    ("coffee", Station.DRINKS),
    ("tea", Station.DRINKS),
    ("beer", Station.DRINKS),
    ("cola", Station.DRINKS),
)


def station_of(name: str) -> Station:
    """The station of an item; the grill if no rule matches its name."""
    lowered = name.lower().replace("-", " ").replace("_", " ")
    words = set(lowered.split())
    for word, station in _WORDS:
        if word in words or (len(word) > 3 and word in lowered):
            return station
    return Station.GRILL

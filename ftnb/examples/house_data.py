"""The world of the house search: flats to rent, agencies to ask, and the tools that reach them.

Things go wrong here as they do outside, and always in the same way: an agency does not answer, a slot is taken, the
listings are unreachable, and one flat was entered with a size of 0 m².
"""

from __future__ import annotations

import random
import time
import zlib
from typing import TypedDict

from langchain_core.tools import tool

BASE_RENT = {"Harbour": 900, "Old Town": 820, "Riverside": 700, "Northgate": 540, "University": 620}
"""What one room costs in each area, in euros a month; every further room adds 45 % of it."""
AGENCIES = ("Keystone Homes", "Lantern Lettings")


class Flat(TypedDict):
    """A flat to rent."""

    id: str
    area: str
    rooms: int
    size_m2: int
    rent: int
    source: str


def usual_rent(area: str, rooms: int) -> int:
    """What a flat usually costs, in euros a month."""
    return round(BASE_RENT[area] * (1 + 0.45 * (rooms - 1)))


def _make_flats() -> list[Flat]:
    dice = random.Random("flats")
    flats: list[Flat] = []
    for area in BASE_RENT:
        for rooms in (1, 2, 3, 4):
            for _ in range(6):
                rent = round(usual_rent(area, rooms) * dice.uniform(0.8, 1.25), -1)
                size = 22 * rooms + dice.randint(2, 16)
                flats.append(Flat(id="", area=area, rooms=rooms, size_m2=size, rent=int(rent), source="listings"))
    for number, flat in enumerate(flats):
        flat["id"] = f"L{number:03d}"
    wrong = next(flat for flat in flats if flat["area"] == "Harbour" and flat["rooms"] == 3)
    wrong["size_m2"] = 0
    wrong["rent"] = 1300
    return flats


FLATS = _make_flats()


def _one_in(n: int, *what: object) -> bool:
    """Chance without chance: true for about one in `n` values of `what`, on every machine the same ones."""
    return zlib.crc32(repr(what).encode()) % n == 0


def _wait(ms: float) -> None:
    """As long as a real service takes, divided by about a hundred."""
    time.sleep(ms / 1000)


@tool
def lookup_area(area: str) -> dict[str, int | str]:
    """What flats usually cost in an area, by number of rooms."""
    return {"area": area, **{f"{rooms}_rooms": usual_rent(area, rooms) for rooms in (1, 2, 3, 4)}}


@tool
def query_listings(area: str, rooms: int, max_rent: int) -> list[Flat]:
    """Flats of the public listings within the limits, cheapest first."""
    _wait(3)
    if _one_in(90, "listings", area, rooms, max_rent):
        raise ConnectionError("the listings service closed the connection")
    found = [f for f in FLATS if f["area"] == area and f["rooms"] == rooms and f["rent"] <= max_rent]
    return sorted(found, key=lambda flat: flat["rent"])


@tool
def ask_agency(agency: str, area: str, rooms: int, max_rent: int) -> list[Flat]:
    """Flats that one agency offers within the limits."""
    _wait(2)
    if _one_in(9, agency, area, rooms, max_rent):
        raise TimeoutError(f"{agency} did not answer")
    dice = random.Random(f"{agency}/{area}/{rooms}")
    rents = [round(usual_rent(area, rooms) * dice.uniform(0.9, 1.3), -1) for _ in range(3)]
    prefix = "".join(word[0] for word in agency.split())
    return [
        Flat(id=f"{prefix}{i}", area=area, rooms=rooms, size_m2=20 * rooms + 5 * i + 8, rent=int(rent), source=agency)
        for i, rent in enumerate(rents)
        if rent <= max_rent
    ]


@tool
def book_slot(flat_id: str, day: str) -> str:
    """Reserve a time to see a flat; raises ValueError when the day is taken."""
    if _one_in(4, flat_id, day):
        raise ValueError(f"no slot left for {flat_id} on {day}")
    return f"{day}, 17:30"


@tool
def send_application(flat_id: str, rent: int) -> str:
    """Apply for a flat; returns the number of the application."""
    return f"A-{zlib.crc32(f'{flat_id}/{rent}'.encode()) % 10_000:04d}"


@tool
def open_ticket(reason: str) -> str:
    """Hand the conversation to a person; returns the ticket's number."""
    return f"T-{zlib.crc32(reason.encode()) % 1_000:03d}"

"""The people who look for a flat: generated from a seed, each with a budget, some patience and things to say."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .house_data import BASE_RENT, usual_rent

PERSONAS = {"student": (1, 1, 2), "couple": (2, 2, 3), "family": (3, 4, 4, 3), "commuter": (1, 2), "retiree": (2, 3)}
"""How many rooms each kind of person may want."""
CHANNELS = {"web": 1.0, "app": 0.7, "partner": 1.9}
"""How much likelier somebody who came this way is to leave without a word."""
COHORTS = ("W01", "W02", "W03", "W04")


@dataclass(frozen=True)
class User:
    """One person, and what they will say."""

    user_id: str
    persona: str
    channel: str
    cohort: str
    opening: str
    replies: tuple[str, ...]
    """Their answers, in order; when these run out they have left."""

    @property
    def metadata(self) -> dict[str, str]:
        """What an app would know about them, to group engagements by."""
        return {"user_id": self.user_id, "persona": self.persona, "channel": self.channel, "cohort": self.cohort}


def make_users(n: int, *, seed: int = 9) -> list[User]:
    """The first `n` people of a seed; the same ones every time, and for every `n`."""
    return [_make_user(index, random.Random(f"{seed}/{index}")) for index in range(n)]


def _make_user(index: int, dice: random.Random) -> User:
    persona = dice.choice(list(PERSONAS))
    channel = dice.choices(list(CHANNELS), weights=(5, 3, 2))[0]
    return User(
        user_id=f"u-{index:04d}",
        persona=persona,
        channel=channel,
        cohort=COHORTS[index * len(COHORTS) // 300 % len(COHORTS)],
        opening=dice.choice(("Hi, I am looking for a flat.", "Hello!", "Good morning, we need a new place to live.")),
        replies=tuple(_replies(dice, dice.choice(PERSONAS[persona]), CHANNELS[channel])),
    )


def _replies(dice: random.Random, rooms: int, restless: float) -> list[str]:
    area = dice.choice(list(BASE_RENT))
    said: list[str] = []

    def goes_on(leave: float, human: float) -> bool:
        chance = dice.random()
        if chance < leave * restless:
            return False
        if chance > 1 - human:
            said.append(dice.choice(("Can I talk to a human, please?", "This is no use, give me a human.")))
            return False
        return True

    if not goes_on(leave=0.05, human=0.02):
        return said
    budget = _budget(dice, area, rooms)
    wish = f"{rooms} room{'s' if rooms > 1 else ''} in {area}"
    if dice.random() < 0.3:
        said.append(f"We would like {wish}.")
        if not goes_on(leave=0.1, human=0.03):
            return said
        said.append(f"At most €{budget} a month.")
    else:
        said.append(f"I would like {wish}, up to €{budget} a month.")
    for _ in range(dice.choices((0, 1, 2, 3), weights=(40, 33, 18, 9))[0]):
        if not goes_on(leave=0.12, human=0.05):
            return said
        if dice.random() < 0.5:
            area = dice.choice([name for name in BASE_RENT if name != area])
            said.append(f"What about {area} instead, up to €{_budget(dice, area, rooms)}?")
        else:
            said.append(f"Could you look again, up to €{_budget(dice, area, rooms)}?")
    if not goes_on(leave=0.14, human=0.04):
        return said
    said.append("I would like to see the first one.")
    if goes_on(leave=0.16, human=0.06):
        said.append("It is lovely. I want to apply for it.")
    return said


def _budget(dice: random.Random, area: str, rooms: int) -> int:
    return int(round(usual_rent(area, rooms) * dice.uniform(0.98, 1.35), -1))

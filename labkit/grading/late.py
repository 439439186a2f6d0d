"""What a term is worth: late days, extensions, weights, and the lowest that are dropped.

Everything here is a function of facts: when something was due, when it came, how many points it
reached. Nothing is stored, so a policy or an extension that changes, changes every total at once.

A *day late* is a day of the calendar where the course is: who has until 23:59 and comes before
23:59 of the next day is one day late, also in the night in which the clocks change. Days are spent
from the budget in the order of the deadlines; what it does not cover costs `percent` of the points
each. Handing in earlier, an extension, a larger budget, more points: none of it ever lowers a
total.

Dropping the lowest means leaving out those whose absence helps most, which with unequal weights
need not be the lowest percentages: were it those, a better answer could lower a total. (D. Kane,
J. Kane, "Dropping lowest grades", Mathematics Magazine 79, 2006; the iteration is Dinkelbach's, of
1967.)

Times are UTC, amounts are exact fractions, and this module reads no clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from labkit.words.errors import BadInput

NOTHING: Final = Fraction(0)
ALL: Final = Fraction(1)


@dataclass(frozen=True, slots=True)
class Policy:
    """How a total is made. As it stands: lateness costs nothing, and nothing is dropped."""

    percent: int = 0
    """Of an assignment's points, lost for each late day that the budget does not cover."""
    budget: int = 0
    """Late days that are free, over the whole term."""
    grace: int = 0
    """Hours after the deadline in which nothing is late yet."""
    at_least: int = 0
    """Percent of its points that a late assignment keeps, however late."""
    closes: int | None = None
    """After so many days late that no budget covers, nothing counts any more; None: never."""
    drop: int = 0
    """How many assignments are left out."""

    def __post_init__(self) -> None:
        for name in ("percent", "at_least"):
            if not 0 <= getattr(self, name) <= 100:
                raise BadInput(f"{name} is not a percentage", "0 to 100")
        for name in ("budget", "grace", "drop", "closes"):
            if (getattr(self, name) or 0) < 0:
                raise BadInput(f"{name} is below zero", "0 or more")


class Work(NamedTuple):
    """What is known of one assignment of one student."""

    assignment: str
    points: Fraction
    of: Fraction
    weight: Fraction = ALL
    due: datetime | None = None
    zone: str = "UTC"
    submitted: datetime | None = None
    extension: int = 0
    """Days."""
    excused: bool = False


class Worth(NamedTuple):
    """What that is worth."""

    work: Work
    late: int
    """Days after the deadline, extension and grace."""
    free: int
    """Of those, the days that the budget covers."""
    factor: Fraction
    """The share of the points that is kept."""
    dropped: bool = False

    @property
    def points(self) -> Fraction:
        """After lateness."""
        return self.work.points * self.factor


class Term(NamedTuple):
    """Everything of one student."""

    worths: tuple[Worth, ...]
    """In the order in which the work was given."""
    share: Fraction | None
    """Of all that could be had, 0 to 1; None while nothing counts."""


def deadline(due: datetime, zone: str, days: int) -> datetime:
    """So many days of the calendar later, at the same time of the clock on the wall. In UTC."""
    wall = due.astimezone(find_zone(zone)) + timedelta(days=days)
    return wall.astimezone(UTC)


def days_late(work: Work, grace: int = 0) -> int:
    """How many days after the deadline; none when it or the time of submission is not known."""
    if work.due is None or work.submitted is None:
        return 0
    last = deadline(work.due, work.zone, work.extension)
    if work.submitted <= last + timedelta(hours=grace):
        return 0
    days = max(1, (work.submitted - last).days - 1)  # at least, for a day has 25 hours at most
    while deadline(work.due, work.zone, work.extension + days) < work.submitted:
        days += 1
    return days


def kept(days: int, policy: Policy) -> Fraction:
    """The share of its points that an assignment keeps, so many days late beyond the budget."""
    if policy.closes is not None and days > policy.closes:
        return NOTHING
    return max(ALL - Fraction(policy.percent * days, 100), Fraction(policy.at_least, 100), NOTHING)


def term(works: Sequence[Work], policy: Policy) -> Term:
    """The worth of everything that one student did."""
    far = datetime.max.replace(tzinfo=UTC)
    order = sorted(works, key=lambda work: (work.due or far, work.assignment))
    left, spent = policy.budget, {}
    for work in order:
        late = 0 if work.excused else days_late(work, policy.grace)
        free = min(late, left)
        left -= free
        spent[work.assignment] = Worth(work, late, free, kept(late - free, policy))
    worths = [spent[work.assignment] for work in works]
    counting = [each for each in worths if counts(each.work)]
    gone = dropped(
        ((worth.points / worth.work.of, worth.work.weight) for worth in counting), policy.drop
    )
    names = {counting[i].work.assignment for i in gone}
    worths = [worth._replace(dropped=worth.work.assignment in names) for worth in worths]
    return Term(tuple(worths), mean(each for each in worths if not each.dropped))


def counts(work: Work) -> bool:
    """Whether it has any weight in the total."""
    return not work.excused and work.of > 0 and work.weight > 0


def mean(worths: Iterable[Worth]) -> Fraction | None:
    """The weighted mean of the shares."""
    those = [worth for worth in worths if counts(worth.work)]
    if not those:
        return None
    whole = sum((worth.work.weight for worth in those), NOTHING)
    return sum((w.work.weight * w.points / w.work.of for w in those), NOTHING) / whole


def dropped(shares: Iterable[tuple[Fraction, Fraction]], many: int) -> set[int]:
    """Which of (share, weight) to leave out so that the weighted mean of the rest is greatest.

    One is always kept. With a guess `q` of that mean the best to keep are those with the greatest
    weight * (share - q); their mean is a better guess; when it no longer grows it is the greatest.
    """
    those = list(shares)
    many = min(many, len(those) - 1)
    if many <= 0:
        return set()
    guess: Fraction | None = None
    keep = set(range(len(those)))
    while True:
        whole = sum((those[i][1] for i in keep), NOTHING)
        found = sum((those[i][0] * those[i][1] for i in keep), NOTHING) / whole
        if guess is not None and found <= guess:
            return set(range(len(those))) - keep
        guess = found
        best = sorted(
            range(len(those)), key=lambda i: those[i][1] * (those[i][0] - found), reverse=True
        )
        keep = set(best[: len(those) - many])


def find_zone(name: str) -> ZoneInfo:
    """A time zone by its name. `BadInput` when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInput(
            f"there is no time zone {name!r}", "such as Europe/Berlin, or UTC"
        ) from error


def read_deadline(text: str, zone: str) -> datetime:
    """The time that somebody in a zone wrote, in UTC. `BadInput` when the clocks skip it."""
    try:
        wall = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text[:60]!r} is no time", '"2026-11-27 23:59"') from error
    if wall.tzinfo is not None:
        return wall.astimezone(UTC)
    when = wall.replace(tzinfo=find_zone(zone)).astimezone(UTC)
    if when.astimezone(find_zone(zone)).replace(tzinfo=None) != wall:
        raise BadInput(f"{text} does not exist in {zone}: the clocks skip it", "an hour later")
    return when

"""Which submissions share passages that the release did not give: fingerprints by winnowing.

After S. Schleimer, D. Wilkerson, A. Aiken, "Winnowing: local algorithms for document
fingerprinting", SIGMOD 2003, the algorithm of MOSS. Code becomes tokens (`labkit.grading.tokens`);
every `K` tokens in a row have a hash; of every `WINDOW` hashes in a row the least is kept. So a
passage of `K + WINDOW - 1` tokens that two submissions share always leaves a common fingerprint,
and one shorter than `K` never does, wherever it stands: order does not matter.

What was given does not count: hashes of the released notebook are left out, and cells that are as
they were released. Nor does what many wrote: a fingerprint of more than a fifth of the class, and
of more than `COMMON` people, is the way one writes it.

**Similarity is not proof.** Short exercises have few good answers, and people who learn together
write alike. The report says where to look; what it means, only a talk with both can tell.

It all happens on this machine. Hashes only find candidates: what is shown as a match was compared
token by token.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labkit.grading.tokens import Token, tokens

K: Final = 18
"""Tokens: about two lines. Shorter matches are noise."""
WINDOW: Final = 8
COMMON: Final = 10
"""People; as MOSS has it."""
LEAST: Final = 3
"""Fingerprints in common, below which a pair is not a pair."""
SMALL: Final = 8
"""Fingerprints that each is taken to have, lest three of four be more than thirty of fifty."""
REPEATS: Final = 4
"""Places that are kept of a fingerprint: a loop that was written out has hundreds."""
MOST: Final = 40_000
"""Tokens of a submission that are looked at. A long notebook has a quarter of it."""
_FACTOR: Final = 0x9E3779B97F4A7C15
_WORD: Final = 2**64

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Work:
    """One submission: its cells of code, by their number in the notebook."""

    name: str
    cells: Mapping[int, str]


@dataclass(frozen=True)
class Prints:
    """What is left of it."""

    tokens: tuple[Token, ...]
    given: NDArray[np.bool_]
    """Of each token: whether it belongs to a passage of the release."""
    at: dict[int, list[int]]
    """Where its fingerprints begin, by their hashes."""

    @property
    def own(self) -> int:
        """How many tokens are not given."""
        return int(np.count_nonzero(~self.given))


class Passage(NamedTuple):
    """The same tokens in two submissions."""

    left: int
    """The first one, counting tokens."""
    right: int
    length: int


class Pair(NamedTuple):
    """Two submissions."""

    left: str
    right: str
    shared: int
    """Fingerprints in common."""
    score: float
    """Of the fingerprints of the smaller one, 0 to 1."""


@dataclass(frozen=True)
class Similarities:
    """A class, compared."""

    prints: Mapping[str, Prints]
    pairs: tuple[Pair, ...]
    """The most alike first."""
    common: int
    """Fingerprints left out because many have them."""


def compare(
    works: Sequence[Work], released: Iterable[str] = (), *, most_common: int | None = None
) -> Similarities:
    """Every submission with every other; `released` are the cells that all were given.

    A fingerprint counts as common when more than `most_common` submissions have it.
    """
    given = [list(tokens(source)) for source in released]
    known = {tuple(token.kind for token in each) for each in given}
    hashes = [_hashes(each) for each in given]
    base = np.unique(np.concatenate(hashes)) if hashes else np.zeros(0, np.uint64)
    prints = {work.name: _prints(work, known, base) for work in works}
    limit = max(COMMON, len(works) // 5) if most_common is None else most_common
    holders = Counter(value for each in prints.values() for value in each.at)
    common = {value for value, many in holders.items() if many > limit}
    return Similarities(prints, tuple(_pairs(prints, holders, common)), len(common))


def _prints(work: Work, known: set[tuple[str, ...]], base: Words) -> Prints:
    row: list[Token] = []
    marks: list[NDArray[np.bool_]] = []
    at: dict[int, list[int]] = defaultdict(list)
    for number, source in work.cells.items():
        cell = list(islice(tokens(source, number), MOST - len(row)))
        given = np.zeros(len(cell), np.bool_)
        if tuple(token.kind for token in cell) in known:
            given[:] = True
        else:
            values = _hashes(cell)
            old = np.isin(values, base)
            for start in np.flatnonzero(old):
                given[start : start + K] = True
            for place in _winnowed(values, old):
                places = at[int(values[place])]
                if len(places) < REPEATS:
                    places.append(len(row) + place)
        row += cell
        marks.append(given)
    whole = np.concatenate(marks) if marks else np.zeros(0, np.bool_)
    return Prints(tuple(row), whole, dict(at))


def _hashes(row: Sequence[Token]) -> Words:
    """Of every K tokens in a row: a polynomial modulo 2^64, with its bits well mixed."""
    if len(row) < K:
        return np.zeros(0, np.uint64)
    codes = np.array([zlib.crc32(token.kind.encode()) for token in row], np.uint64)
    powers = np.array([pow(_FACTOR, i, _WORD) for i in range(K)], np.uint64)
    values = np.lib.stride_tricks.sliding_window_view(codes, K) @ powers
    values ^= values >> np.uint64(31)
    values *= np.uint64(_FACTOR)
    mixed: Words = values ^ (values >> np.uint64(29))
    return mixed


def _winnowed(values: Words, old: NDArray[np.bool_]) -> list[int]:
    """Where the least of each window is, the last of equals; what was given is in none."""
    if not len(values):
        return []
    ranks = np.where(old, np.uint64(_WORD - 1), values)
    width = min(WINDOW, len(ranks))
    windows = np.lib.stride_tricks.sliding_window_view(ranks, width)[:, ::-1]
    places = np.arange(len(windows)) + width - 1 - np.argmin(windows, axis=1)
    return [int(i) for i in np.unique(places) if not old[i]]


def _pairs(prints: Mapping[str, Prints], holders: Counter[int], common: set[int]) -> list[Pair]:
    names = sorted(prints)
    who: dict[int, list[int]] = defaultdict(list)
    sizes = []
    for index, name in enumerate(names):
        rare = [value for value in prints[name].at if value not in common]
        sizes.append(len(rare))
        for value in rare:
            if holders[value] > 1:
                who[value].append(index)
    shared: Counter[tuple[int, int]] = Counter()
    for those in who.values():
        shared.update(combinations(those, 2))
    pairs = [
        Pair(names[a], names[b], many, min(1.0, many / max(SMALL, min(sizes[a], sizes[b]))))
        for (a, b), many in shared.items()
        if many >= LEAST
    ]
    return sorted(pairs, key=lambda pair: (-pair.score, -pair.shared, pair.left, pair.right))


def passages(left: Prints, right: Prints) -> list[Passage]:
    """The longest matches, none over another, in the order of the left one."""
    a, b = ([token.kind for token in each.tokens] for each in (left, right))
    cells = [[token.cell for token in each.tokens] for each in (left, right)]
    found: dict[tuple[int, int], Passage] = {}
    for value in sorted(left.at.keys() & right.at.keys()):
        for i, j in product(left.at[value], right.at[value]):
            if any(
                p.left <= i < p.left + p.length and i - j == p.left - p.right
                for p in found.values()
            ):
                continue
            grown = _grown(a, b, cells, i, j)
            found[grown.left, grown.right] = grown
    taken = (np.array(left.given), np.array(right.given))
    kept = []
    for each in sorted(found.values(), key=lambda p: (-p.length, p.left, p.right)):
        mine = taken[0][each.left : each.left + each.length]
        yours = taken[1][each.right : each.right + each.length]
        if np.count_nonzero(~mine & ~yours) >= K // 2:
            kept.append(each)
            mine[:] = yours[:] = True
    return sorted(kept)


def _grown(a: list[str], b: list[str], cells: Any, i: int, j: int) -> Passage:
    """As far as the tokens are the same, within a cell."""
    first, second = cells[0][i], cells[1][j]

    def same(step: int) -> bool:
        x, y = i + step, j + step
        if not (0 <= x < len(a) and 0 <= y < len(b)):
            return False
        return a[x] == b[y] and cells[0][x] == first and cells[1][y] == second

    begin, end = 0, 0
    while same(begin - 1):
        begin -= 1
    while same(end):
        end += 1
    return Passage(i + begin, j + begin, end - begin)

"""What is right of datagrams, counted by hand: losses, copies, fragments.

Everything is told by *places*, the order in which it was sent: 0, 1, 2 and so on, which never wrap.
The checks of week 5 turn places into sequence numbers, and know from here what comes out. Tests
hold it against scapy, Linux and the kit's own counters.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, Final

from labkit.core.impairment import Impairment
from labkit.words.seqnum import add16
from labkit.words.units import ms

Figures = tuple[int, int, int, int]
"""Expected, lost, duplicates, reordered."""


def figures_of(places: Sequence[int]) -> Figures:
    """What there is to count, when the places in the order of sending are known."""
    came: set[int] = set()
    duplicates = reordered = 0
    for place in places:
        if place in came:
            duplicates += 1
        elif came and place < max(came):
            reordered += 1
        came.add(place)
    expected = max(came) - places[0] + 1
    return expected, expected - len(came), duplicates, reordered


IP_HEADER, UDP_HEADER = 20, 8
Fragment = tuple[int, int, int, bool]
"""Identification, offset, length, more."""


def pieces_of(size: int, mtu: int, headers: tuple[int, int] = (20, 8)) -> list[tuple[Any, ...]]:
    """RFC 791 section 3.2: offset, length and flag of each fragment.

    The rest is the last fragment as soon as it fits: that one need be no multiple of 8.
    """
    ip, udp = headers
    room, rest, at = mtu - ip, size + udp, 0
    found: list[tuple[Any, ...]] = []
    while rest > room:
        length = room // 8 * 8
        found.append((at, length, True))
        at, rest = at + length, rest - length
    return [*found, (at, rest, False)]


def incomplete_of(packets: Sequence[Fragment]) -> list[int]:
    """Of which datagrams some fragment came and not every one, in the order of their first."""
    found: dict[int, dict[int, tuple[int, bool]]] = {}
    for identification, offset, length, more in packets:
        found.setdefault(identification, {})[offset] = length, more
    return [identification for identification, parts in found.items() if not _whole(parts)]


def _whole(parts: dict[int, tuple[int, bool]]) -> bool:
    at, more = 0, True
    while more:
        if at not in parts:
            return False
        length, more = parts[at]
        at += length
    return True


def befallen(rng: Random, kinds: Sequence[str]) -> list[Fragment]:
    """Datagrams of three or four fragments, each with something of its own that befell it."""
    packets: list[Fragment] = []
    identification = rng.randrange(1000, 60_000)
    for kind in kinds:
        identification += rng.randrange(1, 4)
        size = 100 if kind == "short" else rng.randrange(1300, 1900)
        parts = [(identification, *each) for each in pieces_of(size, 576)]
        match kind:
            case "no first":
                del parts[0]
            case "no middle":
                del parts[1]
            case "no last":
                del parts[-1]
            case "backwards":
                parts.reverse()
            case "one twice":
                parts[1:2] = [parts[0]]
            case "all twice":
                parts += parts[:1]
        packets += parts
    return packets


BEFELL: Final = {
    "last": ("short", "whole", "no last", "no middle", "no first", "whole"),
    "order": ("whole", "backwards", "no middle", "backwards", "short"),
    "copies": ("whole", "one twice", "all twice", "short", "no last"),
}
"""By the hint of who does not see it."""


def bursts_of(first: int, places: Sequence[int]) -> list[tuple[int, int]]:
    """(first number missing, how many) for each gap; `places` are where the numbers belong."""
    came = set(places)
    found: list[tuple[int, int]] = []
    for place in range(min(came), max(came)):
        if place not in came:
            if found and add16(found[-1][0], found[-1][1]) == add16(first, place):
                found[-1] = found[-1][0], found[-1][1] + 1
            else:
                found.append((add16(first, place), 1))
    return found


def arrivals_of(line: Impairment, count: int) -> list[int]:
    """Which of `count` datagrams, one every 20 ms, come, in which order; the first one first."""
    came = []
    for place in range(count):
        for leaves, _ in line.push(b"", place * ms(20)):
            came.append((leaves, place))
    places = [place for _, place in sorted(came)]
    return [place for place in places if place >= places[0]]

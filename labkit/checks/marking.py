"""The mark, for week 11: what is right of DSCP, ECN and names, on packets written here by `struct`.

Parts of exercise 11.1. Expected are three sentences of RFC 2474, 2597 and 3246; the packets are
made up, or those of a shipped capture.
"""

import struct
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Any, Final

from labkit.checks.bench import Bench
from labkit.checks.plain import shown

EF: Final = 46


def name_of(dscp: int) -> str:
    """EF (RFC 3246), AFxy = 8x + 2y (RFC 2597 section 6), CSx = 8x (RFC 2474), or the number."""
    if dscp == EF:
        return "EF"
    x, rest = divmod(dscp, 8)
    if rest == 0:
        return f"CS{x}"
    if 1 <= x <= 4 and rest in (2, 4, 6):
        return f"AF{x}{rest // 2}"
    return str(dscp)


def byte(bench: Bench) -> None:
    """DSCP and ECN, put together."""
    cases = [(EF, 1), *((bench.rng.randrange(1, 64), ecn) for ecn in (1, 2, 3, 0))]
    for dscp, ecn in cases:
        wanted = 4 * dscp + ecn
        mistakes = [
            (dscp, "shift"),
            (dscp + ecn, "shift"),
            (ecn << 6 | dscp, "side"),
            (dscp << 2, "ecn"),
            (dscp << 3 | ecn, "shift"),
        ]
        found = bench.call("tos", dscp, ecn)
        mistakes = [pair for pair in mistakes if pair[0] != wanted]
        bench.equal(found, wanted, "the second byte of the header", "byte", mistakes)


def names(bench: Bench) -> None:
    """All 64 code points, in any order."""
    dscps = list(range(64))
    bench.rng.shuffle(dscps)
    for dscp in (EF, 0, 34, 12, 40, *dscps):
        wanted, x = name_of(dscp), dscp // 8
        mistakes: list[tuple[Any, str]] = [
            (f"AF{dscp % 8 // 2}{x}", "order"),
            (f"AF{x}{dscp % 8 // 2}", "classes"),
            (f"CS{x}", "selectors"),
            (dscp, "text"),
            (None, "others"),
        ]
        found = bench.call("mark_name", dscp)
        hint = "others" if wanted.isdecimal() else "name"
        mistakes = [pair for pair in mistakes if pair[0] != wanted]
        bench.equal(found, wanted, "the name of this code point", hint, mistakes)


def ipv4(tos: int, body: bytes) -> bytes:
    """An IPv4 packet with UDP (RFC 791 section 3.1)."""
    ends = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    return struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(body), 7, 0, 64, 17, 0) + ends + body


def ipv6(tos: int, body: bytes, flow: int) -> bytes:
    """An IPv6 packet with UDP (RFC 8200 section 3)."""
    ends = bytes(15) + b"\1" + bytes(15) + b"\2"
    return struct.pack("!IHBB", 6 << 28 | tos << 20 | flow, len(body), 17, 64) + ends + body


def _marked(rng: Random, count: int, *, six: bool) -> tuple[list[bytes], list[int]]:
    """Packets of a voice, a video and others, and the byte of each."""
    marks = [EF, 34, 0, rng.choice((10, 18, 38)), rng.choice((8, 48)), rng.choice((1, 44))]
    toses = [4 * rng.choices(marks, (5, 3, 4, 2, 1, 1))[0] + rng.randrange(4) for _ in range(count)]
    packets = [
        ipv6(tos, rng.randbytes(40), rng.randrange(1 << 20))
        if six and rng.random() < 0.5
        else ipv4(tos, rng.randbytes(40))
        for tos in toses
    ]
    return packets, toses


def _count(bench: Bench, packets: Sequence[bytes], toses: Sequence[int], hint: str) -> None:
    wanted = dict(Counter(name_of(tos >> 2) for tos in toses))
    found = bench.returned(bench.subject.call("marks", list(packets)))
    what = "how many packets there are of each name"
    table = type(found) is dict and all(type(key) is str for key in found)
    bench.holds(table, what, shown(wanted), shown(found), "table")
    low = dict(Counter(name_of(tos & 63) for tos in toses))
    size = dict.fromkeys(wanted, 0)
    for packet, tos in zip(packets, toses, strict=True):
        size[name_of(tos >> 2)] += len(packet)
    mistakes = [(low, "upper"), (size, "packets")]
    bench.equal(found, wanted, what, hint, [pair for pair in mistakes if pair[0] != wanted])


def packets(bench: Bench) -> None:
    """IPv4 alone, with ECN bits; and no packet at all."""
    for count in (bench.rng.randrange(40, 90), 0):
        packets, toses = _marked(bench.rng, count, six=False)
        bench.step(f"marks of {count} packets of IPv4, some with ECN bits")
        _count(bench, packets, toses, "packets")


def both(bench: Bench) -> None:
    """IPv4 and IPv6, in any order."""
    packets, toses = _marked(bench.rng, bench.rng.randrange(60, 90), six=True)
    bench.step(f"marks of {len(packets)} packets, IPv4 and IPv6 among each other")
    _count(bench, packets, toses, "six")


def capture(bench: Bench) -> None:
    """All of a capture, and some of it."""
    packets, toses = _captured()
    bench.step(f"marks of the {len(packets)} packets of the capture 11_ef_first")
    _count(bench, packets, toses, "capture")
    share = bench.rng.randrange(200, 400)
    some = bench.rng.sample(range(len(packets)), share)
    bench.step(f"marks of {share} of them")
    _count(bench, [packets[i] for i in some], [toses[i] for i in some], "capture")


@lru_cache(maxsize=1)
def _captured() -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """The capture's packets, and the byte of each as the kit's own reader names it."""
    from labkit.lab.captures import capture

    traffic = capture("11_ef_first")
    fields = [packet.found["IP"] for packet in traffic]
    return tuple(p.data for p in traffic), tuple(4 * f["DSCP"] + f["ECN"] for f in fields)

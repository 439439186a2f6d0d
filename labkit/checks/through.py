"""What is right in week 9, made by hand: tokens, STUN messages, mappings, holes, frames.

Nothing here is taken from the modules that a student rebuilds: tokens are made with `hmac` and
`base64`, STUN with `struct` from the drawing of RFC 8489, mappings with a dictionary, and the pairs
of NATs that a hole goes through stand in a table. `tests/checks/test_week09.py` holds each of them
beside the kit's own.

Frames are measured: one voice is carried four ways over a few bad links, in virtual time. A check
takes some of the frames of some of these runs, so nothing that it asks can be known before.
"""

import base64
import hashlib
import hmac
import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from itertools import product
from random import Random
from typing import Final

Endpoint = tuple[str, int]
Frame = tuple[float, float | None]
Stun = tuple[str, bytes, Endpoint | None]


# Tokens -----------------------------------------------------------------------------------------


def encoded(data: bytes) -> str:
    """base64url without padding: RFC 4648 section 5."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mac_of(secret: bytes, text: bytes, digest: str = "sha256") -> bytes:
    """HMAC, RFC 2104."""
    return hmac.new(secret, text, getattr(hashlib, digest)).digest()


def token(secret: bytes, subject: str, expires: int) -> str:
    """A token as it should be."""
    payload = encoded(f"{expires}:{subject}".encode())
    return f"{payload}.{encoded(mac_of(secret, payload.encode()))}"


# STUN -------------------------------------------------------------------------------------------

HEADER: Final = struct.Struct("!HHI12s")
COOKIE: Final = 0x2112A442
KINDS: Final = {0x000: "request", 0x010: "indication", 0x100: "success", 0x110: "error"}
"""By the two bits of the class: RFC 8489 section 5."""
XOR_MAPPED: Final = 0x0020
FORMS: Final = (8, b"\1"), (20, b"\2")
"""The size of an address's value, and its family."""

SAMPLE_ID: Final = bytes.fromhex("b7e7a701bc34d686fa87dfae")
SAMPLE_IPV4: Final = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147"
    "e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
"""RFC 5769 section 2.2: 192.0.2.1, port 32853."""
SAMPLE_IPV6: Final = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200014"
    "0002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
"""Section 2.3: 2001:db8:1234:5678:11:2233:4455:6677, the same port."""


def message(kind: int, transaction: bytes, *attributes: bytes) -> bytes:
    """One message."""
    body = b"".join(attributes)
    return HEADER.pack(kind, len(body), COOKIE, transaction) + body


def attribute(number: int, value: bytes, filler: bytes = b"\0") -> bytes:
    """One attribute; its length does not count the padding."""
    return struct.pack("!HH", number, len(value)) + value + filler * (-len(value) % 4)


def address(where: Endpoint, mask: bytes = bytes(18)) -> bytes:
    """The value of MAPPED-ADDRESS; with a mask, of XOR-MAPPED-ADDRESS."""
    packed = ip_address(where[0]).packed
    mixed = bytes(a ^ b for a, b in zip(packed, mask, strict=False))
    port = where[1] ^ int.from_bytes(mask[:2])
    return struct.pack("!BBH", 0, 1 if len(packed) == 4 else 2, port) + mixed


def xored(where: Endpoint, transaction: bytes) -> bytes:
    """XOR-MAPPED-ADDRESS: section 14.2."""
    return attribute(XOR_MAPPED, address(where, COOKIE.to_bytes(4) + transaction))


def read(data: bytes) -> Stun | None:
    """Kind, transaction and the mapped address of a datagram, None if it is no STUN message."""
    if len(data) < HEADER.size:
        return None
    kind, length, cookie, transaction = HEADER.unpack_from(data)
    if kind >> 14 or cookie != COOKIE or length != len(data) - HEADER.size or length % 4:
        return None
    at, mapped = HEADER.size, None
    while at < len(data):
        number, size = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
        if at > len(data):
            return None
        if number == XOR_MAPPED and mapped is None:
            if (size, value[1:2]) not in FORMS:
                return None
            mapped = _where(value, cookie.to_bytes(4) + transaction)
    return KINDS[kind & 0x110], transaction, mapped


def _where(value: bytes, mask: bytes) -> Endpoint:
    port = int.from_bytes(value[2:4]) ^ int.from_bytes(mask[:2])
    mixed = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
    return str(ip_address(mixed)), port


@lru_cache(maxsize=1)
def captured() -> tuple[bytes, ...]:
    """What the datagrams of the shipped capture carry: STUN, RTP and RTCP."""
    from labkit.lab.captures import capture

    return tuple(packet.data[28:] for packet in capture("09_hole_punched"))


@lru_cache(maxsize=8)
def punched(seed: int) -> tuple[bytes, ...]:
    """What two hosts, two NATs and two servers say to each other in a run of its own."""
    from labkit.core.nat import Behaviour, Ports
    from labkit.lab.nat import punch

    kind = Behaviour(ports=Ports.RANDOM)
    return tuple(crossing.data for crossing in punch(kind, kind, seed).tap.sent)


# NATs -------------------------------------------------------------------------------------------

DEPENDS: Final = ("endpoint-independent", "address-dependent", "address and port-dependent")
"""RFC 4787's words, for mapping and for filtering."""
Kind = tuple[str, str]
"""Mapping and filtering."""
ALL: Final[tuple[Kind, ...]] = tuple(product(DEPENDS, DEPENDS))
CLASSIC: Final[tuple[Kind, ...]] = (*ALL[:3], ALL[8])
"""Full cone, restricted cone, port-restricted cone, symmetric: RFC 3489 section 5."""

_TABLE: Final = (
    "yyyyyyyyy",
    "yyyyyyyyy",
    "yyynnnnnn",
    "yynyynyyn",
    "yynynnynn",
    "yynnnnnnn",
    "yynyynnnn",
    "yynynnnnn",
    "yynnnnnnn",
)
HOLES: Final = {
    (one, other): _TABLE[row][column] == "y"
    for row, one in enumerate(ALL)
    for column, other in enumerate(ALL)
}
"""Whether a hole can be punched, for each pair."""


def mapped_ports(mapping: str, sent: Sequence[tuple[Endpoint, Endpoint]], first: int) -> list[int]:
    """The port outside of each of some datagrams, as (inside, remote): in order, from `first`."""
    looks_at = DEPENDS.index(mapping)  # this many parts of the remote endpoint
    known: dict[object, int] = {}
    return [
        known.setdefault((inside, remote[:looks_at]), first + len(known)) for inside, remote in sent
    ]


# Frames -----------------------------------------------------------------------------------------

LINKS: Final = ("voip-5", "voip-10")
LONG: Final = 4.0
"""Seconds of speech in a run."""


@lru_cache(maxsize=4 * len(LINKS))
def _carried(way: str, link: str) -> tuple[Frame, ...]:
    from labkit.lab.headofline import Way, carry, frames_of
    from labkit.lab.sources import speech
    from labkit.resources import load_profile

    return tuple(frames_of(carry(Way[way], load_profile(link), speech(LONG), seed=9)))


def carried(rng: Random, way: str, link: str, count: int = 120) -> list[Frame]:
    """Some of the frames of one run, on another clock."""
    frames = _carried(way, link)
    begin = rng.randrange(len(frames) - count)
    clock = rng.randrange(1000, 100_000)
    return [
        (sent + clock, None if came is None else round(came + clock, 3))
        for sent, came in frames[begin : begin + count]
    ]


def together(frames: Sequence[Frame]) -> int:
    """How many were handed over at an instant at which an earlier one was."""
    seen: set[float] = set()
    found = 0
    for _, came in frames:
        if came is not None:
            found += came in seen
            seen.add(came)
    return found


def missing(frames: Sequence[Frame], wait: float) -> float:
    """Percent that are not there `wait` ms after they were sent."""
    late = sum(came is None or came - sent > wait for sent, came in frames)
    return 100 * late / len(frames)


def wait_for(frames: Sequence[Frame], percent: float) -> set[int] | None:
    """The least whole number of ms after which at most `percent` are missing.

    Two neighbours, where it is a whole number but for the rounding of floats; None: no wait.
    """
    took = sorted(came - sent for sent, came in frames if came is not None)
    needed = len(frames) - int(len(frames) * percent / 100 + 1e-9)
    if needed > len(took):
        return None
    if needed <= 0:
        return {0}
    least = took[needed - 1]
    return {math.ceil(least + noise) for noise in (-1e-6, 1e-6)} if least % 1 else {int(least)}

"""Checks of an RTP header: exercise 07.1.

What is expected is packed by hand with `struct` from the drawing that the student has. Packets of
the shipped capture and of a simulated call come in as bytes, and `by_hand` reads them; the other
exercises of the week take them from here.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Any, Final

from labkit.checks.bench import Bench
from labkit.checks.plain import shown
from labkit.checks.subject import Ask, Raised
from labkit.words.packet import Packet

FIELDS: Final = (
    ("V P X CC", 0, 0), ("M PT", 1, 1), ("sequence number", 2, 3), ("timestamp", 4, 7),
    ("SSRC", 8, 11), ("payload", 12, 99),
)  # fmt: skip
Extension = tuple[int, bytes]


def datagram(
    packet: Packet,
    csrcs: Sequence[int] = (),
    extension: Extension | None = None,
    padding: int = 0,
) -> bytes:
    """An RTP packet as it should be."""
    first = 0x80 + 0x20 * bool(padding) + 0x10 * (extension is not None) + len(csrcs)
    second = packet.payload_type + 0x80 * packet.marker
    data = struct.pack("!BBHII", first, second, packet.seq, packet.timestamp, packet.ssrc)
    data += struct.pack(f"!{len(csrcs)}I", *csrcs)
    if extension is not None:
        data += struct.pack("!HH", extension[0], len(extension[1]) // 4) + extension[1]
    return data + packet.payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


def number(rng: Random, size: int) -> int:
    """In which no two bytes are alike, and none is 0."""
    return int.from_bytes(bytes(rng.sample(range(1, 256), size)), "big")


def some_packet(rng: Random, size: int = 20) -> Packet:
    """A packet with dice for everything, and `size` bytes of payload."""
    payload_type = rng.choice((0, 8, rng.randrange(65, 128)))
    marker = rng.random() < 0.5
    seq, timestamp, ssrc = (number(rng, width) for width in (2, 4, 4))
    return Packet(seq, timestamp, rng.randbytes(size), marker, payload_type, ssrc)


def layout(bench: Bench) -> None:
    """`pack` of plain packets, field by field."""
    for marker, size in ((False, 20), (True, 160), (False, 0)):
        packet = some_packet(bench.rng, size)._replace(marker=marker)
        wanted, found = datagram(packet), bench.call("pack", packet)
        said = "a header of 12 bytes, then the payload"
        bench.holds(type(found) is bytes, said, "bytes", shown(found), "bytes")
        rows = {"wanted": wanted[:32].hex(), "yours": found[:32].hex()}
        bench.drawing = {"kind": "bytes", "fields": FIELDS, **rows}
        bench.equal(found[:1], wanted[:1], "byte 0 is V, P, X and CC", "version")
        bench.equal(found[1:2], wanted[1:2], "byte 1 is M and PT", "marker")
        for name, start, end in FIELDS[2:5]:
            field = wanted[start : end + 1]
            what = f"bytes {start} to {end} are {name}"
            bench.equal(found[start : end + 1], field, what, "fields", [(field[::-1], "endian")])
        bench.equal(found[12:], packet.payload, "then comes the payload", "payload")
        bench.drawing = None


def row_of(bench: Bench, found: Any) -> tuple[Packet, tuple[Any, ...], Any, int]:
    """What `unpack` returned, if it has the right form."""
    what = "unpack gives (packet, csrcs, extension, padding)"
    right = type(found) is tuple and len(found) == 4 and type(found[0]) is Packet
    bench.holds(right, what, "a row of four, with a Packet", shown(found), "row")
    packet, csrcs, extension, padding = found
    csrcs = tuple(csrcs) if isinstance(csrcs, list | tuple) else csrcs
    extension = tuple(extension) if isinstance(extension, list) else extension
    return packet, csrcs, extension, padding


def _same_packet(bench: Bench, found: Packet, wanted: Packet) -> None:
    for name, width in (("seq", 2), ("timestamp", 4), ("ssrc", 4)):
        value = getattr(wanted, name)
        turned = int.from_bytes(value.to_bytes(width, "big"), "little")
        bench.equal(getattr(found, name), value, f"its {name}", "fields", [(turned, "endian")])
    for name in ("marker", "payload_type"):
        bench.equal(getattr(found, name), getattr(wanted, name), f"its {name}", "marker")
    bench.equal(found.payload, wanted.payload, "its payload", "payload")


def back(bench: Bench) -> None:
    """`unpack` of plain packets, field by field."""
    for marker, size in ((True, 20), (False, 160)):
        packet = some_packet(bench.rng, size)._replace(marker=marker)
        found, csrcs, extension, padding = row_of(bench, bench.call("unpack", datagram(packet)))
        _same_packet(bench, found, packet)
        what = "no CSRC, no extension, no padding"
        bench.equal((csrcs, extension, padding), ((), None, 0), what, "row")


def some_extras(rng: Random) -> list[tuple[tuple[int, ...], Extension | None, int]]:
    """Each alone, then all of them."""
    csrcs = tuple(number(rng, 4) for _ in range(rng.randrange(2, 6)))
    extension = number(rng, 2), rng.randbytes(4 * rng.randrange(2, 5))
    padding = rng.randrange(3, 12)
    return [
        (csrcs, None, 0), ((), extension, 0), ((), None, padding), (csrcs, extension, padding),
        ((csrcs * 15)[:15], (number(rng, 2), b""), 1),
    ]  # fmt: skip


def extras(bench: Bench) -> None:
    """CSRCs, extension and padding, both ways."""
    for csrcs, extension, padding in some_extras(bench.rng):
        packet = some_packet(bench.rng)
        wanted = datagram(packet, csrcs, extension, padding)
        found = bench.call("pack", packet, csrcs, extension, padding)
        bench.holds(type(found) is bytes, "pack gives bytes", "bytes", shown(found), "bytes")
        at = 12 + 4 * len(csrcs)
        to = at if extension is None else at + 4 + len(extension[1])
        bench.equal(found[:1], wanted[:1], "byte 0 says what follows", "flags")
        bench.equal(found[12:at], wanted[12:at], "the CSRCs follow the header", "csrc")
        bench.equal(found[at:to], wanted[at:to], "then the extension", "words")
        what = "then the payload, and the padding"
        bench.equal(found[to:], wanted[to:], what, "padding")
        row = row_of(bench, bench.call("unpack", wanted))
        bench.equal(row[1], csrcs, "its CSRCs, a row of numbers", "csrc")
        bench.equal(row[2], extension, "its extension: (profile, bytes), or None", "words")
        bench.equal(row[3], padding, "how many bytes are padding", "padding")
        bench.equal(row[0].payload, packet.payload, "its payload, and nothing else", "padding")


def _refused(
    bench: Bench, data: bytes, kind: str, fields: Sequence[str], what: str, hint: str
) -> None:
    outcome = bench.attempt("unpack", data)
    raised = bench.refused(outcome, kind, f"{what} is {kind}", hint, {})
    named = raised.fields.get("field")
    bench.holds(named in fields, "the error names the field", fields[0], shown(named), "field")


def refuses(bench: Bench) -> None:
    """What is wrong is refused by class and field, and what is empty is not."""
    packet, rng = some_packet(bench.rng), bench.rng
    csrcs, extension = (number(rng, 4), number(rng, 4)), (number(rng, 2), rng.randbytes(8))
    for empty in (datagram(packet._replace(payload=b"")), datagram(packet, (), None, 9)):
        outcome = bench.attempt("unpack", empty)
        if isinstance(outcome, Raised) and outcome.kind in ("Truncated", "Malformed"):
            bench.fail("an empty payload and padding are right", "a row", str(outcome), "accepts")
        bench.returned(outcome)
    plain = datagram(packet)
    for cut in (11, 3, 0):
        what = f"a packet cut after {cut} bytes"
        _refused(bench, plain[:cut], "Truncated", ["header"], what, "short")
    for version in (0, 1, 3):
        data = bytes([version << 6]) + plain[1:]
        _refused(bench, data, "Malformed", ["V"], f"version {version}", "wrong-version")
    many = datagram(packet._replace(payload=b""), csrcs)
    _refused(bench, many[:17], "Truncated", ["CSRC"], "a CSRC cut in two", "cut")
    more = datagram(packet._replace(payload=b""), csrcs, extension)
    for cut, what in ((22, "the head of an extension, cut"), (len(more) - 1, "an extension, cut")):
        _refused(bench, more[:cut], "Truncated", ["extension"], what, "cut")
    padded = bytes([plain[0] | 0x20]) + plain[1:]
    for count in (0, len(plain) - 11, 255):
        data = padded[:-1] + bytes([count])
        what = f"{count} bytes of padding in {len(packet.payload)}"
        _refused(bench, data, "Malformed", ["padding"], what, "padding-lies")


@lru_cache(maxsize=1)
def captured() -> tuple[tuple[bytes, int], ...]:
    """RTP datagrams of the shipped capture, and when each came."""
    from labkit.lab.answers.registry import the_voice
    from labkit.lab.captures import capture

    packets = [each.packet for each in the_voice(capture("07_rtp_rtcp")).arrived]
    return tuple((p.data[p.found["RTP"].parts[0].start // 8 :], p.now) for p in packets)


@lru_cache(maxsize=1)
def simulated() -> tuple[tuple[bytes, int], ...]:
    """The same of a call with uncompressed sound."""
    from labkit.codec.pcm import Pcm
    from labkit.lab.call import Call
    from labkit.lab.sources import speech

    call = Call(speech(3), codec=Pcm(16_000), link="voip-5", seed=3).simulate(capture=True)
    return tuple((c.data, c.now) for c in call.tap.arrived if not 192 <= c.data[1] <= 223)


def by_hand(data: bytes) -> Packet:
    """A packet without extras."""
    _, second, seq, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
    return Packet(seq, timestamp, data[12:], second >= 128, second % 128, ssrc)


def of_capture(bench: Bench) -> None:
    """Packets of the shipped capture and of a simulated call, both ways."""
    for source, name in ((captured(), "the capture 07_rtp_rtcp"), (simulated(), "a call")):
        chosen = [data for data, _ in bench.rng.sample(source, 20)]
        bench.step(f"unpack and pack 20 packets of {name}")
        rows = each(bench, "unpack", [(data,) for data in chosen])
        for data, found in zip(chosen, rows, strict=True):
            packet = row_of(bench, found)[0]
            bench.equal(packet, by_hand(data), f"a packet of {name}", "capture")
        packed = each(bench, "pack", [(by_hand(data),) for data in chosen])
        for data, again in zip(chosen, packed, strict=True):
            bench.equal(again, data, f"a packet of {name}, packed again", "capture")


def each(bench: Bench, name: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call once with each row of arguments, in one journey; what was returned."""
    outcomes = bench.subject.ask([Ask("call", name, args) for args in calls])
    return [bench.returned(outcome) for outcome in outcomes]

"""Week 7: the RTP header, what came and how evenly, the receiver report, and a voice in all of it.

What is expected of a header is packed by hand with `struct`, and what is expected of the counting
is computed by `labkit.checks.arrivals` over whole lists, and not by the modules that the student
rebuilds; a test holds both together. In the last exercise the student's header goes into the kit's
pipeline (`labkit.lab.ownheader`): a call is made twice, once to learn which packets are sent, and
again with the student's bytes on the wire, so that all questions make two journeys.
"""

import struct
from collections.abc import Collection, Sequence
from functools import lru_cache
from random import Random
from typing import Any, Final

import numpy as np

from labkit.checks.arrivals import Row, counted, jitter_of, stream
from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part
from labkit.checks.plain import shown
from labkit.checks.subject import Ask, Raised
from labkit.words.errors import LabError
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32, ahead16
from labkit.words.units import ms

# 07.1: the header -------------------------------------------------------------------------------

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


def _number(rng: Random, size: int) -> int:
    """In which no two bytes are alike, and none is 0."""
    return int.from_bytes(bytes(rng.sample(range(1, 256), size)), "big")


def _packet(rng: Random, size: int = 20) -> Packet:
    payload_type = rng.choice((0, 8, rng.randrange(65, 128)))
    marker = rng.random() < 0.5
    seq, timestamp, ssrc = (_number(rng, width) for width in (2, 4, 4))
    return Packet(seq, timestamp, rng.randbytes(size), marker, payload_type, ssrc)


def _layout(bench: Bench) -> None:
    for marker, size in ((False, 20), (True, 160), (False, 0)):
        packet = _packet(bench.rng, size)._replace(marker=marker)
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


def _row(bench: Bench, found: Any) -> tuple[Packet, tuple[Any, ...], Any, int]:
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


def _back(bench: Bench) -> None:
    for marker, size in ((True, 20), (False, 160)):
        packet = _packet(bench.rng, size)._replace(marker=marker)
        found, csrcs, extension, padding = _row(bench, bench.call("unpack", datagram(packet)))
        _same_packet(bench, found, packet)
        what = "no CSRC, no extension, no padding"
        bench.equal((csrcs, extension, padding), ((), None, 0), what, "row")


def _some_extras(rng: Random) -> list[tuple[tuple[int, ...], Extension | None, int]]:
    """Each alone, then all of them."""
    csrcs = tuple(_number(rng, 4) for _ in range(rng.randrange(2, 6)))
    extension = _number(rng, 2), rng.randbytes(4 * rng.randrange(2, 5))
    padding = rng.randrange(3, 12)
    return [
        (csrcs, None, 0), ((), extension, 0), ((), None, padding), (csrcs, extension, padding),
        ((csrcs * 15)[:15], (_number(rng, 2), b""), 1),
    ]  # fmt: skip


def _extras(bench: Bench) -> None:
    for csrcs, extension, padding in _some_extras(bench.rng):
        packet = _packet(bench.rng)
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
        row = _row(bench, bench.call("unpack", wanted))
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


def _refuses(bench: Bench) -> None:
    packet, rng = _packet(bench.rng), bench.rng
    csrcs, extension = (_number(rng, 4), _number(rng, 4)), (_number(rng, 2), rng.randbytes(8))
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
def _captured() -> tuple[tuple[bytes, int], ...]:
    """RTP datagrams of the shipped capture, and when each came."""
    from labkit.lab.answers.registry import the_voice
    from labkit.lab.captures import capture

    packets = [each.packet for each in the_voice(capture("07_rtp_rtcp")).arrived]
    return tuple((p.data[p.found["RTP"].parts[0].start // 8 :], p.now) for p in packets)


@lru_cache(maxsize=1)
def _simulated() -> tuple[tuple[bytes, int], ...]:
    """The same of a call with uncompressed sound."""
    from labkit.codec.pcm import Pcm
    from labkit.lab.call import Call
    from labkit.lab.sources import speech

    call = Call(speech(3), codec=Pcm(16_000), link="voip-5", seed=3).simulate(capture=True)
    return tuple((c.data, c.now) for c in call.tap.arrived if not 192 <= c.data[1] <= 223)


def _by_hand(data: bytes) -> Packet:
    """A packet without extras."""
    _, second, seq, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
    return Packet(seq, timestamp, data[12:], second >= 128, second % 128, ssrc)


def _header_of_capture(bench: Bench) -> None:
    for source, name in ((_captured(), "the capture 07_rtp_rtcp"), (_simulated(), "a call")):
        chosen = [data for data, _ in bench.rng.sample(source, 20)]
        bench.step(f"unpack and pack 20 packets of {name}")
        rows = _each(bench, "unpack", [(data,) for data in chosen])
        for data, found in zip(chosen, rows, strict=True):
            packet = _row(bench, found)[0]
            bench.equal(packet, _by_hand(data), f"a packet of {name}", "capture")
        packed = _each(bench, "pack", [(_by_hand(data),) for data in chosen])
        for data, again in zip(chosen, packed, strict=True):
            bench.equal(again, data, f"a packet of {name}, packed again", "capture")


def _each(bench: Bench, name: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    outcomes = bench.subject.ask([Ask("call", name, args) for args in calls])
    return [bench.returned(outcome) for outcome in outcomes]


# 07.2: what came, and how evenly ----------------------------------------------------------------

RECEPTION: Final = "Reception"


FIGURES: Final = ("fraction lost", "cumulative number lost", "extended highest number", "jitter")
Figures = tuple[Any, Any, Any, Any]


def _ask(
    bench: Bench, rate: int, rows: Sequence[Row], after: Collection[int] = ()
) -> list[Figures]:
    """Add these packets; what `report` says after some of them, or after the last alone."""
    numbers = ", ".join(str(row.seq) for row in rows[:12]) + (" …" if len(rows) > 12 else "")
    bench.step(f"{RECEPTION}({rate}), then add for {len(rows)} packets: {numbers}")
    handle = bench.subject.new_handle()
    asks, places = [Ask("make", RECEPTION, (rate,), into=handle)], []
    for index, row in enumerate(rows):
        asks.append(Ask("call", "add", tuple(row), handle))
        if index in (after or (len(rows) - 1,)):
            places.append(len(asks))
            asks.append(Ask("call", "report", (), handle))
    bench.step(f"report(), {len(places)} times")
    outcomes = bench.subject.ask(asks)
    bench.returned(outcomes[-1])
    return [_four(bench, bench.returned(outcomes[place])) for place in places]


def _four(bench: Bench, found: Any) -> Figures:
    right = type(found) in (tuple, list) and len(found) == 4
    right = right and all(type(each) in (int, float) for each in found)
    what = "report gives four numbers: fraction, lost, highest, jitter"
    bench.holds(right, what, "four numbers", shown(found), "four")
    return tuple(found)


def _extends(bench: Bench) -> None:
    first = 65_536 - bench.rng.randrange(4, 7)
    rows = stream(bench.rng, first, 14, swapped=(65_535 - first, 9))
    answers = _ask(bench, 8000, rows, range(14))
    for row, extended, (_, _, found, _) in zip(rows, counted(rows).extended, answers, strict=True):
        what = f"after {row.seq}, the extended highest number"
        mistakes = [(first + ahead16(row.seq, first), "highest"), (row.seq, "cycles")]
        bench.equal(found, extended, what, "cycles", mistakes)


def _lost(bench: Bench) -> None:
    first = bench.rng.randrange(100, 60_000)
    gone = bench.rng.sample(range(3, 27), 5)
    rows = stream(bench.rng, first, 30, gone=gone, twice=(1, 28), swapped=(1,))
    ((_, lost, _, _),) = _ask(bench, 8000, rows)
    what = "30 were sent, five are missing, two came twice: lost"
    bench.equal(lost, 3, what, "copies", [(5, "copies"), (2, "one")])
    rows = stream(bench.rng, first, 12, twice=(2, 5, 6))
    ((_, lost, _, _),) = _ask(bench, 8000, rows)
    bench.equal(lost, -3, "none is missing, three came twice: lost", "negative")


def _fraction(bench: Bench) -> None:
    first = bench.rng.randrange(100, 60_000)
    gone = [*bench.rng.sample(range(1, 39), 10), *bench.rng.sample(range(41, 79), 3)]
    rows = stream(bench.rng, first, 120, gone=gone, twice=(85, 90))
    ends = [i for i, row in enumerate(rows) if ahead16(row.seq, first) in (39, 79, 119)]
    answers = _ask(bench, 8000, rows, ends)
    wanted = (10, 10 / 40), (3, 13 / 80), (-2, 11 / 120)
    for (found, _, _, _), (lost, so_far) in zip(answers, wanted, strict=True):
        share = max(lost, 0) / 40
        what = f"{lost} lost of 40 since it was asked before, in 1/256"
        mistakes = [
            (share, "scale"),
            (100 * share, "scale"),
            (int(256 * so_far), "since"),
            (256 * lost // 40, "below-zero"),
            (int(256 * lost / 40), "below-zero"),
        ]
        mistakes = [each for each in mistakes if each[0] != int(256 * share)]
        bench.equal(found, int(256 * share), what, "scale", mistakes)


def _jitter(bench: Bench) -> None:
    for rate, wraps in ((48_000, False), (8000, False), (16_000, True)):
        first = bench.rng.randrange(100, 60_000)
        start = (1 << 32) - rate // 2 if wraps else _number(bench.rng, 3)
        rows = stream(bench.rng, first, 60, rate=rate, start=start, swapped=(30,), gone=(7, 20))
        ((_, _, _, found),) = _ask(bench, rate, rows)
        wanted = jitter_of(rows, rate)
        if _is_near(found, wanted):
            continue
        what = f"the jitter, in ticks of a clock of {rate} Hz"
        signed = jitter_of(rows, rate, sign=True)
        mistakes = [
            (signed, "sign"),
            (abs(signed), "sign"),
            (jitter_of(rows, rate, share=1 / 8), "sixteenth"),
            (jitter_of(rows, rate, share=1), "sixteenth"),
            (wanted * 1000 / rate, "unit"),
            (wanted / rate, "unit"),
            (wanted * 1e9 / rate, "unit"),
        ]
        close = (hint for value, hint in mistakes if _alike(found, value))
        beyond = "wrap" if wraps else "first"
        bench.fail(
            what,
            f"about {wanted:.0f}",
            shown(found),
            next(close, beyond if found > 10 * wanted else "formula"),
        )


def _alike(found: Any, value: float) -> bool:
    """The same number, rounded down or not."""
    return bool(found == int(value) or abs(found - value) <= 0.01 * abs(value))


def _is_near(found: Any, ticks: float) -> bool:
    """A.8's integers round at each packet, and may be two ticks off at the end."""
    return bool(abs(found - ticks) <= 2 + 0.01 * ticks)


def _strangers(bench: Bench) -> None:
    first = bench.rng.randrange(10_000, 40_000)
    rows = stream(bench.rng, first, 150)
    top = add16(first, 149)
    now, timestamp = rows[-1].now, rows[-1].timestamp
    steps = ((3000, False), (-100, False), (32_000, False), (-99, True), (2999, True))
    asks = [("add", *row) for row in rows]
    asks += [("add", add16(top, step), timestamp, now) for step, _ in steps]
    handle = bench.make(RECEPTION, 8000)
    bench.step(f"add for 150 packets up to {top}")
    outcomes = handle.run([*asks, ("report",)])
    for (step, belongs), outcome in zip(steps, outcomes[150:155], strict=False):
        what = f"add says whether {step:+d} from the highest belongs to the stream"
        hint = "limits" if abs(step) in (99, 100, 2999, 3000) else "stranger"
        found = bench.returned(outcome)
        bench.holds(type(found) is bool, what, "True or False", shown(found), "stranger")
        bench.equal(found, belongs, what, hint)
    _, lost, extended, _ = _four(bench, bench.returned(outcomes[-1]))
    wanted = 2999 - 2, first + 149 + 2999
    bench.equal((lost, extended), wanted, "strangers count for nothing: lost, highest", "untouched")


def _rows(source: Sequence[tuple[bytes, int]]) -> list[Row]:
    packets = [(_by_hand(data), now) for data, now in source]
    return [Row(packet.seq, packet.timestamp, now) for packet, now in packets]


def _reception_of_capture(bench: Bench) -> None:
    for source, rate, name in (
        (_captured(), 48_000, "the capture 07_rtp_rtcp"),
        (_simulated(), 16_000, "a call"),
    ):
        end = bench.rng.randrange(len(source) * 3 // 4, len(source))
        bench.step(f"the first {end} packets of {name}")
        _tells(
            bench, _ask(bench, rate, _rows(source)[:end])[0], _rows(source)[:end], rate, "capture"
        )


def _tells(bench: Bench, found: Figures, rows: Sequence[Row], rate: int, hint: str) -> None:
    """All four figures of a whole stream."""
    right = counted(rows)
    wanted = max(right.lost, 0) * 256 // right.expected, right.lost, right.extended[-1]
    for name, value, true in zip(FIGURES, found, wanted, strict=False):
        bench.equal(value, true, name, hint)
    ticks = jitter_of(rows, rate)
    what = "the jitter, in ticks"
    bench.holds(_is_near(found[3], ticks), what, f"about {ticks:.0f}", shown(found[3]), hint)


# 07.3: the receiver report ----------------------------------------------------------------------

Block = tuple[int, int, int, int, int, int, int]


def block_bytes(block: Block) -> bytes:
    """A report block as it should be."""
    ssrc, fraction, lost, *rest = block
    lost = max(-0x800000, min(lost, 0x7FFFFF))
    three = struct.pack("!i", lost)[1:]  # the upper of four bytes only repeats the sign
    return struct.pack("!IB", ssrc, fraction) + three + struct.pack("!IIII", *rest)


def _some_block(rng: Random, lost: int | None = None) -> Block:
    some = _number(rng, 2) if lost is None else lost
    numbers = [_number(rng, 4) for _ in range(5)]
    return numbers[0], rng.randrange(1, 256), some, numbers[1], numbers[2], numbers[3], numbers[4]


def _is_block(bench: Bench, block: Block, hint: str) -> None:
    wanted, found = block_bytes(block), bench.call("report_block", *block)
    what = "a report block has 24 bytes"
    right = type(found) is bytes and len(found) == 24
    size = len(found) if type(found) is bytes else shown(found)
    bench.holds(right, what, "24", f"{size}", "size")
    names = (("SSRC", 0, 4), ("fraction lost", 4, 5), ("cumulative number of packets lost", 5, 8),
             ("highest sequence number", 8, 12), ("jitter", 12, 16), ("LSR", 16, 20),
             ("DLSR", 20, 24))  # fmt: skip
    for name, start, end in names:
        field = wanted[start:end]
        mistakes = [(field[::-1], "endian")] if len(set(field)) > 1 else []
        idea = hint if name.startswith("cumul") else "fields"
        bench.equal(found[start:end], field, f"bytes {start} to {end - 1}: {name}", idea, mistakes)


def _reads_block(bench: Bench, block: Block, hint: str) -> None:
    found = bench.call("read_block", block_bytes(block))
    found = tuple(found) if isinstance(found, list) else found
    bench.equal(found, block, "read_block gives the seven values back", hint)


def _block(bench: Bench) -> None:
    for _ in range(2):
        block = _some_block(bench.rng)
        _is_block(bench, block, "three-bytes")
        _reads_block(bench, block, "fields")


def _signed(bench: Bench) -> None:
    for lost in (-1, -bench.rng.randrange(2, 1000), -0x800000, 0x7FFFFF):
        block = _some_block(bench.rng, lost)
        _is_block(bench, block, "signed")
        _reads_block(bench, block, "signed")
    for lost in (0x800000 + bench.rng.randrange(1000), -0x800000 - bench.rng.randrange(1, 1000)):
        outcome = bench.attempt("report_block", *_some_block(bench.rng, lost))
        if isinstance(outcome, Raised) and outcome.kind in ("error", "OverflowError"):
            bench.fail("what does not fit is cut to what does", "bytes", str(outcome), "clamp")
        found = bench.returned(outcome)
        limit = b"\x7f\xff\xff" if lost > 0 else b"\x80\x00\x00"
        right = type(found) is bytes and found[5:8] == limit
        what = f"{lost} does not fit, and is cut to what does: bytes 5 to 7"
        bench.holds(right, what, limit.hex(" "), shown(found), "clamp")


def _trip(
    bench: Bench, arrived: int, lsr: int, dlsr: int, wanted: float, hint: str = "formula"
) -> None:
    found = bench.call("round_trip", arrived, lsr, dlsr)
    middle, others = arrived >> 16 & 0xFFFFFFFF, (arrived & 0xFFFFFFFF, arrived >> 32, arrived)
    mistakes = [
        (wanted / 1000, "unit"),
        (wanted * 65_536 / 1000, "unit"),
        (wanted + dlsr * 1000 / 65_536, "held"),
        (wanted + 2 * dlsr * 1000 / 65_536, "held"),
        *((add32(other, -lsr - dlsr) * 1000 / 65_536, "middle") for other in others),
        *(((other - lsr - dlsr) * 1000 / 65_536, "middle") for other in others),
        ((middle - lsr - dlsr) * 1000 / 65_536, "circle"),
        ((((arrived >> 16) - lsr - dlsr) * 1000 / 65_536), "circle"),
    ]
    mistakes = [m for m in mistakes if abs(m[0] - wanted) > 1e-3]
    what = "the round trip, in milliseconds"
    bench.near(found, wanted, what, hint, mistakes, room=1e-5)


def _round_trip(bench: Bench) -> None:
    _trip(bench, 0xB44D_B710_8000_0000, 0xB705_2000, 0x0005_4000, 6125.0)  # RFC 3550, figure 2
    for _ in range(3):
        middle = bench.rng.randrange(1 << 30, 1 << 31)
        dlsr, trip = bench.rng.randrange(1 << 15, 1 << 18), bench.rng.randrange(1000, 60_000)
        arrived = (_number(bench.rng, 2) << 32 | middle) << 16 | bench.rng.randrange(1 << 16)
        _trip(bench, arrived, middle - dlsr - trip, dlsr, trip * 1000 / 65_536)
    outcome = bench.attempt("round_trip", 0xB44D_B710_8000_0000, 0, 0)
    what = "LSR is 0 when no report has come: then nobody knows"
    bench.equal(bench.returned(outcome), None, what, "never")
    dlsr, trip = bench.rng.randrange(1 << 15, 1 << 18), bench.rng.randrange(20_000, 60_000)
    middle = bench.rng.randrange(1, 10_000)  # the clock's lower half has just begun again
    arrived = (_number(bench.rng, 2) << 32 | middle) << 16
    lsr = middle - dlsr - trip + (1 << 32)
    _trip(bench, arrived, lsr, dlsr, trip * 1000 / 65_536, "circle")


# 07.4: a voice in all of it ---------------------------------------------------------------------


CALLS: Final = 6
"""Networks' dice to choose from: each call is simulated once, whoever is checked."""


def _a_call(number: int, **more: Any) -> Any:
    from labkit.codec.g711 import Pcmu
    from labkit.core.delaypolicy import Fixed
    from labkit.lab.call import Call
    from labkit.lab.links import link
    from labkit.lab.sources import speech

    words = {"delay": "60ms", "jitter": "15ms", "distribution": "normal"}
    network = link("a bad line", loss=f"{3 + number % 3}%", **words)
    return Call(
        speech(2.4), codec=Pcmu(), link=network, policy=Fixed(ms(60)), seed=700 + number, **more
    )


@lru_cache(maxsize=CALLS)
def _with_ours(number: int) -> Any:
    """The call with the kit's header."""
    return _a_call(number).simulate(capture=True)


def _media(crossings: Sequence[Any]) -> list[Any]:
    return [each for each in crossings if not 192 <= each.data[1] <= 223]


def _voice(bench: Bench) -> float:
    from labkit.lab.ownheader import OwnHeader

    number = bench.rng.randrange(CALLS)
    plain = _with_ours(number)
    packets = [_by_hand(each.data) for each in _media(plain.tap.sent)]
    bench.step(f"a call over {plain.link.title}: pack its {len(packets)} packets")
    packed = _each(bench, "pack", [(packet,) for packet in packets])
    right = all(type(data) is bytes and 0 < len(data) <= 1200 for data in packed)
    bench.holds(right, "each is a datagram of at most 1200 bytes", "bytes", packed[0], "voice")
    bench.step("and unpack what travelled")
    rows = _each(bench, "unpack", [(data,) for data in packed])
    unpacked = [_row(bench, row)[0] for row in rows]
    header = OwnHeader(
        dict(zip(packets, packed, strict=True)).__getitem__,
        {data: (packet,) for data, packet in zip(packed, unpacked, strict=True)}.__getitem__,
    )
    try:
        mine = _a_call(number, header=header).simulate()
        if np.array_equal(mine.audio, plain.audio):
            return 1.0
        stoi = mine.stoi if mine.heard else 0.0
    except LabError as error:
        bench.fail("the session takes what you unpacked", "a call", str(error)[:200], "voice")
    if stoi < plain.stoi - 0.02:
        what = "what is heard is as good as with the kit's header"
        wanted, found = f"STOI {plain.stoi:.2f}", f"STOI {stoi:.2f}"
        bench.fail(what, wanted, found, "voice", share=max(0.0, 0.5 * stoi / plain.stoi))
    return 1.0


def _report(bench: Bench) -> None:
    """Everything of this week, one behind the other, as a receiver does it."""
    plain = _with_ours(bench.rng.randrange(CALLS))
    came = _media(plain.tap.arrived)
    bench.step(f"unpack the {len(came)} packets that came of a call")
    rows = _each(bench, "unpack", [(each.data,) for each in came])
    packets = [_row(bench, row)[0] for row in rows]
    read = [Row(p.seq, p.timestamp, c.now) for p, c in zip(packets, came, strict=True)]
    figures = _ask(bench, 8000, read)[0]
    true = [Row(p.seq, p.timestamp, c.now) for p, c in ((_by_hand(c.data), c) for c in came)]
    _tells(bench, figures, true, 8000, "report")
    fraction, lost, extended, jitter = map(int, figures)
    lsr, dlsr = _number(bench.rng, 4), _number(bench.rng, 3)
    block = packets[0].ssrc, fraction, lost, extended, jitter, lsr, dlsr
    wanted = block_bytes((_by_hand(came[0].data).ssrc, *block[1:]))
    what = "the report block on that call"
    bench.equal(bench.call("report_block", *block), wanted, what, "report")


# ------------------------------------------------------------------------------------------------

ENDIAN: Final = "The right bytes, the wrong way round: which end goes first on a network?"
HIDES: Final = (
    "labkit.wire.rtp", "labkit.wire.rtcp", "labkit.core.meters", "labkit.core.reception",
    "labkit.core.rtpsource", "labkit.core.rtpanalysis", "labkit.core.rtpsession",
    "labkit.lab.plots", "labkit.lab.answers", "labkit.lab.reports",
)  # fmt: skip

EXERCISES: Final = (
    Exercise(
        "07.1",
        "The RTP header",
        ("pack", "unpack"),
        (
            Part("layout", "Twelve bytes and a payload", 2, _layout),
            Part("back", "And back again", 1, _back),
            Part("extras", "CSRCs, extension, padding", 1, _extras),
            Part("refuses", "What is wrong is refused by name", 2, _refuses),
            Part("capture", "Packets of a capture, and of a call", 1, _header_of_capture),
        ),
        {
            "bytes": "Header and payload are both bytes, and bytes can be joined with +.",
            "version": "V is 2, in the two highest bits; the others are 0 in a plain packet.",
            "marker": "M is the highest bit of the second byte. What shares the byte with it?",
            "fields": "Compare with the drawing, a row of four bytes at a time.",
            "endian": ENDIAN,
            "payload": "Where does the header end, and where the payload?",
            "row": "Four values: a Packet, a row of CSRCs, (profile, bytes) or None, a number.",
            "flags": "P, X and CC say what follows. Which bits of the first byte are they?",
            "csrc": "Four bytes each, right behind the header.",
            "words": "In what does the extension count its length, and what does it not count?",
            "padding": "The last byte says how many bytes are padding. Does it count itself?",
            "accepts": "Nothing to hear is no error: a payload may be empty.",
            "short": "Look at the length before you look into the bytes.",
            "wrong-version": "In another version every byte may mean something else.",
            "cut": "It was promised. Is it there, to its last byte?",
            "padding-lies": "The last byte may say anything. How many bytes can it be at most?",
            "field": "The error is told the field first: header, V, CSRC, extension or padding.",
            "capture": "It holds for packets that were made up. What is different in real ones?",
        },
        HIDES,
    ),
    Exercise(
        "07.2",
        "What came, and how evenly",
        (RECEPTION,),
        (
            Part("extends", "The extended highest number", 1, _extends),
            Part("lost", "Expected and lost", 1, _lost),
            Part("fraction", "The fraction lost since the last report", 1, _fraction),
            Part("jitter", "The interarrival jitter", 1, _jitter),
            Part("strangers", "Numbers from far away", 1, _strangers),
            Part("capture", "All of it, of a capture and of a call", 1, _reception_of_capture),
        ),
        {
            "cycles": "How often has the number gone through zero, and in which direction?",
            "highest": "A packet that comes late is not the highest.",
            "four": "In the order of the block: fraction lost, lost in all, highest, jitter.",
            "one": "From 7 to 9 there are three packets.",
            "copies": "A.3 counts everything that came; a copy came as well.",
            "negative": "More may come than was expected. What is expected less received then?",
            "scale": "A whole number of 256ths, rounded down.",
            "since": "Of which packets? Remember what you knew when you were asked before.",
            "below-zero": "A fraction is never negative, though copies may outnumber the losses.",
            "formula": "Section 6.4.1 and A.8 have it in one line; begin with J = 0.",
            "first": "The first packet has no packet before it, and so no difference.",
            "sign": "Is a packet that came earlier than expected less jitter, or jitter too?",
            "sixteenth": "By which part of the difference does J move, at each packet?",
            "unit": "In ticks: `now` is in nanoseconds, and the clock's rate is known.",
            "wrap": "Timestamps begin again, too. `labkit.words.seqnum` knows how to subtract.",
            "stranger": "Who is thousands of places away belongs to another stream: say False.",
            "limits": "A.1: 3000 ahead and 100 behind are too far, one less is not.",
            "untouched": "What does not belong to the stream changes no figure of it.",
            "capture": "The class does on made-up streams what it should. What of real ones?",
        },
        HIDES,
    ),
    Exercise(
        "07.3",
        "The receiver report",
        ("report_block", "read_block", "round_trip"),
        (
            Part("block", "Twenty-four bytes, and back", 1, _block),
            Part("signed", "A number of 24 bits with a sign", 1, _signed),
            Part("trip", "The round trip, without a common clock", 2, _round_trip),
        ),
        {
            "size": "Six rows of four bytes. Two of the values share one of the rows.",
            "fields": "Compare with the drawing, a row of four bytes at a time.",
            "endian": ENDIAN,
            "three-bytes": "Three bytes behind the one of the fraction; `to_bytes` takes any size.",
            "signed": "Copies make it negative. How does a number of 24 bits say that it is?",
            "clamp": "The largest and the smallest that fit stand for all beyond.",
            "formula": "A - LSR - DLSR; RFC 3550 figure 2 has an example.",
            "unit": "All three count 1/65536 of a second; milliseconds are asked for.",
            "held": "The report lay at the receiver for some time. Was that on the way?",
            "middle": "LSR is the middle of a clock of 64 bits. Take the same of A.",
            "never": "What does LSR say before the first sender report has come?",
            "circle": "The middle 32 bits begin again every 18 hours. `labkit.words.seqnum` knows.",
        },
        HIDES,
    ),
    Exercise(
        "07.4",
        "Your header carries a voice",
        ("pack", "unpack", RECEPTION, "report_block"),
        (
            Part("voice", "A voice over a bad line, in your packets", 2, _voice),
            Part("report", "And your report on it", 1, _report),
        ),
        {
            "row": "Four values: a Packet, a row of CSRCs, (profile, bytes) or None, a number.",
            "voice": "Does `unpack` give back exactly what `pack` was given, for every packet?",
            "report": "Which of the figures differs? Its exercise says what it should be.",
        },
        HIDES,
    ),
)

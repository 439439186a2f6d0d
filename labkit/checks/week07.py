"""Week 7: the RTP header, what came and how evenly, the receiver report, and a voice in all of it.

What is expected is packed by hand with `struct` (`labkit.checks.rtpheader`) and counted over whole
lists (`labkit.checks.rtpcounting`), and not by the modules that the student rebuilds; a test holds
both together. In the last exercise the student's header goes into the kit's pipeline
(`labkit.lab.ownheader`): a call is made twice, once to learn which packets are sent, and again with
the student's bytes on the wire, so that all questions make two journeys.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Any, Final

import numpy as np

from labkit.checks import rtpcounting, rtpheader
from labkit.checks.arrivals import Row
from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part
from labkit.checks.plain import shown
from labkit.checks.rtpcounting import RECEPTION, ask, tells
from labkit.checks.rtpheader import by_hand, each, number, row_of
from labkit.checks.subject import Raised
from labkit.words.errors import LabError
from labkit.words.seqnum import add32
from labkit.words.units import ms

# 07.3: the receiver report ----------------------------------------------------------------------

Block = tuple[int, int, int, int, int, int, int]


def block_bytes(block: Block) -> bytes:
    """A report block as it should be."""
    ssrc, fraction, lost, *rest = block
    lost = max(-0x800000, min(lost, 0x7FFFFF))
    three = struct.pack("!i", lost)[1:]  # the upper of four bytes only repeats the sign
    return struct.pack("!IB", ssrc, fraction) + three + struct.pack("!IIII", *rest)


def _some_block(rng: Random, lost: int | None = None) -> Block:
    some = number(rng, 2) if lost is None else lost
    numbers = [number(rng, 4) for _ in range(5)]
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
        (int(wanted), "whole"),
        (round(wanted), "whole"),
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
        arrived = (number(bench.rng, 2) << 32 | middle) << 16 | bench.rng.randrange(1 << 16)
        _trip(bench, arrived, middle - dlsr - trip, dlsr, trip * 1000 / 65_536)
    outcome = bench.attempt("round_trip", 0xB44D_B710_8000_0000, 0, 0)
    what = "LSR is 0 when no report has come: then nobody knows"
    bench.equal(bench.returned(outcome), None, what, "never")
    dlsr, trip = bench.rng.randrange(1 << 15, 1 << 18), bench.rng.randrange(20_000, 60_000)
    middle = bench.rng.randrange(1, 10_000)  # the clock's lower half has just begun again
    arrived = (number(bench.rng, 2) << 32 | middle) << 16
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

    which = bench.rng.randrange(CALLS)
    plain = _with_ours(which)
    packets = [by_hand(each.data) for each in _media(plain.tap.sent)]
    bench.step(f"a call over {plain.link.title}: pack its {len(packets)} packets")
    packed = each(bench, "pack", [(packet,) for packet in packets])
    right = all(type(data) is bytes and 0 < len(data) <= 1200 for data in packed)
    bench.holds(right, "each is a datagram of at most 1200 bytes", "bytes", packed[0], "voice")
    bench.step("and unpack what travelled")
    rows = each(bench, "unpack", [(data,) for data in packed])
    unpacked = [row_of(bench, row)[0] for row in rows]
    header = OwnHeader(
        dict(zip(packets, packed, strict=True)).__getitem__,
        {data: (packet,) for data, packet in zip(packed, unpacked, strict=True)}.__getitem__,
    )
    try:
        mine = _a_call(which, header=header).simulate()
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
    rows = each(bench, "unpack", [(each.data,) for each in came])
    packets = [row_of(bench, row)[0] for row in rows]
    read = [Row(p.seq, p.timestamp, c.now) for p, c in zip(packets, came, strict=True)]
    figures = ask(bench, 8000, read)[0]
    true = [Row(p.seq, p.timestamp, c.now) for p, c in ((by_hand(c.data), c) for c in came)]
    tells(bench, figures, true, 8000, "report")
    fraction, lost, extended, jitter = map(int, figures)
    lsr, dlsr = number(bench.rng, 4), number(bench.rng, 3)
    block = packets[0].ssrc, fraction, lost, extended, jitter, lsr, dlsr
    wanted = block_bytes((by_hand(came[0].data).ssrc, *block[1:]))
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
            Part("layout", "Twelve bytes and a payload", 2, rtpheader.layout),
            Part("back", "And back again", 1, rtpheader.back),
            Part("extras", "CSRCs, extension, padding", 1, rtpheader.extras),
            Part("refuses", "What is wrong is refused by name", 2, rtpheader.refuses),
            Part("capture", "Packets of a capture, and of a call", 1, rtpheader.of_capture),
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
            Part("extends", "The extended highest number", 1, rtpcounting.extends),
            Part("lost", "Expected and lost", 1, rtpcounting.lost),
            Part("fraction", "The fraction lost since the last report", 1, rtpcounting.fraction),
            Part("jitter", "The interarrival jitter", 1, rtpcounting.jitter),
            Part("strangers", "Numbers from far away", 1, rtpcounting.strangers),
            Part("capture", "All of it, of a capture and of a call", 1, rtpcounting.of_capture),
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
            "every": "Late packets and copies move J as well, each in its turn.",
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
            "whole": "Right, but rounded. A round trip of 0.4 ms is not one of 0 ms.",
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

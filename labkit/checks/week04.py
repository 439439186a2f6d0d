"""Week 4: what a segment carries, when to come back, what a capture tells, and who comes back.

Sizes of headers are those of RFC 9293, RFC 791 and RFC 8200, added up here by hand. The schedule
and the ends are held against the sentences that the student has; frames are packed with `struct`.
What is asked of captures is computed by `labkit.checks.segments`, which made them, and for the
shipped ones by `labkit.lab.answers`; their times are stretched, so that no figure can be learned
by heart. The last exercise is judged by what a listener gets: the student's follower decides, in
the kit's own pipeline, against servers that die as the dice want it.
"""

import struct
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import ceil
from random import Random
from typing import Any, Final

from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part
from labkit.checks.plain import shown
from labkit.checks.segments import Conversation, Segment, conversation, standstill
from labkit.checks.subject import Ask, Handle, Raised

# 04.1: what a segment carries --------------------------------------------------------------------

TCP: Final = 20
IP: Final = {4: 20, 6: 40}
OURS: Final = 12
"""Bytes of our own header."""


def _mtu(rng: Random) -> int:
    return rng.choice((576, 1280, 1420, 1492, 1500, 9000))


def padded(options: Sequence[int]) -> int:
    """All options together, filled up to whole words of four bytes (RFC 9293 section 3.1)."""
    return -(-sum(options) // 4) * 4


def room(mtu: int, version: int, options: Sequence[int]) -> int:
    """Bytes of data in a segment."""
    return mtu - IP[version] - TCP - padded(options)


def _options(rng: Random) -> list[int]:
    """Timestamps (10 bytes), and perhaps SACK with one, two or three blocks."""
    return [10, *rng.choice(([10], [18], [26]))]


def _mss(bench: Bench) -> None:
    for version in (4, 6, bench.rng.choice((4, 6))):
        mtu = _mtu(bench.rng)
        wanted = mtu - IP[version] - TCP
        mistakes = [
            (mtu - IP[10 - version] - TCP, "version"),
            (mtu - IP[version], "tcp"),
            (mtu - TCP, "tcp"),
            (wanted - 12, "offer"),
            (wanted - 14, "link"),
            (wanted - 18, "link"),
        ]
        found = bench.call("mss", mtu, version)
        bench.near(found, wanted, f"the MSS that IPv{version} leaves of {mtu}", "tcp", mistakes)


def _room(bench: Bench) -> None:
    for options in ([], [10], _options(bench.rng)):
        mtu, version = _mtu(bench.rng), bench.rng.choice((4, 6))
        wanted = room(mtu, version, options)
        most = mtu - IP[version] - TCP
        apart = most - sum(padded([each]) for each in options)
        mistakes = [
            (most, "options"),
            (most - sum(options), "words"),
            (most - padded(options[:1]), "every"),
            (apart, "together"),
            (most - sum(options) // 4 * 4, "words"),
        ]
        found = bench.call("room", mtu, version, options)
        what = f"bytes of data, with options of {options} bytes"
        bench.near(found, wanted, what, "options", mistakes)


def _segments(bench: Bench) -> None:
    mtu, version, options = _mtu(bench.rng), bench.rng.choice((4, 6)), _options(bench.rng)
    fits = room(mtu, version, options)
    for size in (fits // 2, fits, fits + 1, 3 * fits, 2 * fits + bench.rng.randrange(1, fits)):
        wanted = -(-size // fits)
        mistakes = [(size // fits + 1, "exact"), (size // fits, "rest"), (size / fits, "rest")]
        found = bench.call("segments", size, mtu, version, options)
        what = f"segments for a frame of {size} bytes"
        bench.equal(found, wanted, what, "rest", mistakes)


def _line_rate(bench: Bench) -> None:
    for frame_ms in (20, 10, 40):
        version, options = bench.rng.choice((4, 6)), _options(bench.rng)
        mtu = bench.rng.choice((576, 1500))
        size = bench.rng.choice((92, 1932, 3852))
        each = IP[version] + TCP + padded(options)
        count = ceil(size / room(mtu, version, options))
        wanted = (size + count * each) * 8 * 1000 / frame_ms
        mistakes = [
            ((size + each) * 8 * 1000 / frame_ms, "headers"),
            (size * 8 * 1000 / frame_ms, "headers"),
            ((size + count * (each - padded(options))) * 8 * 1000 / frame_ms, "headers"),
            (wanted / 8, "bits"),
            (wanted * frame_ms / 1000, "second"),
            (wanted / 1000, "second"),
            (count * mtu * 8 * 1000 / frame_ms, "full"),
        ]
        found = bench.call("line_rate", size, frame_ms, mtu, version, options)
        what = f"bits a second, a frame of {size} bytes each {frame_ms} ms"
        bench.near(found, wanted, what, "headers", mistakes)


# 04.2: when to come back, and what an end was ----------------------------------------------------

FIRST, LIMIT = 100, 1000


def _ceiling(first: int, limit: int, failures: int) -> int:
    doubled: int = first << min(failures - 1, 60)
    return min(doubled, limit)


def _waits(bench: Bench, draws: Sequence[float], first: int, limit: int) -> list[Any]:
    """What a fresh schedule says to some failures."""
    schedule = bench.make("Schedule", first, limit)
    return _failures(bench, schedule, draws)


def _failures(bench: Bench, schedule: Handle, draws: Sequence[float]) -> list[Any]:
    shortly = ", ".join(f"{draw:g}" for draw in draws[:6]) + (", …" if len(draws) > 6 else "")
    bench.step(f"failed({shortly}), one after the other")
    outcomes = schedule.run([("failed", draw) for draw in draws])
    return [bench.returned(outcome) for outcome in outcomes]


def _expect_waits(
    bench: Bench, found: Sequence[Any], draws: Sequence[float], first: int, limit: int, hint: str
) -> None:
    for failures, (wait, draw) in enumerate(zip(found, draws, strict=True), 1):
        ceiling = _ceiling(first, limit, failures)
        next_ = _ceiling(first, limit, failures + 1)
        mistakes = [
            (float(ceiling), "chance"),
            (ceiling / 2 * (1 + draw), "full"),
            (ceiling * (1 + draw), "full"),
            (draw * first * failures, "doubles"),
            (draw * next_, "begin"),
            (draw * first * 2.0 ** min(failures - 1, 60), "limit"),
            (draw * ceiling / 1000, "unit"),
            (int(draw * ceiling), "whole"),
            (round(draw * ceiling), "whole"),
        ]
        what = f"failure {failures}, draw {draw:g}: below a ceiling of {ceiling} ms"
        bench.near(wait, draw * ceiling, what, hint, mistakes)


def _doubles(bench: Bench) -> None:
    for first in (100, bench.rng.choice((50, 80, 250))):
        draws = [round(bench.rng.uniform(0.05, 0.95), 3) for _ in range(5)]
        found = _waits(bench, draws, first, 1_000_000)
        _expect_waits(bench, found, draws, first, 1_000_000, "doubles")


def _limit(bench: Bench) -> None:
    first, limit = 100, bench.rng.choice((700, 1000, 4000))
    draws = [round(bench.rng.uniform(0.05, 0.95), 3) for _ in range(12)]
    _expect_waits(bench, _waits(bench, draws, first, limit), draws, first, limit, "limit")
    bench.step("a long night: two thousand failures")
    draws = [0.5] * 2000
    found = _waits(bench, draws, first, limit)
    _expect_waits(bench, found[-1:], draws[-1:], limit, limit, "limit")


def _reset(bench: Bench) -> None:
    schedule = bench.make("Schedule", FIRST, LIMIT)
    for _ in range(2):
        draws = [round(bench.rng.uniform(0.2, 0.95), 3) for _ in range(bench.rng.randrange(3, 6))]
        found = _failures(bench, schedule, draws)
        _expect_waits(bench, found, draws, FIRST, LIMIT, "success")
        bench.call("succeeded", on=schedule)


# A conversation in frames, and its end

HEADER: Final = struct.Struct("!BBHII")
SOUND, DESCRIPTION, BYE = 0, 2, 3


def frame(kind: int, payload: bytes = b"", seq: int = 0) -> bytes:
    """A frame of ours, as week 1 draws it."""
    return HEADER.pack(1, kind, seq, 960 * seq, len(payload)) + payload


def _talk(rng: Random, frames: int = 4) -> bytes:
    said = [frame(DESCRIPTION, rng.randbytes(60))]
    said += [frame(SOUND, rng.randbytes(rng.randrange(60, 110)), seq) for seq in range(frames)]
    return b"".join(said)


def _cut(rng: Random, data: bytes, pieces: int) -> list[bytes]:
    places = sorted(rng.sample(range(1, len(data)), pieces - 1))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def _ending(
    bench: Bench, pieces: Sequence[bytes], ends: Sequence[str], wanted: str, hint: str
) -> Handle:
    """One conversation: bytes, then the ends, then a look at the state."""
    ending = bench.make("Ending")
    total = sum(map(len, pieces))
    behind = f"then {', '.join(ends)}" if ends else "no end yet"
    bench.step(f"received: {total} bytes in {len(pieces)} pieces; {behind}")
    asks = [("received", piece) for piece in pieces] + [(end,) for end in ends]
    for outcome in ending.run(asks):
        bench.returned(outcome)
    _state(bench, ending, wanted, hint)
    return ending


def _state(bench: Bench, ending: Handle, wanted: str, hint: str) -> None:
    found = bench.returned(ending.value("state"))
    mistakes = {
        ("vanished", "clean"): "goodbye",
        ("clean", "vanished"): "goodbye",
        ("cut", "vanished"): "half",
        ("cut", "clean"): "half",
        ("reset", "vanished"): "reset",
    }
    if type(found) is not str:
        bench.fail("the state is then", wanted, shown(found), "words")
    own = hint in ("payload", "first", "afterwards", "early")  # this case is about just that
    idea = hint if own else mistakes.get((wanted, found), hint)
    bench.holds(found == wanted, "the state is then", wanted, shown(found), idea)


def _ends(bench: Bench) -> None:
    rng = bench.rng
    fresh = bench.make("Ending")
    _state(bench, fresh, "open", "words")
    _ending(bench, [_talk(rng), frame(BYE)], ["fin"], "clean", "goodbye")
    _ending(bench, [_talk(rng), frame(BYE)], [], "open", "early")
    _ending(bench, [_talk(rng)], ["fin"], "vanished", "goodbye")
    half = frame(SOUND, rng.randbytes(90))[: rng.randrange(13, 90)]
    _ending(bench, [_talk(rng) + half], ["fin"], "cut", "half")
    _ending(bench, [_talk(rng)], ["rst"], "reset", "reset")


def _pieces(bench: Bench) -> None:
    rng = bench.rng
    talk = _talk(rng) + frame(BYE)
    _ending(bench, [bytes([byte]) for byte in talk], ["fin"], "clean", "pieces")
    _ending(bench, _cut(rng, _talk(rng), 7), ["fin"], "vanished", "pieces")
    header = frame(SOUND, rng.randbytes(90))[: rng.randrange(1, 12)]
    _ending(bench, _cut(rng, _talk(rng) + header, 5), ["fin"], "cut", "half")
    tricky = frame(SOUND, frame(BYE) * 5)  # sound may look like anything
    _ending(bench, _cut(rng, _talk(rng) + tricky, 4), ["fin"], "vanished", "payload")


def _final(bench: Bench) -> None:
    rng = bench.rng
    _ending(bench, [_talk(rng)], ["fin", "rst"], "vanished", "first")
    _ending(bench, [_talk(rng)], ["rst", "fin"], "reset", "first")
    ending = _ending(bench, [_talk(rng), frame(BYE)], ["rst"], "clean", "afterwards")
    bench.call("fin", on=ending)
    _state(bench, ending, "clean", "first")
    ending = _ending(bench, [_talk(rng)], ["fin"], "vanished", "first")
    bench.call("received", frame(BYE), on=ending)
    bench.call("fin", on=ending)
    _state(bench, ending, "vanished", "first")


# 04.3: what a capture tells ----------------------------------------------------------------------


def _asked(bench: Bench, name: str, segments: list[Segment], whose: str) -> Any:
    bench.step(f"{name}({len(segments)} segments {whose})")
    return bench.returned(bench.subject.call(name, segments))


def _same_pairs(found: Any, wanted: Sequence[tuple[float, float]]) -> bool:
    if type(found) is not list or len(found) != len(wanted):
        return False
    for pair, right in zip(found, wanted, strict=True):
        if type(pair) not in (tuple, list) or len(pair) != 2:
            return False
        if not all(
            type(v) in (int, float) and abs(v - r) < 0.01 for v, r in zip(pair, right, strict=True)
        ):
            return False
    return True


def _expect_closed(
    bench: Bench, segments: list[Segment], wanted: list[tuple[float, float]], whose: str, hint: str
) -> None:
    found = _asked(bench, "closed", segments, whose)
    what = "when the client's window was closed, from and to, in ms"
    if _same_pairs(found, wanted):
        return
    bench.fail(what, shown(wanted), shown(found), _why_closed(segments, wanted, found, hint))


def _why_closed(
    segments: list[Segment], wanted: list[tuple[float, float]], found: Any, hint: str
) -> str:
    """Which hint helps."""
    if type(found) is not list:
        return "pairs"
    zeros = [s[0] for s in segments if s[1] and s[6] == 0 and "RST" not in s[2]]
    last = [max(z for z in zeros if z < end) for _, end in wanted]
    if wanted and _same_pairs(found, [(b, z) for (b, _), z in zip(wanted, last, strict=True)]):
        return "opens"
    if wanted and _same_pairs(found, [(z, e) for z, (_, e) in zip(last, wanted, strict=True)]):
        return "first-zero"
    resets = {s[0] for s in segments if "RST" in s[2]}
    pairs = [pair for pair in found if type(pair) in (tuple, list) and len(pair) == 2]
    if any(type(begin) in (int, float) and begin in resets for begin, _ in pairs):
        return "gone"
    return "opens" if len(pairs) > len(wanted) else hint


def _closed(bench: Bench) -> None:
    for closings, rst in ((1, 0), (0, 0), (2, 3)):
        made = conversation(bench.rng, lost=1, closed=closings, rst=rst)
        _expect_closed(bench, made.segments, made.closed, "of a made-up capture", "pairs")


def _expect_again(bench: Bench, segments: list[Segment], wanted: list[int], whose: str) -> None:
    found = _asked(bench, "sent_again", segments, whose)
    data = [s for s in segments if not s[1] and s[5]]
    highest, all_ = 0, []
    for s in segments:
        if not s[1] and "SYN" not in s[2]:
            if s[3] < highest:
                all_.append(s[3])
            highest = max(highest, s[3] + s[5])
    copies = [s[3] for s in data]
    doubled = [seq for seq in copies if copies.count(seq) > 1]
    each_once = [seq for at, seq in enumerate(wanted) if seq not in wanted[:at]]
    lower = [b[3] for a, b in pairwise(data) if b[3] <= a[3]]
    mistakes: list[tuple[Any, str]] = [
        (all_, "probe"),
        (each_once, "every-time"),
        (sorted(each_once), "every-time"),
        (doubled, "first-copy"),
        (lower, "before"),
    ]
    mistakes = [(wrong, idea) for wrong, idea in mistakes if wrong != wanted]
    what = "the sequence number of each segment with data that the server sent again"
    bench.equal(found, wanted, what, "before", mistakes)


def _again(bench: Bench) -> None:
    for lost, twice, pairs, closed in ((3, 1, 0, 0), (1, 1, 0, 1), (0, 0, 2, 0), (0, 0, 0, 1)):
        made = conversation(bench.rng, lost=lost, twice=twice, pairs=pairs, closed=closed)
        _expect_again(bench, made.segments, made.again, "of a made-up capture")


def _expect_standstill(bench: Bench, segments: list[Segment], whose: str) -> None:
    found = _asked(bench, "standstill", segments, whose)
    wanted = standstill(segments)
    acks = [s[0] for s in segments if s[1]]
    data = [s[0] for s in segments if not s[1] and s[5]]
    mistakes = [
        (max(b - a for a, b in pairwise(acks)), "rise"),
        (max(b - a for a, b in pairwise(data)), "whose"),
        (wanted / 1000, "milliseconds"),
    ]
    what = "the longest time for which the client's acknowledgement stood still, in ms"
    mistakes = [(wrong, idea) for wrong, idea in mistakes if abs(wrong - wanted) > 0.01]
    bench.near(found, wanted, what, "rise", mistakes, room=1e-4)


def _standstill(bench: Bench) -> None:
    for lost, twice, closed in ((2, 0, 0), (1, 1, 0), (1, 0, 1)):
        made = conversation(bench.rng, lost=lost, twice=twice, closed=closed)
        _expect_standstill(bench, made.segments, "of a made-up capture")


@lru_cache(maxsize=2)
def _captured(name: str) -> tuple[Segment, ...]:
    """The segments of a shipped capture, as tuples."""
    from labkit.lab.captures import capture

    traffic = capture(name)
    return tuple(
        ((s.now - traffic.start) / 1e6, s.from_client, s.flags, s.seq, s.ack, s.size, s.window)
        for s in traffic.connections[0].segments
    )


def _stretched(bench: Bench, name: str) -> list[Segment]:
    """The same, at another speed and from another instant on."""
    factor, start = bench.rng.uniform(1.2, 3), bench.rng.uniform(0, 9e5)
    return [(round(start + factor * s[0], 3), *s[1:]) for s in _captured(name)]


def _capture(bench: Bench) -> None:
    """The shipped ones. Windows by their own scan, the rest as for the made-up."""
    segments = _stretched(bench, "04_zero_window")
    zeros = [s[0] for s in segments if s[1] and not s[6] and "RST" not in s[2]]
    opened = next(s[0] for s in segments if s[1] and s[0] > zeros[-1] and s[6])
    _expect_closed(bench, segments, [(zeros[0], opened)], "of 04_zero_window", "capture")
    segments = _stretched(bench, "04_head_of_line")
    _expect_closed(bench, segments, [], "of 04_head_of_line", "gone")
    highest, again = 0, []
    for s in segments:
        if not s[1] and s[5]:
            if s[3] < highest:
                again.append(s[3])
            highest = max(highest, s[3] + s[5])
    _expect_again(bench, segments, again, "of 04_head_of_line")
    _expect_standstill(bench, segments, "of 04_head_of_line")


# 04.4: a listener that comes back ----------------------------------------------------------------

FOLLOWER: Final = "Follower"
BACK_MS: Final = 1350
"""From the end of an outage to sound: the longest wait, and a handshake."""
MOST_ATTEMPTS: Final = 16
"""In an outage of a second and a half; the kit's own needs five or six, seldom ten."""
MOST_REFUSALS, MOST_ENDS = 60, 120
"""In all: nobody's haste makes a check long."""


def _follower(bench: Bench, pieces: Sequence[bytes], end: str, draw: float, what: str) -> Any:
    """One connection of a fresh follower; what it says to the end."""
    follower = bench.make(FOLLOWER)
    return _connection(bench, follower, pieces, end, draw, what)


def _connection(
    bench: Bench, follower: Handle, pieces: Sequence[bytes], end: str, draw: float, what: str
) -> Any:
    bench.step(f"opened(); {what}; {end}({draw:g})")
    calls = [("opened",), *(("received", piece) for piece in pieces), (end, draw)]
    return bench.returned(follower.run(calls)[-1])


def _wait_is(bench: Bench, found: Any, most: float, what: str, hint: str) -> None:
    number = type(found) in (int, float) and found >= 0
    bench.holds(
        number, what, f"up to {most:g} ms", shown(found), "gives-up" if found is None else hint
    )
    bench.holds(found <= most + 1e-6, what, f"up to {most:g} ms", shown(found), hint)


def _knows(bench: Bench) -> None:
    rng = bench.rng
    draw = round(rng.uniform(0.1, 0.9), 3)
    said = _cut(rng, _talk(rng) + frame(BYE), 3)
    found = _follower(bench, said, "fin", draw, "sound and BYE")
    bench.holds(found is None, "after a goodbye nobody comes back", "None", shown(found), "leave")
    half = frame(SOUND, rng.randbytes(90))[:40]
    cases = (
        ("fin", b"", "sound"),
        ("fin", half, "sound and half a frame"),
        ("rst", b"", "sound"),
    )
    for end, extra, how in cases:
        found = _follower(bench, [_talk(rng) + extra], end, draw, how)
        _wait_is(bench, found, FIRST, f"after {how} and {end}, it waits and comes back", "fresh")
    follower = bench.make(FOLLOWER)
    _connection(bench, follower, [_talk(rng) + half], "fin", draw, "sound and half a frame")
    bench.step(f"opened(); on this new connection sound and BYE; fin({draw:g})")
    calls = [("opened",), *(("received", piece) for piece in said), ("fin", draw)]
    outcome = follower.run(calls)[-1]
    what = "after a goodbye on the second connection nobody comes back"
    if isinstance(outcome, Raised) and outcome.kind != "NotImplementedError":
        bench.fail(what, "None", str(outcome), "anew")
    found = bench.returned(outcome)
    bench.holds(found is None, what, "None", shown(found), "anew")


def _busy(bench: Bench) -> None:
    draw = round(bench.rng.uniform(0.6, 0.95), 3)
    follower = bench.make(FOLLOWER)
    last = 0.0
    for number in range(1, 6):
        found = _connection(bench, follower, [], "fin", draw, "the server hangs up at once")
        ceiling = _ceiling(FIRST, LIMIT, number)
        what = f"hung up on {number} times, and never heard: below {ceiling} ms"
        _wait_is(bench, found, ceiling, what, "patience")
        bench.holds(found >= last - 1e-6, what, "longer than before", shown(found), "patience")
        last = found
    bench.holds(
        last > 5 * FIRST * 0.9, "the patience has grown", "over 450 ms", shown(last), "patience"
    )
    found = _connection(
        bench, follower, [_talk(bench.rng)], "fin", draw, "this time there is sound"
    )
    _wait_is(bench, found, FIRST, "after sound the first wait is short again", "fresh")


class _Asked:
    """The student's follower for the kit's pipeline. Bytes wait until there is a question."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._handle = bench.make(FOLLOWER)
        self._waiting: list[Ask] = []
        self._asked: Counter[str] = Counter()

    def opened(self) -> None:
        """Later."""
        self._waiting.append(Ask("call", "opened", (), self._handle.number))

    def received(self, data: bytes) -> None:
        """Later."""
        self._waiting.append(Ask("call", "received", (data,), self._handle.number))

    def _ask(self, name: str, draw: float) -> float | None:
        self._asked[name] += 1
        few = self._asked["refused"] <= MOST_REFUSALS
        what, wanted = "while nobody answers, a few attempts", "some in a second"
        self._bench.holds(few, what, wanted, f"{self._asked['refused']} by now", "hasty")
        few = self._asked["fin"] <= MOST_ENDS
        what, wanted = "after the goodbye nobody knocks", "an end"
        self._bench.holds(few, what, wanted, f"{self._asked['fin']} connections by now", "leave")
        asks = [*self._waiting, Ask("call", name, (draw,), self._handle.number)]
        self._waiting.clear()
        outcomes = self._bench.subject.ask(asks)
        found = self._bench.returned(outcomes[-1])
        plausible = found is None or (type(found) in (int, float) and 0 <= found <= 60_000)
        what = f"{name} gives milliseconds to wait, or None"
        self._bench.holds(plausible, what, "a number, or None", shown(found), "number")
        return None if found is None else float(found)

    def fin(self, draw: float) -> float | None:
        """Now."""
        return self._ask("fin", draw)

    def rst(self, draw: float) -> float | None:
        """Now."""
        return self._ask("rst", draw)

    def refused(self, draw: float) -> float | None:
        """Now."""
        return self._ask("refused", draw)


def _survives(bench: Bench) -> float:
    """A voice, a link that is cut and a server that dies; what is heard of it."""
    from labkit.codec.g711 import Pcmu
    from labkit.lab.followers import Death, Outage, Patient
    from labkit.lab.links import link
    from labkit.lab.reconnecting import follow
    from labkit.lab.sources import speech

    rng = bench.rng
    first, second = rng.uniform(0.5, 0.8), rng.uniform(4.4, 4.6)
    how = rng.choice((Death.FIN, Death.MID_FRAME, Death.RST))
    outages = [
        Outage(first, first + rng.uniform(1.9, 2.2), Death.CUT),
        Outage(second, second + 0.7, how, busy=second + rng.uniform(1.0, 1.4)),
    ]
    options: Any = {
        "clip": speech(7.5),
        "codec": Pcmu(),
        "link": link("near", delay="10ms"),  # which loses nothing: a lost HELLO costs a second
        "seed": rng.randrange(1 << 30),
    }
    for outage in outages:
        bench.step(
            f"at {outage.begins:.2f} s the server is {outage.how.value}, until {outage.over:.2f} s"
        )
    yours = follow(_Asked(bench), outages, **options)
    kit = follow(Patient(), outages, **options)
    bench.step(
        f"{yours.missed:.0%} of the frames not heard; the kit's own listener: {kit.missed:.0%}"
    )
    for outage, back in zip(yours.outages, yours.back_after, strict=True):
        what = f"from {outage.over:.2f} s on one can listen, and soon there is sound"
        found = "never" if back is None else f"after {1000 * back:.0f} ms"
        most = BACK_MS + (500 if outage.how is Death.CUT else 0)  # an attempt may be waiting
        soon = back is not None and 1000 * back < most
        bench.holds(soon, what, f"at most {most} ms", found, "back")
        tried = yours.attempts_in(outage)
        what = "while nobody answers, a few attempts"
        bench.holds(tried <= MOST_ATTEMPTS, what, f"at most {MOST_ATTEMPTS}", f"{tried}", "hasty")
    ended = [each for each in yours.attempts if each.second > 7.6]
    found = f"{len(ended)} attempts"
    bench.holds(not ended, "after the goodbye nobody knocks", "0 attempts", found, "leave")
    return 1.0


# ------------------------------------------------------------------------------------------------

EXERCISES: Final = (
    Exercise(
        "04.1",
        "What a segment carries",
        ("mss", "room", "segments", "line_rate"),
        (
            Part("mss", "The MSS in the SYN", 1, _mss),
            Part("room", "Data beside options", 1, _room),
            Part("segments", "Segments for a frame", 1, _segments),
            Part("line_rate", "Bits a second on the wire", 1, _line_rate),
        ),
        {
            "tcp": "Which two headers are in each packet, and does the MSS count them?",
            "version": "The two versions of IP have headers of different sizes. Which is which?",
            "offer": "The SYN's MSS counts no options: they differ from segment to segment.",
            "link": "The MTU is what the link carries; its own header is not in it.",
            "options": "Options take their room from the data.",
            "words": "The data offset counts words of four bytes. What becomes of the rest?",
            "every": "Several options may be in one segment: count all of them.",
            "together": "Only the end of all options is filled up, not each of them.",
            "rest": "What is left over needs a segment too.",
            "exact": "And when nothing is left over?",
            "headers": "How many segments has a frame, and what is before the data of each?",
            "bits": "Bits or bytes? Eight of the ones are one of the others.",
            "second": "How many frames has a second? And bits are asked for, not kilobits.",
            "full": "The last segment of a frame is not filled up.",
        },
    ),
    Exercise(
        "04.2",
        "When to come back, and after which end",
        ("Schedule", "Ending"),
        (
            Part("doubles", "A ceiling that doubles", 1, _doubles),
            Part("limit", "And a limit, also after a long night", 1, _limit),
            Part("reset", "A success starts anew", 1, _reset),
            Part("ends", "Four ends are told apart", 1, _ends),
            Part("pieces", "However the bytes are cut", 1, _pieces),
            Part("final", "The first end counts", 1, _final),
        ),
        {
            "doubles": "What is the ceiling after one failure, after two, after three?",
            "begin": "How many failures has it been told of when the first wait is asked for?",
            "chance": "If all wait equally long, all come at once. What is the draw for?",
            "full": "Anywhere below the ceiling: also very soon, and never above it.",
            "limit": "What does the ceiling never exceed? And how large is two to the 2000th?",
            "whole": "Right, but rounded. Nobody asks for whole milliseconds.",
            "unit": "The schedule counts in milliseconds from beginning to end.",
            "success": "After a success the next failure is a first one again.",
            "goodbye": "The kernel says FIN for everybody. What do only the polite say before?",
            "early": "A BYE is a word in the stream. Has the stream ended?",
            "half": "Is anything left in the decoder when the stream ends?",
            "reset": "A reset is no end in order: it has a state of its own.",
            "words": "The text has the words for the states. An ending begins with open.",
            "pieces": "Keep one decoder for the whole connection: it remembers half a frame.",
            "payload": "A BYE is a kind of frame; the same bytes within sound are sound.",
            "first": "Once it has ended it has ended: what comes later changes nothing.",
            "afterwards": "Who has said goodbye has said all; how the wire ends is no matter.",
        },
        ("labkit.core.reconnect", "labkit.core.streamsession", "labkit.lab.followers"),
    ),
    Exercise(
        "04.3",
        "What a capture tells",
        ("closed", "sent_again", "standstill"),
        (
            Part("closed", "When was the window closed?", 1, _closed),
            Part("again", "What was sent again?", 1, _again),
            Part("standstill", "How long did the stream stand still?", 1, _standstill),
            Part("capture", "All three, of shipped captures", 2, _capture),
        ),
        {
            "pairs": "A list of pairs (from, to), one for each time that the window closed.",
            "opens": "It stays closed until a window above zero is said, however often one asks.",
            "first-zero": "Closed it is from the first zero on, not from the last.",
            "gone": "A reset has a window field too. Does it offer anything?",
            "probe": "A segment without data repeats nothing, whatever its number.",
            "every-time": "One that was sent three times was sent again twice.",
            "first-copy": "The first copy is not sent again; only what follows it is.",
            "before": "Again means: it begins below the highest end that was sent before it.",
            "rise": "An acknowledgement that says the same number once more moves nothing.",
            "whose": "The server sent, but did the client get it? Look at what the client says.",
            "milliseconds": "The times are in milliseconds, and so is the answer.",
            "capture": "On made-up segments it does what it should. What is different here?",
        },
        ("labkit.lab.answers", "labkit.lab.conversations", "labkit.lab.plots"),
    ),
    Exercise(
        "04.4",
        "A listener that comes back",
        (FOLLOWER,),
        (
            Part("knows", "It knows when it is wanted", 1, _knows),
            Part("busy", "Only sound renews its patience", 1, _busy),
            Part("survives", "In the pipeline: a cut, and a server that dies", 2, _survives),
        ),
        {
            "leave": "What says that all was said? Then it is time to go.",
            "gives-up": "None means never again. Was this an end in order?",
            "anew": "A new connection is a new stream: what belongs to the old one?",
            "fresh": "Sound came, so the server was of use: how long is the first wait then?",
            "patience": "A server that accepts and hangs up is no success. When is it one?",
            "number": "Milliseconds to wait, as a number of 0 or more; or None.",
            "back": "How long can the wait become, and does every refusal lead to another?",
            "hasty": "Each attempt costs the server something. Which wait follows a refusal?",
        },
        ("labkit.core.reconnect", "labkit.core.streamsession", "labkit.lab.followers"),
    ),
)

__all__ = ["EXERCISES", "Conversation", "frame", "padded", "room"]

"""Week 3: a frame decoder, a send queue, Nagle's algorithm, and a voice over TCP.

Frames are packed by hand, as in week 1. The queue is held against a list that does what three
sentences say, and Nagle's rule against `labkit.checks.nagle`. In the last exercise the student's
decoder reads what comes out of a TCP connection in virtual time.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from random import Random
from typing import Any, Final

from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part
from labkit.checks.nagle import (
    MISREADINGS,
    MISTAKES,
    MSS,
    NAGLE,
    Rule,
    Segment,
    Writes,
    conversation,
    departures,
    drawn_writes,
    held_back,
)
from labkit.checks.plain import same, shown
from labkit.checks.subject import Ask, Raised
from labkit.words.errors import Malformed

# 03.1: a frame decoder -------------------------------------------------------------------------

DECODER: Final = "Decoder"
HEADER: Final = struct.Struct("!BBHII")
LARGEST: Final = 65_535
"""Bytes of a payload, at most."""

Frame = tuple[int, int, int, bytes]
"""(kind, seq, ts, payload)."""


def packed(frame: Frame) -> bytes:
    """The bytes of a frame."""
    kind, seq, ts, payload = frame
    return HEADER.pack(1, kind, seq, ts, len(payload)) + payload


def _frames(rng: Random, count: int, most: int = 40) -> list[Frame]:
    """Frames of sound; one of them empty, one of another kind."""
    seq, ts = rng.randrange(60_000), rng.randrange(2**31)
    sizes = [rng.randrange(1, most) for _ in range(count)]
    kinds = [0] * count
    sizes[rng.randrange(count)] = 0
    kinds[rng.randrange(count)] = rng.randrange(1, 4)
    return [(kinds[i], seq + i, ts + 960 * i, rng.randbytes(size)) for i, size in enumerate(sizes)]


def _feeds(
    bench: Bench, pieces: Sequence[bytes], wanted: Sequence[list[Frame]], what: str, hint: str
) -> None:
    """Feed a new decoder with pieces; each must give its frames."""
    decoder = bench.make(DECODER)
    before: list[Frame] = []
    for piece, frames in zip(pieces, wanted, strict=True):
        outcome = bench.attempt("feed", piece, on=decoder)
        if isinstance(outcome, Raised) and "Malformed" in outcome.kinds:
            bench.fail(what, shown(frames), str(outcome), hint)
        found = bench.returned(outcome)
        form = type(found) is list and all(type(f) is tuple and len(f) == 4 for f in found)
        what_form = "feed gives a list of (kind, seq, ts, payload)"
        bench.holds(form, what_form, shown(frames), shown(found), "form")
        if not same(found, frames):
            again = any(same(f, known) for f in found for known in before)
            empty = bool(frames) and not frames[-1][3] and same(found, frames[:-1])
            first = len(frames) > 1 and same(found, frames[:1])
            idea = "once" if again else "more" if first else "empty" if empty else hint
            bench.fail(what, shown(frames), shown(found), idea)
        before += frames


def _whole(bench: Bench) -> None:
    frames = [*_frames(bench.rng, 4), (0, 65_535, 2**32 - 1, bytes(LARGEST))]
    what = "a frame in one piece is given back"
    pieces = [packed(frame) for frame in frames]
    _feeds(bench, pieces, [[frame] for frame in frames], what, "fields")


def _joined(bench: Bench) -> None:
    for count in (2, 5):
        frames = _frames(bench.rng, count)
        data = b"".join(map(packed, frames))
        what = f"{count} frames in one piece are given back, in their order"
        _feeds(bench, [data], [frames], what, "more")


def _pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *cuts, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def _expected(frames: Sequence[Frame], cuts: Sequence[int]) -> list[list[Frame]]:
    """Which frames are complete with which piece."""
    ends = list(accumulate(len(packed(frame)) for frame in frames))
    edges = [0, *cuts, ends[-1]]
    return [
        [frame for frame, end in zip(frames, ends, strict=True) if before < end <= now]
        for before, now in pairwise(edges)
    ]


def _cut(bench: Bench) -> None:
    frames = _frames(bench.rng, 3)
    if not frames[-1][3]:
        frames.append((0, 60_003, 7, b"the end"))
    first = len(packed(frames[0]))
    size = sum(len(packed(frame)) for frame in frames)
    data = b"".join(map(packed, frames))
    what = "a frame comes when its last byte is there, however the bytes are cut"
    for cuts, hint in (
        ([size - 1], "payload"),
        ([first + 5], "header"),
        ([5, first], "header"),
        (sorted(bench.rng.sample(range(1, size), 8)), "header"),
        (list(range(1, size)), "header"),
    ):
        _feeds(bench, _pieces(data, cuts), _expected(frames, cuts), what, hint)


def _wrong_headers(rng: Random) -> list[tuple[bytes, str, str]]:
    """A header, what is wrong with it, and the hint."""
    good = HEADER.pack(1, 0, 7, 960, 20)
    return [
        (HEADER.pack(1, 0, 7, 960, LARGEST + 1), "announces 65536 bytes", "length"),
        (HEADER.pack(1, 0, 7, 960, 2**32 - 1), "announces four gigabytes", "length"),
        (bytes([rng.randrange(2, 256)]) + good[1:], "has another version", "version"),
        (good[:1] + bytes([rng.randrange(4, 256)]) + good[2:], "is of no kind", "version"),
    ]


def _hostile(bench: Bench) -> None:
    for header, wrong, hint in _wrong_headers(bench.rng):
        decoder = bench.make(DECODER)
        what = f"a frame that {wrong} is Malformed, as soon as its header is there"
        bench.equal(bench.call("feed", header[:11], on=decoder), [], "11 bytes are none", "header")
        outcome = bench.attempt("feed", header[11:], on=decoder)
        bench.refused(outcome, "Malformed", what, hint, {"returned": hint})


def _broken(bench: Bench) -> None:
    frames = _frames(bench.rng, 3)
    data = b"".join(map(packed, frames))
    wrong = HEADER.pack(1, 0, 7, 960, 2**32 - 1)
    decoder = bench.make(DECODER)
    outcome = bench.attempt("feed", data + wrong, on=decoder)
    what = "the frames before a wrong one are given back"
    if isinstance(outcome, Raised) and "Malformed" in outcome.kinds:
        bench.fail(what, shown(frames), str(outcome), "before")
    bench.equal(bench.returned(outcome), frames, what, "before")
    for again in (b"", data):
        what = "from then on every call raises Malformed"
        outcome = bench.attempt("feed", again, on=decoder)
        bench.refused(outcome, "Malformed", what, "broken", {"returned": "broken"})


def _keeps(bench: Bench) -> None:
    frames = _frames(bench.rng, 60)
    data = b"".join(map(packed, frames))
    cuts = sorted(bench.rng.sample(range(1, len(data)), 40))
    handle = bench.make(DECODER)
    bench.step(f"60 frames in {len(cuts) + 1} pieces, and len(decoder) after each")
    calls = [(name, *args) for piece in _pieces(data, cuts)
             for name, args in (("feed", (piece,)), ("__len__", ()))]  # fmt: skip
    lengths = [bench.returned(outcome) for outcome in handle.run(calls)][1::2]
    ends = list(accumulate(len(packed(frame)) for frame in frames))
    for now, found in zip([*cuts, len(data)], lengths, strict=True):
        wanted = now - max([end for end in ends if end <= now], default=0)
        what = f"after {now} bytes it keeps those of the unfinished frame, and no others"
        bench.equal(found, wanted, what, "keeps")


# 03.2: a send queue ----------------------------------------------------------------------------

QUEUE: Final = "SendQueue"


class Model:
    """The queue, as the text says it."""

    def __init__(self, limit: int, high: int, low: int) -> None:
        self.limit, self.high, self.low = limit, high, low
        self.items: list[bytes] = []
        self.paused = False

    def put(self, item: bytes) -> list[bytes]:
        """What was dropped."""
        self.items.append(item)
        dropped = self.items[: -self.limit]
        self.items = self.items[-self.limit :]
        if len(self.items) >= self.high:
            self.paused = True
        return dropped

    def get(self) -> bytes | None:
        """The oldest."""
        item = self.items.pop(0) if self.items else None
        if len(self.items) <= self.low:
            self.paused = False
        return item


def _queue_of(rng: Random) -> tuple[int, int, int]:
    """(limit, high, low), all different."""
    low = rng.randrange(1, 4)
    high = low + rng.randrange(3, 6)
    return high + rng.randrange(2, 4), high, low


def _play(bench: Bench, sizes: tuple[int, int, int], moves: str, marks: bool = True) -> None:
    """`p` puts and `g` gets; after each, what came, how many wait, and with `marks` if paused."""
    bench.step(f"{QUEUE}(limit={sizes[0]}, high={sizes[1]}, low={sizes[2]})")
    handle, model = bench.subject.new_handle(), Model(*sizes)
    asks = [Ask("make", QUEUE, sizes, into=handle)]
    items = [b"frame %d" % number for number in range(len(moves))]
    for move, item in zip(moves, items, strict=True):
        asks.append(Ask("call", "put" if move == "p" else "get", (item,) * (move == "p"), handle))
        asks.append(Ask("call", "__len__", (), handle))
        asks.append(Ask("value", "paused", (), handle))
    outcomes = bench.subject.ask(asks)
    bench.returned(outcomes[0])
    answers = iter(outcomes[1:])
    for move, item in zip(moves, items, strict=True):
        text = f"put({item!r})" if move == "p" else "get()"
        before = model.paused
        wanted = model.put(item) if move == "p" else model.get()
        _came(bench, text, wanted, bench.returned(next(answers)), model)
        length = bench.returned(next(answers))
        hint = "limit" if type(length) is int and length > model.limit else "count"
        bench.equal(length, len(model.items), f"after {text}, how many wait", hint)
        paused = bench.returned(next(answers))
        if marks and paused is not model.paused:
            hint = "pause" if move == "p" and not before else "resume"
            what = f"after {text}, {len(model.items)} wait: paused"
            bench.equal(paused, model.paused, what, hint)
        bench.step(f"{text} gave {shown(wanted)}; {length} wait{', paused' * bool(paused)}")


def _came(bench: Bench, text: str, wanted: Any, found: Any, model: Model) -> None:
    if isinstance(wanted, list):
        newest = [model.items[-1]] if wanted else ["never"]
        one: Any = wanted[0] if wanted else b""
        counted: tuple[Any, ...] = (None, len(wanted), [], one, bool(wanted))
        mistakes = [(newest, "oldest"), *((wrong, "dropped") for wrong in counted)]
        bench.equal(found, wanted, f"{text} gives what was dropped for it", "oldest", mistakes)
    else:
        hint = "order" if wanted is not None else "empty"
        bench.equal(found, wanted, f"{text} gives the oldest, or None", hint)


def _order(bench: Bench) -> None:
    for _ in range(2):
        limit, high, low = _queue_of(bench.rng)
        few = bench.rng.randrange(3, high)
        _play(bench, (limit, high, low), "p" * few + "g" * (few - 1) + "ppg" + "ggg", marks=False)


def _bound(bench: Bench) -> None:
    for _ in range(2):
        limit, high, low = _queue_of(bench.rng)
        over = bench.rng.randrange(2, 5)
        moves = "p" * (limit + over) + "gg" + "ppp" + "g" * (limit + 1)
        _play(bench, (limit, high, low), moves, marks=False)


def _pause(bench: Bench) -> None:
    for _ in range(2):
        limit, high, low = _queue_of(bench.rng)
        _play(bench, (limit, high, low), "p" * (limit + 2))


def _resume(bench: Bench) -> None:
    for _ in range(2):
        limit, high, low = _queue_of(bench.rng)
        down = "p" * high + "g" * (high - low - 1) + "pg" + "g"
        _play(bench, (limit, high, low), down + "p" * (high - low - 1) + "p" + "g" * (high + 1))


def _long(bench: Bench) -> None:
    sizes = _queue_of(bench.rng)
    moves = "".join(
        bench.rng.choice("pppg" if turn // 40 % 2 == 0 else "pggg") for turn in range(300)
    )
    _play(bench, sizes, moves)


# 03.3: Nagle -----------------------------------------------------------------------------------


def _leave(bench: Bench, writes: Writes, round_trip: int, hints: Sequence[str], hint: str) -> None:
    wanted = departures(writes, round_trip, MSS)
    found = bench.call("departures", list(writes), round_trip, MSS)
    mistakes = [(departures(writes, round_trip, MSS, MISTAKES[name]), name) for name in hints]
    what = f"(ms, bytes) of each segment, with {round_trip} ms there and back"
    bench.equal(found, wanted, what, hint, mistakes)


def _small(bench: Bench) -> None:
    trip = 2 * bench.rng.randrange(20, 40) + 1
    _leave(bench, [(10, 80)], trip, (), "first")
    _leave(bench, [(10, 80), (11 + trip, 90)], trip, (), "first")
    _leave(bench, [(10, 80), (30, 90)], trip, ("waits", "trip"), "wait")
    _leave(bench, [(10, 12), (10, 80)], trip, ("waits", "trip"), "wait")
    writes = drawn_writes(bench.rng, 12, range(40, 100), trip)
    _leave(bench, writes, trip, ("waits", "trip", "together"), "wait")


def _full(bench: Bench) -> None:
    trip = 2 * bench.rng.randrange(20, 40) + 1
    _leave(bench, [(10, 3 * MSS + 200)], trip, ("rest", "cut", "full", "waits"), "wait")
    _leave(bench, [(10, 80), (20, MSS)], trip, ("full", "waits"), "wait")
    others = ("rest", "waits", "together", "cut", "all")
    _leave(bench, [(10, 80), (20, 1000), (30, 1000)], trip, others, "grown")
    _leave(bench, [(10, MSS), (30, 80), (50, MSS)], trip, tuple(MISTAKES), "grown")
    _leave(bench, [(10, 80), (20, MSS), (40, 50)], trip, tuple(MISTAKES), "grown")


def _many(bench: Bench) -> None:
    for sizes in (range(40, 100), (80, 600, 1448, 3000), (12, 960, 1920)):
        trip = 2 * bench.rng.randrange(10, 60) + 1
        writes = drawn_writes(bench.rng, 30, sizes, trip)
        _leave(bench, writes, trip, tuple(MISTAKES), "grown")


def _read(bench: Bench, segments: Sequence[Segment], of: str) -> None:
    bench.step(f"held_back of {len(segments)} segments, {MSS}: {of}")
    found = bench.returned(bench.subject.call("held_back", list(segments), MSS))
    wanted = held_back(segments, MSS)
    readings = [(held_back(segments, MSS, how), name) for name, how in MISREADINGS.items()]
    from_one = [place + 1 for place in wanted] or None
    mistakes: list[tuple[Any, str]] = [*readings, (from_one, "places"), (len(wanted), "places")]
    mistakes = [(wrong, name) for wrong, name in mistakes if wrong != []]  # which says little
    bench.equal(
        found, wanted, f"places of those that Nagle would have held, {of}", "flying", mistakes
    )


def _read_made(bench: Bench) -> None:
    for sizes in (range(40, 100), (80, 600, 1448, 3000)):
        trip = 2 * bench.rng.randrange(20, 60) + 1
        writes = drawn_writes(bench.rng, 14, sizes, trip)
        for rule, of in ((Rule(waits=False), "TCP_NODELAY"), (NAGLE, "Nagle")):
            sent = departures(writes, trip, MSS, rule)
            _read(bench, conversation(bench.rng, sent, trip), f"a sender with {of}")


def _read_captured(bench: Bench) -> None:
    """The shipped ones; from a place that chance decides, so that no answer can be learnt."""
    for name in ("03_nagle_off", "03_nagle_on"):
        rows = list(_captured(name))
        begin = bench.rng.randrange(3, 20)
        _read(bench, rows[begin:], f"the capture {name}, from its segment {begin} on")


@lru_cache(maxsize=2)
def _captured(name: str) -> tuple[Segment, ...]:
    """The segments of a shipped capture, seen from the server."""
    from labkit.lab.captures import capture
    from labkit.lab.nagleruns import as_rows

    return tuple(as_rows(capture(name)))


# 03.4: a voice over TCP --------------------------------------------------------------------------

NEAR, FAR = 27, 250
"""Milliseconds each way: at the one frames are joined, at the other they are also cut."""


class _Reader:
    """The student's decoder, in a call: asked through the bench, and believed no word."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._handle = bench.make(DECODER)
        self._data = b""
        self._given: list[Frame] = []
        self.refused = ""

    def feed(self, data: bytes) -> list[Frame]:
        """Its frames."""
        self._data += data
        outcome = self._bench.subject.call("feed", data, on=self._handle.number)
        if isinstance(outcome, Raised) and "WireError" in outcome.kinds:
            self.refused = self.refused or str(outcome)
            raise Malformed("frame", 0, outcome.message[:200])
        found = self._bench.returned(outcome)
        what = "feed gives a list of (kind, seq, ts, payload)"
        form = type(found) is list and all(map(_is_frame, found))
        self._bench.holds(form, what, "such a list", shown(found), "form")
        frames: list[Frame] = found
        self._given += frames
        return frames

    def right(self) -> int:
        """Frames of sound that came and were given, less those that were given and never came."""
        came, at = set(), 0
        while at + HEADER.size <= len(self._data):
            _, kind, seq, ts, size = HEADER.unpack_from(self._data, at)
            end = at + HEADER.size + size
            if kind == 0 and end <= len(self._data):
                came.add((kind, seq, ts, self._data[at + HEADER.size : end]))
            at = end
        given = [frame for frame in self._given if frame[0] == 0]
        return max(0, 2 * len(came.intersection(given)) - len(given))


def _is_frame(found: Any) -> bool:
    if type(found) is not tuple or len(found) != 4:
        return False
    kind, seq, ts, payload = found
    return (
        all(type(value) is int for value in (kind, seq, ts))
        and 0 <= kind < 4
        and 0 <= seq < 1 << 16
        and 0 <= ts < 1 << 32
        and type(payload) is bytes
        and len(payload) <= LARGEST
    )


def _voice(bench: Bench, way: int, hint: str) -> float:
    """Two seconds of speech from a random place, over TCP with Nagle's algorithm."""
    from labkit.codec.g711 import Pcmu
    from labkit.core.source import Clip
    from labkit.lab.call import Call
    from labkit.lab.links import link
    from labkit.lab.sources import speech

    said = speech(7.5).samples
    begin = bench.rng.randrange(len(said) - 96_000)
    reader = _Reader(bench)
    call = Call(
        Clip(said[begin : begin + 96_000]),
        codec=Pcmu(),
        link=link(f"{way} ms away", delay=f"{way}ms"),
        transport="tcp",
        nodelay=False,
        decoder=lambda: reader,
        seed=bench.rng.randrange(1000),
    )
    bench.step(f"100 frames over TCP, {way} ms each way, with Nagle's algorithm")
    result = call.simulate()
    right = reader.right()
    delay = f", {result.delay_ms:.0f} ms from mouth to ear" if right else ""
    bench.step(f"{right} of 100 frames came whole{delay}")
    if right < 100:
        hint = "refused" if reader.refused else hint
        found = reader.refused or f"{right} of 100 frames"
        bench.fail("all that was said is heard", "100 of 100 frames", found, hint, right / 200)
    return 1.0


def _near(bench: Bench) -> float:
    return _voice(bench, NEAR, "joined")


def _far(bench: Bench) -> float:
    return _voice(bench, FAR, "cut")


# ------------------------------------------------------------------------------------------------

EXERCISES: Final = (
    Exercise(
        "03.1",
        "A frame decoder",
        (DECODER,),
        (
            Part("whole", "A frame in one piece", 1, _whole),
            Part("joined", "Several frames in one piece", 1, _joined),
            Part("cut", "Frames that are cut anywhere", 2, _cut),
            Part("hostile", "Headers that lie", 1, _hostile),
            Part("broken", "Before a wrong frame, and after it", 1, _broken),
            Part("keeps", "It keeps what it needs, and no more", 1, _keeps),
        ),
        {
            "form": "Frames are tuples of four, kind first, and `feed` gives a list of them.",
            "empty": "Twelve bytes with a `len` of 0 are a whole frame. Is its payload there?",
            "fields": "Which fields has a header, how wide are they, and where does it end?",
            "more": "One frame was found. What follows it in the same bytes?",
            "payload": "The header is there and the payload is not. What must wait, and where?",
            "header": "A header can be cut as well. How many bytes must be there to read it?",
            "once": "A frame that was given has been given. What must go from what is kept?",
            "length": "Who says that the length is true? Compare it before you wait for it.",
            "version": "Not only the length can be wrong. What else does the header promise?",
            "before": "Right frames came before the wrong one. Give them, and raise the next time.",
            "broken": "Where would the next frame begin? Nobody knows, so remember the error.",
            "keeps": "Which bytes have been given as frames, and are still kept?",
        },
        ("labkit.wire.framing", "labkit.lab.decoders"),
    ),
    Exercise(
        "03.2",
        "A send queue with a limit",
        (QUEUE,),
        (
            Part("order", "First in, first out", 1, _order),
            Part("bound", "Never more than the limit", 1, _bound),
            Part("pause", "Paused from the high mark on", 1, _pause),
            Part("resume", "Until the low mark", 1, _resume),
            Part("long", "Three hundred frames", 1, _long),
        ),
        {
            "order": "Which one has waited longest? A queue gives that one.",
            "empty": "There may be nothing to give, and that is no error: None.",
            "count": "How many wait now? Each put and each get changes it.",
            "limit": "There is a limit to how many wait. What must go when one more comes?",
            "oldest": "Of live sound, which frame is worth least: the newest or the oldest?",
            "dropped": "Give back a list of what was dropped, so that it can be counted.",
            "pause": "Is it paused when `high` frames wait, or only when there are more?",
            "resume": "Between the marks nothing changes. When exactly does it go on?",
        },
        ("labkit.core.flowcontrol", "labkit.core.streamsession"),
    ),
    Exercise(
        "03.3",
        "When Nagle lets a segment go",
        ("departures", "held_back"),
        (
            Part("small", "Small writes", 1, _small),
            Part("full", "Full segments", 1, _full),
            Part("many", "Many writes of all sizes", 1, _many),
            Part("made", "Reading it from segments", 1, _read_made),
            Part("captured", "Reading it in two captures", 1, _read_captured),
        ),
        {
            "first": "Nothing is on its way. Is there anything to wait for?",
            "waits": "That is what TCP_NODELAY does. What is still unacknowledged at that moment?",
            "wait": "For what does a small segment wait, and when is that there?",
            "trip": "The segment must get there, and its acknowledgement must come back.",
            "together": "What has waited leaves in one segment, as far as it fits.",
            "full": "A segment of `mss` bytes never waits: it could not grow any more.",
            "cut": "No segment is larger than `mss`.",
            "rest": "The full segment may leave. And what is left over, is that a full one too?",
            "all": "Is all acknowledged that was sent, or only the oldest of it?",
            "grown": "What waits grows with each write: when is it a full segment?",
            "flying": "Before each segment ask: is there anything sent that is not acknowledged?",
            "direction": "Only the segments that go out are held by us.",
            "data": "A segment without data only acknowledges, and nobody holds it back.",
            "newest": "One acknowledgement came. Does it cover all that had been sent?",
            "places": "A list of places is asked for, and the first segment has place 0.",
        },
        ("labkit.lab.nagle", "labkit.sim.bytestream", "labkit.lab.answers"),
    ),
    Exercise(
        "03.4",
        "Your decoder carries a voice",
        (DECODER,),
        (
            Part("near", "Frames that were joined on the way", 1, _near),
            Part("far", "Frames that were joined and cut", 2, _far),
        ),
        {
            "form": "Frames are tuples of four, kind first, and `feed` gives a list of them.",
            "refused": "It took right bytes for wrong ones. Where did it look for a header?",
            "joined": "With Nagle's algorithm a segment has several frames. How many are found?",
            "cut": "So many frames were joined that they were cut again. What becomes of the rest?",
        },
        ("labkit.wire.framing", "labkit.lab.decoders"),
    ),
)

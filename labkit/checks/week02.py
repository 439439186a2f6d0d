"""Week 2: a ring buffer and its accounts, how small it may be, drift, and a voice through it.

What a ring should do is known from a list with a limit (`labkit.checks.rings`), when it runs dry
from counting, and what a clock is worth from the clock that was made up (`labkit.checks.clocks`).

A ring does not change what a producer and a sound card do, as long as it is right. So all that they
do to a right one is noted, and done again to the student's in one journey.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from labkit.checks import clocks
from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part
from labkit.checks.plain import shown
from labkit.checks.rings import FRAME, Deed, Noted, noise, played
from labkit.checks.subject import Ask, Outcome, Raised
from labkit.words.seqnum import add32
from labkit.words.units import ms

# 02.1: the ring buffer --------------------------------------------------------------------------

RING: Final = "MyRing"
COUNTS: Final = "figures() is (underruns, samples missing, samples dropped)"
Found = tuple[Any, int, tuple[int, int, int]]
"""What a deed returned, and the length and the figures after it."""
Hint = Callable[[str, Deed, Any], str]
"""Of what differs: stored, sound, waiting, underruns, missing, dropped, raised."""


def _follow(bench: Bench, row: Noted, hint: Hint) -> None:
    """Do to the student's ring what was done to the row, and look at it after each step."""
    handle = bench.subject.new_handle()
    asks = [Ask("make", RING, (row.capacity, row.channels), into=handle)]
    for deed in row.deeds:
        asks.append(Ask("call", deed.name, deed.args, handle))
        asks += [Ask("call", name, (), handle) for name in ("__len__", "figures")]
    bench.step(f"{RING}({row.capacity}, {row.channels})")
    outcomes = bench.subject.ask(asks)
    bench.returned(outcomes[0])
    for number, deed in enumerate(row.deeds):
        bench.step(str(deed))
        _look(bench, deed, outcomes[3 * number + 1 : 3 * number + 4], hint)


def _look(bench: Bench, deed: Deed, outcomes: Sequence[Outcome], hint: Hint) -> None:
    first = outcomes[0]
    if isinstance(first, Raised) and first.kind in ("ValueError", "IndexError"):
        bench.fail(f"{deed} returns", "a value", str(first), hint("raised", deed, None))
    found = bench.returned(first)
    if deed.name == "write":
        what = "write tells how many samples were stored"
        bench.holds(type(found) is int, what, deed.returns, found, "stored")
        bench.equal(found, deed.returns, what, hint("stored", deed, found))
    if deed.name == "read":
        _sound(bench, deed, found, hint)
    length, figures = (bench.returned(outcome) for outcome in outcomes[1:3])
    bench.steps[-1] += f": {shown(length)} waiting, {shown(figures)}"
    what = "the length of the ring is the number of samples that wait"
    bench.equal(length, deed.waiting, what, hint("waiting", deed, length))
    three = type(figures) is tuple and [type(each) for each in figures] == [int] * 3
    bench.holds(three, COUNTS, deed.figures, figures, "figures")
    for name, a, b in zip(("underruns", "missing", "dropped"), figures, deed.figures, strict=True):
        if a != b:
            bench.fail(f"{COUNTS}: {name}", deed.figures, figures, hint(name, deed, figures))


def _sound(bench: Bench, deed: Deed, found: Any, hint: Hint) -> None:
    wanted = deed.returns
    what = f"{deed} gives int16 of shape {wanted.shape}"
    array = hasattr(found, "dtype") and found.dtype == np.int16 and found.ndim == 2
    bench.holds(array and found.shape[1] == wanted.shape[1], what, wanted, found, "samples")
    if len(found) != len(wanted):
        bench.fail(what, shown(wanted), shown(found), "silence")
    what = f"{deed} gives the oldest samples that wait"
    if not (found == wanted).all():
        bench.fail(what, shown(wanted), shown(found), hint("sound", deed, found))


def _always(hints: Mapping[str, str]) -> Hint:
    """Hints that depend on nothing but what differs."""
    return lambda name, *_: hints.get(name, "figures")


def _order(bench: Bench) -> None:
    row = Noted(400, 2)
    for written, read in ((5, 3), (bench.rng.randrange(7, 12), 4), (20, 20), (1, 2)):
        row.write(noise(bench.rng, written, 2))
        row.read(read)
    hints = {"stored": "stored", "sound": "order", "waiting": "waiting", "raised": "samples"}
    _follow(bench, row, _always(hints))


def _wraps(bench: Bench) -> None:
    row = Noted(bench.rng.choice((7, 11, 13)), 1)
    for size in (5, row.capacity, row.capacity - 1, row.capacity):
        row.write(noise(bench.rng, size, 1))
        row.read(size)
    for _ in range(30):
        free = row.capacity - len(row)
        row.write(noise(bench.rng, bench.rng.randrange(free + 1), 1))
        row.read(bench.rng.randrange(len(row) + 1))

    def hint(name: str, _deed: Deed, _found: Any) -> str:
        return "end" if name in ("sound", "raised") else "both"

    _follow(bench, row, hint)


def _full(bench: Bench) -> None:
    row = Noted(8, 1)
    for written, read in ((11, 2), (1, 0), (4, 5), (bench.rng.randrange(20, 40), 8), (3, 3)):
        row.write(noise(bench.rng, written, 1))
        row.read(read)

    def hint(name: str, deed: Deed, found: Any) -> str:
        if name == "stored":
            return "partly" if found == 0 else "newest" if found == len(deed.args[0]) else "stored"
        return {"sound": "newest", "dropped": "dropped"}.get(name, "limit")

    _follow(bench, row, hint)


def _empty(bench: Bench) -> None:
    row = Noted(16, 2)
    for written, read in ((3, 5), (bench.rng.randrange(8, 12), 15), (4, 4), (2, 9)):
        row.write(noise(bench.rng, written, 2))
        row.read(read)

    def hint(name: str, _deed: Deed, found: Any) -> str:
        if name == "sound":
            return "silence" if found.any() else "partly"
        return {"waiting": "taken", "missing": "absent", "underruns": "gap"}.get(name, "silence")

    _follow(bench, row, hint)


def _gaps(bench: Bench) -> None:
    row = Noted(32, 1)
    row.read(bench.rng.randrange(2, 6))
    before = len(row.deeds)
    for written, reads in ((5, (3, 3, 4, 1)), (6, (6, 2)), (1, (3,)), (9, (2, 7))):
        row.write(noise(bench.rng, written, 1))
        for size in reads:
            row.read(size)
    row.finish()
    after = len(row.deeds)
    row.read(bench.rng.randrange(3, 9))
    over = len(row.deeds)
    row.write(noise(bench.rng, 4, 1))
    for size in (4, 2, 2):
        row.read(size)

    def hint(_name: str, deed: Deed, _found: Any) -> str:
        at = next(n for n, each in enumerate(row.deeds) if each is deed)
        return "before" if at < before else "after" if after <= at < over else "gap"

    _follow(bench, row, hint)


# 02.2: the smallest buffer ----------------------------------------------------------------------


def _short(bench: Bench) -> None:
    for mean, block, waiting in ((0, 480, 0), (12, 480, 960), (12, 256, 0), (25, 960, 480)):
        written = clocks.busy(bench.rng, 40, ms(mean))
        read = clocks.calls(40, block, bench.rng.randrange(ms(3)))
        if not mean:
            written, read = clocks.busy(bench.rng, 40, 0), clocks.calls(40, block)
        given = (written, FRAME, read, block)
        wanted = clocks.short_reads(*given, waiting)
        found = bench.call("short_reads", *given, waiting)
        alone = sum(
            waiting + FRAME * sum(w <= when for w in written) < (n + 1) * block
            for n, when in enumerate(read)
        )
        late = clocks.short_reads([when + 1 for when in written], *given[1:], waiting)
        mistakes = [(late, "instant"), (alone, "later")] if late != wanted else [(alone, "later")]
        none = clocks.short_reads(*given, 0)
        mistakes += [(none, "waiting")] if none != wanted else []
        what = f"reads that find less than {block} samples, {waiting} waiting at the beginning"
        bench.equal(found, wanted, what, "walk", mistakes)


def _smallest(bench: Bench) -> None:
    rng = bench.rng
    cases = [
        ("a punctual producer", clocks.busy(rng, 40, 0), 480, 0),
        ("one that is late by 8 ms on average", clocks.busy(rng, 120, ms(8)), 441, ms(1)),
        ("one that stalls", clocks.stalled(rng, 60, ms(rng.randrange(90, 150))), 256, ms(2)),
        ("one that is late by 15 ms on average", clocks.busy(rng, 120, ms(15)), 1024, ms(4)),
        ("one that has put in everything before", [0] * 50, 480, ms(20)),
    ]
    for told, written, block, first in cases:
        read = clocks.calls(len(written) if written[-1] else 30, block, first)
        bench.step(f"{told}, and a card that asks for {block} samples")
        given = (written, FRAME, read, block)
        wanted = clocks.smallest(*given)
        late = [max(0, when - n * ms(20)) for n, when in enumerate(written)]
        average = round(float(np.mean(late)) * 48 / ms(1))
        mistakes = [
            (clocks.smallest([w + 1 for w in written], *given[1:]), "instant"),
            (wanted - block, "block"),
            (average, "tail"),
            (round(max(late) * 48 / ms(1)), "both"),
            (-(-wanted // FRAME) * FRAME, "exact"),
        ]
        found = bench.call("smallest", *given)
        if type(found) is int and found < 0:
            mistakes = [(found, "nothing")]
        if type(found) is int and 0 <= found < wanted:
            short = clocks.short_reads(*given, found)
            bench.step(f"with {found} samples waiting, {short} reads find too little")
        bench.equal(found, wanted, f"samples that must wait, for {told}", "worst", mistakes)


def _promise(bench: Bench) -> None:
    for block in (480, 256, 960):
        rate = bench.rng.choice((16_000, 48_000))
        frame, late = rate // 50, bench.rng.randrange(5, 60)
        sound = rate * late // 1000
        found = bench.call("promise", rate, frame, block, late)
        found = tuple(found) if type(found) is list else found
        mistakes: list[tuple[Any, str]] = [
            ((sound, sound + frame), "block"),
            ((sound, sound), "block"),
            ((sound + frame, sound + 2 * frame), "block"),
            ((sound + block, sound + block), "room"),
            ((sound + block, sound + frame), "room"),
            ((rate * late + block, rate * late + block + frame), "milliseconds"),
        ]
        wanted = (sound + block, sound + block + frame)
        by_then = [n * frame + sound for n in range(block)]  # before the frame n, if it is late
        beat = [-(-end // block) * block - end + sound for end in by_then]
        less = {beat[0], max(beat)} - {sound + block}  # for the first frame, and for every one
        mistakes += [((least, least + frame), "beat") for least in sorted(less)]
        what = f"(waiting, capacity) for frames of {frame}, at most {late} ms late"
        bench.equal(found, wanted, what, "pair", mistakes)


# 02.3: drift ------------------------------------------------------------------------------------


def _measure(
    bench: Bench,
    stamps: Sequence[tuple[int, int]],
    wanted: float,
    room: float,
    told: str,
    hint: str,
) -> None:
    """The figure is this one, give or take some ppm."""
    bench.step(told)
    found = bench.call("drift_ppm", list(stamps))
    said = f"{wanted:+.0f} ppm, give or take {room:g}"
    what = f"drift of {told}"
    number = type(found) in (int, float)
    bench.holds(number, what, said, found, "number")
    for wrong, idea in (
        (-wanted, "sign"),
        (wanted / 1e6, "million"),
        (wanted + 1e6, "less"),
        (wanted / 1e6 + 1, "less"),
    ):
        if hint == "ratio" and abs(found - wrong) <= room * min(1, abs(wrong / wanted)):
            hint = idea
    bench.holds(abs(found - wanted) <= room, what, said, f"{found:+.6g}", hint)


def _ppm(bench: Bench) -> int:
    return bench.rng.choice((-1, 1)) * bench.rng.randrange(60, 200)


def _clean(bench: Bench) -> None:
    for sign in (1, -1):
        ppm = sign * bench.rng.randrange(60, 200)
        stamps = clocks.stream(bench.rng, ppm, packets=490)
        _measure(bench, stamps, ppm, 1, "490 packets without any jitter", "ratio")


def _jitter(bench: Bench) -> None:
    for late in (0, -1):
        ppm = _ppm(bench)
        stamps = clocks.stream(bench.rng, ppm, jitter=ms(2))
        at = late % len(stamps)
        stamps[at] = (
            stamps[at][0],
            stamps[at][1] + ms(9),
        )  # the one that decides for who takes two
        stamps.sort(key=lambda each: each[1])
        _measure(bench, stamps, ppm, 30, "half a minute of packets, 2 ms late on average", "ends")


def _around(bench: Bench) -> None:
    ppm = _ppm(bench)
    first = add32(0, -FRAME * bench.rng.randrange(300, 900))
    stamps = clocks.stream(bench.rng, ppm, jitter=ms(1), first=first)
    told = f"packets whose timestamps begin at {first}"
    _measure(bench, stamps, ppm, 30, told, "circle")
    places = sorted(bench.rng.sample(range(100, 1400, 10), 8))
    stamps = clocks.swapped(clocks.stream(bench.rng, ppm, jitter=ms(1)), places)
    _measure(bench, stamps, ppm, 30, "packets of which eight were overtaken", "late")
    stamps = clocks.stream(bench.rng, ppm, jitter=ms(1), first=first)
    wrap = next(n for n, (stamp, _) in enumerate(stamps) if stamp < first)
    told = f"packets from {first} on, the last before the wrap after two others"
    _measure(bench, clocks.swapped(stamps, (wrap - 1,)), ppm, 30, told, "late")


def _filled(bench: Bench) -> None:
    for mean in (10, 25):
        ppm = _ppm(bench)
        stamps = clocks.stream(bench.rng, ppm, jitter=ms(1), packets=2990)
        stamps = clocks.filled(bench.rng, stamps, ms(mean))
        told = "a minute of packets, on a network whose queues fill in the middle of it"
        _measure(bench, stamps, ppm, 30, told, "least")


def _capture(bench: Bench) -> None:
    """A stretch of it; the clocks are moved and bent, so that no answer can be known."""
    whole = clocks.captured()
    begin = bench.rng.randrange(len(whole) - 640)
    shift, bend = bench.rng.randrange(1 << 32), bench.rng.randrange(-100, 101)
    bent = [
        (add32(stamp, shift), now + now * bend // 1_000_000)
        for stamp, now in whole[begin : begin + 640]
    ]
    told = f"640 packets of the capture, our clock made {bend:+d} ppm quicker"
    _measure(bench, bent, clocks.slope(bent), 30, told, "capture")


# 02.4: a voice ----------------------------------------------------------------------------------

STOI_ROOM: Final = (0.02, 0.3)
"""STOI below that of the reference that still gives all points; and that gives none."""


def _said(bench: Bench) -> Any:
    """A second and a half of speech, and not a pause: of four stretches the loudest."""
    from labkit.lab.sources import speech

    whole, length = speech(7.5).samples, 75 * FRAME
    begins = [bench.rng.randrange(len(whole) - length) for _ in range(4)]
    stretches = [whole[begin : begin + length] for begin in begins]
    return max(stretches, key=lambda stretch: float(np.abs(stretch.astype(float)).mean()))


def _through(bench: Bench, said: Any, buffer_ms: int, jitter_ms: int) -> tuple[Any, Any, Any, Any]:
    """What is heard and counted: wanted, yours, wanted, yours."""
    row, capacity = played(said, buffer_ms, jitter_ms, bench.rng.randrange(10**6))
    handle = bench.subject.new_handle()
    asks = [Ask("make", RING, (capacity, said.shape[1]), into=handle)]
    asks += [Ask("call", deed.name, deed.args, handle) for deed in row.deeds]
    bench.step(f"{RING}({capacity}, {said.shape[1]})")
    late = f"is {jitter_ms} ms late on average" if jitter_ms else "is never late"
    bench.step(f"a producer that {late} writes 20 ms of speech at a time; a card reads 10 ms")
    outcomes = bench.subject.ask([*asks, Ask("call", "figures", (), handle)])
    found = [bench.returned(outcome) for outcome in outcomes]
    pairs = [
        (deed.returns, yours)
        for deed, yours in zip(row.deeds, found[1:], strict=False)
        if deed.name == "read"
    ]
    for wanted, yours in pairs:
        what = f"a read gives int16 of shape {wanted.shape}"
        well = hasattr(yours, "dtype") and (yours.dtype, yours.shape) == (np.int16, wanted.shape)
        bench.holds(well, what, wanted, yours, "samples")
    heard = [np.concatenate(sounds) for sounds in zip(*pairs, strict=True)]
    return heard[0], heard[1], row.figures(), found[-1]


def _steady(bench: Bench) -> None:
    said = _said(bench)
    _, heard, wanted, figures = _through(bench, said, bench.rng.choice((33, 45, 51)), 0)
    right = float((heard[: len(said)] == said).mean())
    what = "what is heard is what was said"
    bench.holds(right == 1, what, "all samples are", f"{right:.1%} of the samples are", "heard")
    bench.equal(figures, wanted, COUNTS, "counted")


def _busy(bench: Bench) -> float:
    from labkit.core.quality import stoi

    buffer, jitter = bench.rng.randrange(20, 30), bench.rng.randrange(9, 15)
    wanted, heard, counts, figures = _through(bench, _said(bench), buffer, jitter)
    same = bool((wanted == heard).all())
    score = 1.0 if same else stoi(wanted, heard, 48_000)
    bench.step(f"STOI of yours against a right ring: {score:.3f}; it counts {shown(figures)}")
    full, nothing = STOI_ROOM
    share = min(1.0, max(0.0, (nothing - (1 - score)) / (nothing - full)))
    if share < 1:
        what = "it sounds like a right ring, on the same dice"
        bench.fail(what, "STOI 1.00", f"STOI {score:.2f}", "heard", share)
    if figures != counts:
        bench.fail(COUNTS, counts, figures, "counted", 0.5)
    return 1.0


# ------------------------------------------------------------------------------------------------

HIDES: Final = (
    "labkit.core.ringbuffer",
    "labkit.core.playout",
    "labkit.lab.playback",
    "labkit.lab.twoclocks",
    "labkit.lab.answers",
)

EXERCISES: Final = (
    Exercise(
        "02.1",
        "A ring buffer and its accounts",
        (RING,),
        (
            Part("order", "What is written is read", 1, _order),
            Part("wraps", "The end joins the beginning", 2, _wraps),
            Part("full", "Too much is dropped, and counted", 1, _full),
            Part("empty", "Too little is silence, and counted", 1, _empty),
            Part("gaps", "What is a gap, and what is not", 1, _gaps),
        ),
        {
            "samples": "The sound is int16, a row for each instant, a column for each channel.",
            "stored": "A whole number is what `write` returns: how many samples found room?",
            "order": "First in, first out; and what was read is gone.",
            "waiting": "Samples that were written and not yet read, counted once for all channels.",
            "figures": "Three whole numbers in a tuple; all stay zero while all goes well.",
            "end": "Where does a piece go that is longer than what is left before the end?",
            "both": "Both places are equal when the ring is empty, and when it is full.",
            "newest": "What is stored belongs to the reader. Which samples are refused?",
            "partly": "Some of it can be done: as much as there is room, or sound, for.",
            "limit": "A ring of eight never holds nine.",
            "dropped": "Samples are counted, not calls; and only those that found no room.",
            "silence": "A card wants as many samples as it asked for. Zeros are silence.",
            "taken": "How many samples were really there? Only those have been read.",
            "absent": "Of the samples that were asked for, how many were not there?",
            "gap": "A gap lasts over many reads, until one finds sound. Samples all count.",
            "before": "Nobody has spoken yet. Is anything missing?",
            "after": "After `finish`, and until somebody writes again, nothing is missing.",
        },
        HIDES,
    ),
    Exercise(
        "02.2",
        "The smallest buffer that survives",
        ("short_reads", "smallest", "promise"),
        (
            Part("short", "Reads that find too little", 2, _short),
            Part("smallest", "What must wait for one busy producer", 2, _smallest),
            Part("promise", "What survives all that are late by so much", 1, _promise),
        ),
        {
            "walk": "Go through all instants in order: what waits after each of them?",
            "instant": "At one and the same instant, which comes first: the write or the read?",
            "later": "A read that finds too little takes less. What does the next one find?",
            "waiting": "Some samples waited already, before the first write.",
            "worst": "After each read: how much was asked for so far, and how much was put in?",
            "block": "A card asks for a whole block, and at once.",
            "tail": "The average is met half of the time. Which frame decides?",
            "both": "How late a frame is, is one half of it. When does the card ask for it?",
            "exact": "Samples, not whole frames or blocks: one less, and one read is short.",
            "nothing": "Less than nothing cannot wait.",
            "pair": "Two whole numbers: samples that wait, and samples that the ring must hold.",
            "beat": "Enough for just this beat. Which number holds for any: no more than what?",
            "room": "What waits is still there when the next frame comes in.",
            "milliseconds": "The rate is for a second. For how long is a frame late?",
        },
        HIDES,
    ),
    Exercise(
        "02.3",
        "Drift, from timestamps",
        ("drift_ppm",),
        (
            Part("clean", "Two clocks and no network", 1, _clean),
            Part("jitter", "Packets that are late by chance", 1, _jitter),
            Part("around", "Timestamps that wrap, packets that are overtaken", 1, _around),
            Part("filled", "A network that fills", 2, _filled),
            Part("capture", "A real capture", 1, _capture),
        ),
        {
            "number": "One number, in millionths.",
            "ratio": "How many seconds of sound came, in how many seconds of ours?",
            "sign": "More sound than time: is the sender's clock fast or slow?",
            "million": "Parts per million are asked for.",
            "less": "Equal clocks have a slope of one and a drift of none.",
            "ends": "The first and the last packet are late by chance. Ask all of them.",
            "circle": "After 4294967295 comes 0: see `ahead32`.",
            "late": "A smaller timestamp may be an older packet. Both ways round the circle count.",
            "least": "Queues only ever add. Which packets of each second have met none?",
            "capture": "The timestamps begin anywhere, and 48 000 of them are a second.",
        },
        HIDES,
    ),
    Exercise(
        "02.4",
        "Your ring plays a voice",
        (RING,),
        (
            Part("steady", "A punctual producer", 1, _steady),
            Part("busy", "A busy one", 2, _busy),
        ),
        {
            "samples": "A read gives as many samples as it was asked for, int16, in columns.",
            "heard": "The samples that wait, in their order; zeros for those that do not.",
            "counted": "Do the figures agree with what was heard? Then look at the parts of 02.1.",
        },
        HIDES,
    ),
)

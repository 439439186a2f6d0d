"""Week 6: a fixed buffer, what a network asks of one, and a policy that finds its delay itself.

The buffer is held against the three sentences of `labkit.checks.buffers`; jitter and the needed
delay against RFC 3550 and plain counting. The policy is judged by what a listener gets: its line,
packet by packet, goes into the kit's own jitter buffer, on networks that nobody has seen
(`labkit.checks.networks`), and the E-model rates delay and gaps together. What is asked of it is to
be about as good as the best fixed delay of each network, which one knows only afterwards.

A policy does not change when packets come, so all its questions make one journey, and what the
buffer then asks at each turn is what the policy said after the last packet.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import Any, Final

from labkit.checks.bench import Bench
from labkit.checks.buffers import FRAME, Run
from labkit.checks.exercise import Exercise, Part
from labkit.checks.networks import NETWORKS, SPACING, Delays, gust, quiet
from labkit.checks.plain import shown
from labkit.checks.subject import Ask
from labkit.core import quality
from labkit.core.delayscore import replay
from labkit.core.jitterbuffer import JitterBuffer
from labkit.words.seqnum import add16
from labkit.words.units import ms, seconds, to_ms

# 06.1: a fixed buffer --------------------------------------------------------------------------

BUFFER: Final = "FixedBuffer"


def _stream(rng: Random, first: int, count: int, delay: int) -> dict[int, int]:
    """When each packet comes, by its place: in order, in time, the first one the quickest."""
    zero = ms(rng.randrange(1000))
    most = min(int(to_ms(delay)), 18)
    jitters = [0] + [rng.randrange(1, most) for _ in range(count - 1)]
    return {i: zero + i * FRAME + ms(jitters[i]) for i in range(count)}


def _delay(rng: Random) -> int:
    return ms(20 * rng.randrange(3, 7))


def _run(bench: Bench, first: int, stream: dict[int, int], delay: int) -> Run:
    arrivals = [(add16(first, place), now) for place, now in stream.items()]
    return Run(bench, BUFFER, arrivals, delay)


def _first(rng: Random) -> int:
    return rng.randrange(100, 60_000)


def _waits(bench: Bench) -> None:
    for _ in range(2):
        delay, first = _delay(bench.rng), _first(bench.rng)
        _run(bench, first, _stream(bench.rng, first, 6, delay), delay).play()


def _orders(bench: Bench) -> None:
    delay, first = _delay(bench.rng), _first(bench.rng)
    stream = _stream(bench.rng, first, 12, delay)
    for place in (3, bench.rng.randrange(6, 10)):
        stream[place] += 2 * FRAME  # two others overtake it, and it is in time
    _run(bench, first, stream, delay).play()


def _holes(bench: Bench) -> None:
    delay, first = _delay(bench.rng), _first(bench.rng)
    stream = _stream(bench.rng, first, 16, delay)
    gone = bench.rng.randrange(3, 6)
    for place in (gone, 9, 10):
        del stream[place]
    _run(bench, first, stream, delay).play()


def _late(bench: Bench) -> None:
    delay, first = _delay(bench.rng), _first(bench.rng)
    stream = _stream(bench.rng, first, 14, delay)
    late = bench.rng.randrange(3, 6)
    stream[late] += delay + FRAME
    del stream[12]  # an empty turn, into which nothing old must slip
    arrivals = [(add16(first, place), now) for place, now in stream.items()]
    again = bench.rng.randrange(8, 10)
    arrivals.append((add16(first, again), stream[again] + ms(3)))
    arrivals.append((add16(first, 7), stream[7] + delay + FRAME))
    Run(bench, BUFFER, arrivals, delay).play()


def _wraps(bench: Bench) -> None:
    delay = _delay(bench.rng)
    first = 65_536 - bench.rng.randrange(3, 6)
    stream = _stream(bench.rng, first, 14, delay)
    zero = 65_536 - first
    stream[zero - 1] += 2 * FRAME  # 65535 comes after 0 and 1
    del stream[zero + 3]
    _run(bench, first, stream, delay).play()


def _forgets(bench: Bench) -> None:
    delay, first = _delay(bench.rng), 65_536 - bench.rng.randrange(100, 200)
    stream = _stream(bench.rng, first, 300, delay)
    for place in bench.rng.sample(range(2, 300), 40):
        stream[place] += delay + FRAME
    for place in bench.rng.sample(range(2, 300), 20):
        stream.pop(place)
    arrivals = [(add16(first, place), now) for place, now in stream.items()]
    arrivals += [(seq, now + delay + 2 * FRAME) for seq, now in bench.rng.sample(arrivals, 20)]
    Run(bench, BUFFER, arrivals, delay).lengths(every=50)


# 06.2: what the network asks for ----------------------------------------------------------------


def _transits(rng: Random, count: int) -> list[float]:
    """Arrival minus timestamp in ms: delays, and two clocks that disagree by hours."""
    clocks = rng.choice((-1, 1)) * rng.uniform(1e6, 1e7)
    return [round(clocks + 30 + rng.gammavariate(2, 12), 3) for _ in range(count)]


def _jitter_of(transits: Sequence[float], share: float = 1 / 16) -> float:
    """RFC 3550 section 6.4.1."""
    jitter = 0.0
    for before, after in pairwise(transits):
        jitter += (abs(after - before) - jitter) * share
    return jitter


def _jitter(bench: Bench) -> None:
    for count in (2, 3, 40, 200):
        transits = _transits(bench.rng, count)
        steps = [b - a for a, b in pairwise(transits)]
        signed = 0.0
        for step in steps:
            signed += (step - signed) / 16
        mean = sum(transits) / count
        mistakes = [
            (signed, "sign"),
            (abs(signed), "sign"),
            (sum(map(abs, steps)) / len(steps), "sixteenth"),
            (_jitter_of(transits, 1 / 8), "sixteenth"),
            (_jitter_of(transits) / 1000, "unit"),
            (_jitter_of(transits) * 1e6, "unit"),
            ((sum((t - mean) ** 2 for t in transits) / count) ** 0.5, "spread"),
        ]
        found = bench.call("jitter", transits)
        what = f"the jitter after {count} packets, in ms"
        bench.near(found, _jitter_of(transits), what, "formula", mistakes, room=1e-4)


def _range_of(transits: Sequence[float], percent: float) -> tuple[float, float]:
    """The least and the greatest delay that count as right: between two neighbours."""
    ordered = sorted(transits)
    late = int(len(ordered) * percent / 100)
    at = len(ordered) - 1 - late
    return ordered[max(at - 1, 0)] - ordered[0], ordered[min(at + 2, len(ordered) - 1)] - ordered[0]


def _needed(bench: Bench, transits: Sequence[float], percent: float, of: str) -> None:
    least, most = _range_of(transits, percent)
    longest = max(transits) - min(transits)
    found = bench.call("delay_needed", list(transits), percent)
    wanted = (least + most) / 2
    what = f"so that {percent} % of {of} come too late, the quickest waits, in ms"
    if type(found) in (int, float) and least - 1e-3 <= found <= most + 1e-3:
        return
    fastest = min(transits)
    other = _range_of(transits, 100 - percent)
    cases = (
        ((longest, longest), "slowest"),
        ((least + fastest, most + fastest), "fastest"),
        (other, "side"),
        ((other[0] + fastest, other[1] + fastest), "side"),
        (_range_of(transits, 100 - percent / 100), "percent"),
        (_range_of(transits, percent / 100), "percent"),
    )
    hint = "count"
    if type(found) in (int, float):
        hint = next((name for (a, b), name in cases if a - 1e-3 <= found <= b + 1e-3), hint)
    bench.fail(what, f"about {wanted:.4g}", shown(found), hint)


def _delays_needed(bench: Bench) -> None:
    for percent in (10, 5, 2):
        _needed(bench, _transits(bench.rng, 400), percent, "400 packets")


def _capture(bench: Bench) -> None:
    """The same two, of the shipped capture; what is right is computed from its packets."""
    delays, jitter = _captured()
    offset = bench.rng.uniform(1e5, 1e6)
    transits = [round(delay + offset, 6) for delay in delays]
    bench.step(f"the transits of {len(transits)} datagrams of the capture 06_jitter")
    found = bench.returned(bench.subject.call("jitter", transits))
    bench.near(found, jitter, "the jitter after the last", "capture", room=2e-2)
    _needed(bench, transits, 1, "the capture")


@lru_cache(maxsize=1)
def _captured() -> tuple[tuple[float, ...], float]:
    """Of the capture: delays above the quickest, and the jitter after the last one, in ms."""
    from labkit.lab.answers.registry import the_voice
    from labkit.lab.captures import capture
    from labkit.lab.plots import jitters, relative_delays

    stream = the_voice(capture("06_jitter"))
    return tuple(float(delay) for delay in relative_delays(stream)[1]), jitters(stream)[-1]


# 06.3: a policy ---------------------------------------------------------------------------------

POLICY: Final = "MyPolicy"
DEVICES: Final = ms(45)
"""A frame, the codec's lookahead and the sound card, on the way from mouth to ear."""
FULL, NOTHING = 4.5, 8.0
"""Points of R below the best fixed delay that still give all points; and that give none."""
FIXED: Final = range(10, 310, 10)
"""Milliseconds: the fixed delays that a policy is compared with."""


def _arrivals(delays: Delays, clocks: int) -> list[tuple[int, int]]:
    """(transit, now) in the order of arrival."""
    came = [(i * SPACING + delay, delay) for i, delay in enumerate(delays) if delay is not None]
    return [(delay + clocks, now) for now, delay in sorted(came)]


def _lines(bench: Bench, arrivals: Sequence[tuple[int, int]]) -> list[int]:
    """What the policy says after each packet, in nanoseconds."""
    handle = bench.subject.new_handle()
    asks = [Ask("make", POLICY, (), into=handle)]
    for transit, now in arrivals:
        asks.append(Ask("call", "observe", (transit, now), handle))
        asks.append(Ask("call", "target", (), handle))
    bench.step(f"{POLICY}(), then observe and target for {len(arrivals)} packets")
    outcomes = bench.subject.ask(asks)
    bench.returned(outcomes[-1])
    lines = [bench.returned(outcome) for outcome in outcomes[2::2]]
    for line in lines:
        plausible = type(line) in (int, float) and abs(line) < seconds(1e9)
        bench.holds(plausible, "target is a number of nanoseconds", "a number", line, "number")
    return [int(line) for line in lines]


def _heights(bench: Bench, delays: Delays) -> tuple[list[tuple[int, int]], list[int]]:
    """The arrivals, and how far above the quickest packet the line stands after each."""
    clocks = bench.rng.randrange(-seconds(9000), seconds(9000))
    arrivals = _arrivals(delays, clocks)
    fastest = min(transit for transit, _ in arrivals)
    return arrivals, [line - fastest for line in _lines(bench, arrivals)]


def _clocks(bench: Bench) -> None:
    delays = bench.rng.choice(NETWORKS)(bench.rng)[:300]
    plain = _lines(bench, _arrivals(delays, 0))
    for clocks, how in ((seconds(7200), "slow"), (-seconds(7200), "fast")):
        bench.step(f"the same, and the sender's clock is two hours {how}")
        moved = _lines(bench, _arrivals(delays, clocks))
        off = max(abs(b - a - clocks) for a, b in zip(plain, moved, strict=True))
        what = "the line moves with the clocks, by two hours"
        bench.holds(off < ms(1), what, "moved by it", f"off by {_in_ms(off)}", "clock")


def _calm(bench: Bench) -> None:
    _, heights = _heights(bench, quiet(bench.rng, 400))
    height = max(heights[300:])
    what = "on a quiet network, after six seconds, the line is near the quickest packet"
    bench.holds(height <= ms(40), what, "at most 40 ms above it", _in_ms(height), "calm")


def _rises(bench: Bench) -> None:
    delays, begin, end = gust(bench.rng)
    arrivals, heights = _heights(bench, delays)
    fastest = min(transit for transit, _ in arrivals)
    since, until = (begin + 50) * SPACING, end * SPACING
    bench.step(f"from {since / 1e9:.1f} to {until / 1e9:.1f} s the network is full")
    inside = [
        transit - fastest > before
        for (transit, now), before in zip(arrivals[1:], heights, strict=False)
        if since <= now <= until
    ]
    late = 100 * sum(inside) / len(inside)
    what = "a second after the network has filled, few packets are above the line"
    bench.holds(late <= 5, what, "at most 5 % of them", f"{late:.0f} % of them", "rises")


def _sinks(bench: Bench) -> None:
    delays, _, end = gust(bench.rng)
    arrivals, heights = _heights(bench, delays)
    calm = (end + 400) * SPACING
    after = [height for (_, now), height in zip(arrivals, heights, strict=True) if now >= calm]
    height = sum(after) // len(after)
    what = "eight seconds after the network has emptied, the line is down again"
    bench.holds(height <= ms(100), what, "at most 100 ms", _in_ms(height), "sinks")


class Recorded:
    """A policy that was asked before: after each packet it says what it said then."""

    def __init__(self, lines: Sequence[int]) -> None:
        self._lines = lines
        self._at = -1

    def observe(self, transit: int, now: int) -> None:
        """The next packet."""
        del transit, now
        self._at += 1

    def target(self) -> int:
        """What was said after it."""
        return self._lines[self._at]


Point = tuple[float, float]
"""Delay in ms, and percent not heard."""


def _point(delays: Delays, lines: Sequence[int]) -> Point:
    """What a listener gets with these lines."""
    first = _arrivals(delays, 0)[0][0]
    score = replay(JitterBuffer(Recorded([line - first for line in lines])), delays)
    gone = 100 * (score.sent - score.arrived) / score.sent
    unheard = min(100.0, gone + score.lost_percent + score.waited_percent)
    return to_ms(score.delay + _base(delays) + DEVICES), unheard


def _base(delays: Delays) -> int:
    return min(delay for delay in delays if delay is not None)


def _fixed_points(delays: Delays) -> dict[int, Point]:
    """The same for each fixed delay above the quickest packet: by counting."""
    arrived = sorted(delay for delay in delays if delay is not None)
    points = {}
    for wait in FIXED:
        line = arrived[0] + ms(wait)
        gone = len(delays) - bisect_right(arrived, line)
        points[wait] = to_ms(line + DEVICES), 100 * gone / len(delays)
    return points


def rating(point: Point) -> float:
    """R of the E-model: Opus with concealment, at no cost for coding."""
    delay, unheard = point
    return quality.r_factor(ms(delay), unheard / 100, ie=0.0, bpl=10.0)


@lru_cache(maxsize=4)
def _contest(seed: int) -> tuple[list[Delays], list[dict[int, Point]], float]:
    """Networks, what fixed delays give on each, and the mean R of the best of those.

    Whoever grades a class asks with one seed, again and again.
    """
    rng = Random(seed)
    networks = [network(rng) for network in NETWORKS]
    fixed = [_fixed_points(delays) for delays in networks]
    return networks, fixed, sum(max(map(rating, each.values())) for each in fixed) / len(fixed)


def _score(bench: Bench) -> float:
    networks, fixed, wanted = _contest(bench.rng.getrandbits(64))
    yours: list[Point] = []
    for delays in networks:
        lines = _lines(bench, _arrivals(delays, 0))
        yours.append(_point(delays, lines))
        delay, unheard = yours[-1]
        bench.steps[-1] += f": {delay:.0f} ms, {unheard:.1f} % not heard, R {rating(yours[-1]):.0f}"
    _nothing_from_the_future(bench, networks[-1], lines)
    frontier = [_mean([points[wait] for points in fixed]) for wait in FIXED[1::2]]
    bench.drawing = {
        "kind": "frontier",
        "points": {"fixed delays": frontier, "yours": [_mean(yours)]},
        "ylabel": "frames not heard (%)",
    }
    mean = sum(map(rating, yours)) / len(yours)
    share = min(1.0, max(0.0, (NOTHING - (wanted - mean)) / (NOTHING - FULL)))
    if share < 1:
        what = f"the mean R; the best fixed delays, known afterwards, have {wanted:.1f}"
        bench.fail(what, f"R {wanted - FULL:.1f} or more", f"R {mean:.1f}", "score", share)
    return share


def _nothing_from_the_future(bench: Bench, delays: Delays, lines: Sequence[int]) -> None:
    """The same beginning with another end, and other clocks: until then the lines are the same.

    All questions make one journey, and code that hunts for them finds those that are still to come.
    """
    begin = bench.rng.randrange(len(delays) * 2 // 3, len(delays) * 9 // 10)
    clocks = bench.rng.randrange(-seconds(9000), seconds(9000))
    slower = [delay and delay + ms(200) for delay in delays[begin:]]
    again = _lines(bench, _arrivals(delays[:begin] + slower, clocks))
    bench.steps[-1] += f": the last network again, and all slower after packet {begin}"
    known = sum(delay is not None for delay in delays[:begin])
    off = max(abs(b - a - clocks) for a, b in zip(lines[:known], again[:known], strict=True))
    what = f"after the first {known} packets nothing has been different yet"
    bench.holds(off < ms(1), what, "the same line again", f"off by {_in_ms(off)}", "future")


def _mean(points: Sequence[Point]) -> Point:
    delays, losses = zip(*points, strict=True)
    return sum(delays) / len(points), sum(losses) / len(points)


def _in_ms(nanoseconds: Any) -> str:
    return f"{to_ms(nanoseconds):.0f} ms"


# ------------------------------------------------------------------------------------------------

EXERCISES: Final = (
    Exercise(
        "06.1",
        "A fixed buffer",
        (BUFFER,),
        (
            Part("waits", "It waits before the first, then plays one a turn", 1, _waits),
            Part("orders", "Packets that overtake each other come out in order", 1, _orders),
            Part("holes", "What is missing leaves its turn empty", 1, _holes),
            Part("late", "What comes too late or twice is not played", 1, _late),
            Part("wraps", "After 65535 comes 0", 1, _wraps),
            Part("forgets", "Nothing is kept whose turn has passed", 1, _forgets),
        ),
        {
            "packet": "Give back the very packet that was pushed, or None.",
            "early": "When did the first packet come, and how many nanoseconds must it wait?",
            "first": "The first packet has its turn exactly one delay after it came.",
            "order": "Which number's turn is it? Ask for that one, not for whoever came first.",
            "hole": "An empty turn is a turn: nobody moves up, and nobody waits for it.",
            "late": "Its turn has passed. What would a listener hear?",
            "twice": "One frame is played once, however often its packet comes.",
            "circle": "What follows 65535, and is it greater? `labkit.words.seqnum` knows.",
            "leak": "What becomes of a packet that is here, and whose turn never comes?",
        },
        ("labkit.core.jitterbuffer",),
    ),
    Exercise(
        "06.2",
        "What a network asks for",
        ("jitter", "delay_needed"),
        (
            Part("jitter", "RFC 3550's jitter", 1, _jitter),
            Part("needed", "How long must the quickest wait?", 2, _delays_needed),
            Part("capture", "Both, of a capture", 1, _capture),
        ),
        {
            "formula": "RFC 3550 section 6.4.1 has it in one line; begin with J = 0.",
            "sign": "Is a packet that came earlier than expected less jitter, or jitter too?",
            "sixteenth": "By which part of the difference does J move, at each packet?",
            "unit": "The transits are in milliseconds, and so is the jitter.",
            "spread": "Jitter looks at neighbours, and not at how far each is from the mean.",
            "fastest": "Two clocks are in a transit. What remains when the quickest is taken off?",
            "slowest": "With that delay nobody is too late; some may be.",
            "side": "Which of them come too late: those below the line, or those above?",
            "percent": "A percentage, or a share from 0 to 1?",
            "count": "Sort them. How many may lie above the line?",
            "capture": "The functions do on made-up lists what they should. What of real ones?",
        },
        ("labkit.core.meters", "labkit.core.reception", "labkit.lab.plots", "labkit.lab.answers"),
    ),
    Exercise(
        "06.3",
        "A policy that finds its delay itself",
        (POLICY,),
        (
            Part("clocks", "Clocks that disagree make no difference", 1, _clocks),
            Part("calm", "On a quiet network nobody waits for nothing", 1, _calm),
            Part("rises", "When the network fills, the line rises", 1, _rises),
            Part("sinks", "When it empties, the line sinks", 1, _sinks),
            Part("score", "On networks that nobody has seen", 4, _score),
        ),
        {
            "number": "The line is a transit: a whole number of nanoseconds.",
            "clock": "Only differences of transits mean something. From which packet do you count?",
            "calm": "How high above them must the line be when all packets are alike?",
            "rises": "How soon does your line learn of packets that come above it?",
            "sinks": "For how long do you remember a packet that was slow?",
            "future": "The line may depend on packets that have come, and on nothing else.",
            "score": "Look at the picture: is it the delay that costs, or is it the gaps?",
        },
        ("labkit.core.delaypolicy", "labkit.core.referencepolicies"),
    ),
)

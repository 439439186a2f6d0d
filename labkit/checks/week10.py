"""Week 10: a bounded queue, two rate controllers, and what multicast saves.

The queue is held against the three sentences of `labkit.checks.queues`; the first controller
against the four rules of its text and then on bottlenecks that nobody has seen
(`labkit.checks.bottlenecks`), two and three voices at a time; what multicast saves against
arithmetic, on packets written here by `struct` and on those of a shipped capture. The last
controller is put into the real pipeline, in virtual time: RTP, RTCP twice a second, and a line
that queues and drops as `tc netem` would.
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address
from random import Random
from typing import Any, Final

from labkit.checks.bench import Bench
from labkit.checks.bottlenecks import HIGHEST, LOWEST, START, Asked, Dumbbell, Reporting, jain
from labkit.checks.exercise import Exercise, Part
from labkit.checks.queues import KEY_POINT, NEWEST, OLDEST, QUEUE, Run, Step
from labkit.words.linkspec import LinkSpec
from labkit.words.linkspec import Step as Change
from labkit.words.units import NS_PER_S, ms, seconds, to_seconds

# 10.1: the bounded queue ------------------------------------------------------------------------


def _limit(rng: Random) -> int:
    return rng.randrange(4, 8)


def _puts(rng: Random, count: int, keys: tuple[int, ...] = ()) -> list[Step]:
    return [("put", ms(rng.randrange(1, 40)), place in keys) for place in range(count)]


def _gets(count: int) -> list[Step]:
    return [("get", ms(5), False)] * count


def _orders(bench: Bench) -> None:
    limit = _limit(bench.rng) + 3
    script = _puts(bench.rng, 3) + _gets(2) + _puts(bench.rng, 2) + _gets(5)
    Run(bench, limit, OLDEST, script).play()


def _drops(drop: str) -> Callable[[Bench], None]:
    """A part about one policy: full, over full, emptied; then anything, for long."""

    def run(bench: Bench) -> None:
        limit = _limit(bench.rng)
        script = _puts(bench.rng, limit + 3) + _gets(2) + _puts(bench.rng, 4) + _gets(limit + 1)
        Run(bench, limit, drop, script).play()
        Run(bench, _limit(bench.rng), drop, _anything(bench.rng, 120)).play()

    return run


def _anything(rng: Random, count: int, keys: float = 0.15) -> list[Step]:
    return [
        ("put" if rng.random() < 0.7 else "get", ms(rng.randrange(1, 40)), rng.random() < keys)
        for _ in range(count)
    ]


def _key_points(bench: Bench) -> None:
    rng = bench.rng
    limit = rng.randrange(7, 10)
    first, second = 2, limit - rng.randrange(2, 4)
    script = _puts(rng, limit + 1, (0, first, second)) + _gets(limit)
    Run(bench, limit, KEY_POINT, script).play()  # two key points wait: the newest counts
    script = _puts(rng, limit + 2, (0,)) + _gets(limit)
    Run(bench, limit, KEY_POINT, script).play()  # none waits behind the first
    script = _puts(rng, limit + 1, (2, limit)) + _gets(2)
    Run(bench, limit, KEY_POINT, script).play()  # the one that comes is one itself
    Run(bench, limit, KEY_POINT, _anything(rng, 120)).play()


def _telemetry(bench: Bench) -> None:
    limit = _limit(bench.rng)
    script = [*_gets(1), *_puts(bench.rng, limit + 2), *_gets(2)]
    Run(bench, limit, OLDEST, script + _gets(limit)).play(telemetry=True)
    keys = (1, limit - 1, limit + 2)
    script = _puts(bench.rng, limit + 4, keys) + _gets(limit)
    Run(bench, limit, KEY_POINT, script).play(telemetry=True)
    Run(bench, limit, NEWEST, _puts(bench.rng, limit + 3) + _gets(1)).play(telemetry=True)


# 10.2: additive increase, multiplicative decrease -----------------------------------------------

AIMD: Final = "MyAimd"
INCREASE: Final = 2000
"""Bits a second more, with each second without loss."""
KEPT: Final = 0.8
LITTLE: Final = 0.02
SETTLES: Final = seconds(1)
NEAR: Final = 2e-4


def _told(bench: Bench, aimd: Reporting, loss: float, now: int) -> float:
    bench.step(f"on_report({loss:g}, now) at {to_seconds(now):.1f} s: was {aimd.bitrate:.0f} bit/s")
    return aimd.report(loss, now)


def _adds(bench: Bench) -> None:
    aimd = Reporting(bench, AIMD)
    what = "before the first report"
    bench.near(aimd.bitrate, START, what, "first", room=NEAR)
    now = ms(bench.rng.randrange(20_000, 90_000))
    found = _told(bench, aimd, 0.0, now)
    bench.near(found, START, "after the first report, which ends no interval", "first", room=NEAR)
    for place in range(8):
        passed = ms(100 * bench.rng.randrange(3, 16))
        now += passed
        before = aimd.bitrate
        found = _told(bench, aimd, 0.01 if place == 5 else 0.0, now)
        wanted = before + INCREASE * passed / NS_PER_S
        mistakes = [
            (before + INCREASE, "second"),
            (before + INCREASE / 2, "second"),
            (min(before + INCREASE * passed / 1e6, HIGHEST), "second"),
            (before, "little" if place == 5 else "adds"),
            (before * KEPT, "little"),
        ]
        what = f"{to_seconds(passed):.1f} s without loss"
        bench.near(found, wanted, what, "adds", mistakes, room=NEAR)


def _takes(bench: Bench) -> None:
    for quiet in (2, 9):
        aimd = Reporting(bench, AIMD)
        now = ms(bench.rng.randrange(20_000, 90_000))
        for _ in range(quiet + 1):
            _told(bench, aimd, 0.0, now)
            now += seconds(1)
        before = aimd.bitrate
        loss = bench.rng.randrange(4, 40) / 100
        found = _told(bench, aimd, loss, now)
        mistakes = [
            (max(before * (1 - KEPT), LOWEST), "kept"),
            (before * (1 - loss), "how-much"),
            (before - INCREASE, "share"),
            (before * KEPT + INCREASE, "both"),
            (LOWEST, "kept"),
        ]
        what = f"after a report of {loss:.0%} lost"
        bench.near(found, before * KEPT, what, "takes", mistakes, room=NEAR)


def _bounds(bench: Bench) -> None:
    for loss, bound in ((0.0, HIGHEST), (0.3, LOWEST)):
        aimd = Reporting(bench, AIMD)
        now = ms(bench.rng.randrange(20_000, 90_000))
        for _ in range(30):
            now += seconds(1) + ms(bench.rng.randrange(100, 400))
            _told(bench, aimd, loss, now)
        what = f"after 30 reports of {loss:.0%} lost"
        bench.near(aimd.bitrate, bound, what, "stuck", room=NEAR)


def _once(bench: Bench) -> None:
    aimd = Reporting(bench, AIMD)
    now = ms(bench.rng.randrange(20_000, 90_000))
    for _ in range(4):
        _told(bench, aimd, 0.0, now)
        now += seconds(1)
    after = _told(bench, aimd, 0.2, now)
    for passed, loss in ((ms(300), 0.2), (ms(800), 0.0)):
        found = _told(bench, aimd, loss, now + passed)
        what = f"{to_seconds(passed):.1f} s after the decrease nothing changes"
        mistakes = [(max(after * KEPT, LOWEST), "once")]
        bench.near(found, after, what, "settles", mistakes, room=NEAR)
    found = _told(bench, aimd, 0.0, now + ms(1300))
    wanted = after + INCREASE * 0.5
    mistakes = [(after + INCREASE * 1.3, "since"), (after, "since"), (after + INCREASE, "second")]
    what = "half a second after the report before it, and it settles no more"
    bench.near(found, wanted, what, "since", mistakes, room=NEAR)
    _told(bench, aimd, 0.3, now + ms(1800))
    found = _told(bench, aimd, 0.3, now + ms(3000))
    what = "1.2 s after the second decrease another overload is a new one"
    bench.near(found, max(wanted * KEPT * KEPT, LOWEST), what, "again", room=NEAR)


FAIR: Final = 0.97
USED: Final = 0.8
LOST: Final = 0.05


def _fair(bench: Bench) -> float:
    """Two voices and three, on lines that nobody has seen; each comes when the others have all."""
    shares = []
    for voices in (2, 3):
        capacity = voices * bench.rng.randrange(30_000, 42_000)
        joins = [seconds(bench.rng.randrange(18, 25)) * place for place in range(voices)]
        found = Dumbbell(capacity, joins).run(bench, AIMD)
        late = [rate[len(rate) * 6 // 10 :] for rate in found.rates]
        means = [sum(rate) / len(rate) for rate in late]
        fair, used = jain(means), min(sum(means) / capacity, 1.0)
        bench.step(
            f"{voices} voices share {capacity / 1000:.0f} kbit/s: Jain's index {fair:.3f}, "
            f"{used:.0%} used, {found.lost:.1%} lost"
        )
        bench.drawing = {
            "kind": "lines",
            "x": found.times,
            "lines": {
                f"voice {n}": [r / 1000 for r in rate] for n, rate in enumerate(found.rates, 1)
            },
            "xlabel": "time (s)",
            "ylabel": "bitrate (kbit/s)",
            "level": [capacity / voices / 1000, "a fair share"],
        }
        share = min(1.0, max(0.0, (fair - 0.8) / (FAIR - 0.8)))
        what = f"in the last 40 s Jain's index of {voices} voices"
        if fair < FAIR:
            bench.fail(what, f"at least {FAIR}", f"{fair:.3f}", "fair", share / 2)
        what = f"in the last 40 s {voices} voices use the line"
        bench.holds(used >= USED, what, f"at least {USED:.0%} of it", f"{used:.0%}", "uses")
        what = f"{voices} voices lose little"
        bench.holds(found.lost <= LOST, what, f"at most {LOST:.0%}", f"{found.lost:.1%}", "loses")
        shares.append(share)
    return min(shares)


# 10.3: what multicast saves ---------------------------------------------------------------------

HEADERS: Final = 40
RATE: Final = 50
"""Packets a second: one each 20 ms."""


def _line_rate(bench: Bench) -> None:
    for _ in range(3):
        listeners, bitrate = bench.rng.randrange(3, 400), 1000 * bench.rng.randrange(12, 65)
        one = bitrate + HEADERS * 8 * RATE
        for multicast in (False, True):
            found = bench.call("line_rate", listeners, bitrate, multicast)
            wanted = one if multicast else listeners * one
            times = 1 if multicast else listeners
            mistakes = [
                (listeners * one if multicast else one, "which"),
                (times * bitrate, "headers"),
                (times * bitrate + HEADERS * 8 * RATE, "headers"),
                (times * (bitrate + HEADERS * RATE), "bits"),
                (times * (bitrate // 8 + HEADERS * RATE), "bits"),
                (times * (bitrate + 28 * 8 * RATE), "rtp"),
                (times * (bitrate + 12 * 8 * RATE), "rtp"),
            ]
            what = "bits a second on the server's line"
            bench.near(found, wanted, what, "rate", mistakes, room=1e-9)


def ipv4(
    source: str, destination: str, body: bytes, *, protocol: int = 17, options: int = 0
) -> bytes:
    """An IPv4 packet (RFC 791 section 3.1), with so many words of options."""
    size = 20 + 4 * options
    ends = IPv4Address(source).packed + IPv4Address(destination).packed
    words = 0x40 | (size // 4), 0, size + len(body), 1, 0, 64, protocol, 0
    return struct.pack("!BBHHHBBH", *words) + ends + b"\x94\x04\x00\x00" * options + body


def udp(data: bytes, ports: tuple[int, int] = (5000, 5004)) -> bytes:
    """A UDP datagram (RFC 768)."""
    return struct.pack("!HHHH", *ports, 8 + len(data), 0) + data


def rtp(seq: int, timestamp: int, ssrc: int, payload: bytes, *, marker: bool = False) -> bytes:
    """RTP, version 2 (RFC 3550 section 5.1), payload type 111."""
    return struct.pack("!BBHII", 0x80, 111 | marker << 7, seq, timestamp, ssrc) + payload


def rtcp(kind: int, ssrc: int, rest: bytes) -> bytes:
    """An RTCP packet of a kind, and something in it."""
    return struct.pack("!BBHI", 0x80, kind, 1 + len(rest) // 4, ssrc) + rest


class Made:
    """Packets of a line on which voices are sent to hosts and to groups."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.packets: list[bytes] = []
        self.sent = {False: 0, True: 0}
        self.sounds: dict[bool, set[tuple[int, int]]] = {False: set(), True: set()}

    def voice(
        self, to: str, ssrc: int, count: int, *, first: int = 0, options: int = 0, every: int = 0
    ) -> None:
        """A voice to one destination, from its packet `first` on; now and then RTCP of a kind."""
        group = 224 <= int(to.split(".")[0]) <= 239
        for place in range(first, count):
            timestamp = (ssrc * 7919 + place * 960) % 2**32
            sound = bytes(self.rng.randrange(40, 120))
            data = rtp(place, timestamp, ssrc, sound, marker=place % 25 == 0)
            self.packets.append(ipv4("10.0.0.1", to, udp(data), options=options))
            self.sent[group] += 1
            self.sounds[group].add((ssrc, timestamp))
            if every and place % every == 0:
                kind = 200 + place // every % 4
                self.packets.append(
                    ipv4("10.0.0.1", to, udp(rtcp(kind, ssrc, self.rng.randbytes(20))))
                )

    def mixed(self) -> list[bytes]:
        """In any order."""
        self.rng.shuffle(self.packets)
        return self.packets

    @property
    def copies(self) -> tuple[float, float]:
        """How often each sound crosses, to hosts and to groups."""
        one, all_ = (
            self.sent[g] / len(self.sounds[g]) if self.sounds[g] else 0.0 for g in (False, True)
        )
        return one, all_


def _count(bench: Bench, made: Made, told: str, hint: str) -> None:
    packets = made.mixed()
    bench.step(f"copies of {len(packets)} packets: {told}")
    found = bench.returned(bench.subject.call("copies", packets))
    pair = type(found) in (tuple, list) and len(found) == 2
    bench.holds(pair, "two numbers: to hosts, and to groups", "two numbers", found, "pair")
    wanted = made.copies
    swapped = type(found[0]) in (int, float) and abs(found[0] - wanted[1]) < 1e-6
    hint = "swapped" if swapped and wanted[0] != wanted[1] else hint
    for value, right, whom in zip(found, wanted, ("hosts", "groups"), strict=True):
        what = f"how often each sound is sent, to {whom}"
        bench.near(value, right, what, hint, room=1e-6) if right else bench.equal(
            value, 0.0, what, "nothing"
        )


def _voices(bench: Bench) -> None:
    rng, count = bench.rng, bench.rng.randrange(30, 60)
    ssrc = rng.randrange(1, 2**16)
    made = Made(rng)
    for host, first in enumerate((0, rng.randrange(5, 12), rng.randrange(13, 25))):
        made.voice(f"10.0.1.{host + 1}", ssrc, count, first=first)
    made.voice("239.9.0.1", ssrc + 1, count)
    _count(bench, made, "three listeners, of whom two come later, and a group", "average")
    made = Made(rng)
    made.voice("223.255.255.254", ssrc, count)
    made.voice("223.255.255.253", ssrc, count)
    for group in ("224.0.1.9", "232.0.0.7", "239.255.255.250"):
        made.voice(group, ssrc + 5, count)
    _count(bench, made, "two hosts, and three groups from 224 to 239", "groups")
    made = Made(rng)
    made.voice("10.0.1.1", ssrc, count)
    _count(bench, made, "one listener, and nothing to any group", "average")


def _others(bench: Bench) -> None:
    rng, count = bench.rng, bench.rng.randrange(40, 60)
    ssrc = rng.randrange(1, 2**16)
    made = Made(rng)
    for to in ("10.0.1.1", "10.0.1.2", "239.9.0.1"):
        made.voice(to, ssrc, count, every=5)
    _count(bench, made, "RTCP is among them", "rtcp")
    made = Made(rng)
    for to in ("10.0.1.1", "10.0.1.2", "239.9.0.1"):
        made.voice(to, ssrc, count, options=rng.randrange(1, 4))
    _count(bench, made, "the IPv4 headers have options", "options")
    made = Made(rng)
    for to in ("10.0.1.1", "239.9.0.1"):
        made.voice(to, ssrc, count)
    report = struct.pack("!BxHxxH", 0x22, 0, 1) + bytes([4, 0, 0, 0, 239, 9, 0, 1]) + bytes(16)
    for place in range(12):
        made.packets.append(ipv4("10.0.1.1", "224.0.0.22", report, protocol=2, options=1))
        segment = struct.pack("!HHIIBBHHH", 5000, 80, place, 0, 0x50, 0x10, 512, 0, 0)
        made.packets.append(ipv4("10.0.1.1", "10.0.0.9", segment + bytes(30), protocol=6))
    _count(bench, made, "IGMP and TCP are among them", "protocol")
    made = Made(rng)
    made.voice("10.0.1.1", 1, count)
    for packet in list(made.packets):  # another speaker, who counts the same ticks
        data = bytearray(packet)
        data[36:40] = struct.pack("!I", 2)
        made.packets.append(bytes(data))
        made.sent[False] += 1
    made.sounds[False] |= {(2, timestamp) for _, timestamp in made.sounds[False]}
    _count(bench, made, "two speakers whose timestamps are the same", "speaker")


def _capture(bench: Bench) -> None:
    packets, wanted = _captured()
    bench.step(f"copies of the {len(packets)} packets of the capture 10_multicast")
    found = bench.returned(bench.subject.call("copies", list(packets)))
    pair = type(found) in (tuple, list) and len(found) == 2
    bench.holds(pair, "two numbers: to hosts, and to groups", "two numbers", found, "pair")
    for value, right, whom in zip(found, wanted, ("hosts", "groups"), strict=True):
        what = f"how often each sound is sent, to {whom}"
        bench.near(value, right, what, "capture", room=1e-6)


@lru_cache(maxsize=1)
def _captured() -> tuple[tuple[bytes, ...], tuple[float, float]]:
    """The packets of the capture, and how often each sound crosses: by the kit's own readers."""
    from labkit.lab.captures import capture

    traffic = capture("10_multicast")
    found = []
    for kind in ("10.", "239."):
        voices = [v for v in traffic.voices if v.destination[0].startswith(kind)]
        sent = [(v.ssrc, p.timestamp) for v in voices for p in v.arrived]
        found.append(len(sent) / len(set(sent)))
    return tuple(packet.data for packet in traffic), (found[0], found[1])


# 10.4: a controller that hears the queue --------------------------------------------------------

CONTROLLER: Final = "MyController"
PACKETS: Final = 100
"""That the line queues: two or three seconds of voice."""
BEST, WORST = 350.0, 1500.0
"""Milliseconds that one of twenty packets may wait: for all points, and for none."""


def _run(bench: Bench, line: LinkSpec, duration: float) -> Any:
    from labkit.lab.adaptation import adapt

    bench.step(f"{duration:g} s of voice on a line of {_said(line)}")
    flow = adapt(Asked(bench, CONTROLLER), line, duration_s=duration)
    times, rates = zip(*flow.controller.said, strict=True)
    bench.drawing = {
        "kind": "lines",
        "x": [to_seconds(now) for now in times],
        "lines": {"your bitrate": [rate / 1000 for rate in rates]},
        "xlabel": "time (s)",
        "ylabel": "bitrate (kbit/s)",
        "level": [
            (line.rate / 1000 - 16) if line.rate else HIGHEST / 1000,
            "room on the line, at first" if line.steps else "room on the line",
        ],
    }
    return flow


def _said(line: LinkSpec) -> str:
    rate = f"{line.rate / 1000:g} kbit/s" if line.rate else "any rate"
    return f"{rate}, {line.delay / 1e6:g} ms"


def _thin(rng: Random) -> LinkSpec:
    delay = ms(rng.randrange(15, 45))
    return LinkSpec(delay=delay, rate=1000 * rng.randrange(44, 56), limit=PACKETS)


def _waits(bench: Bench) -> float:
    line = _thin(bench.rng)
    flow = _run(bench, line, 36)
    wait, room = _percentile(flow.waits(10), 95), line.rate - 16_000
    used = sum(rates := [min(r, room) for r in flow.bitrates(10)]) / len(rates) / room
    bench.step(f"one of twenty waits {wait:.0f} ms or more; {used:.0%} of the room is used")
    what = "with 16 kbit/s of headers beside it, it uses the line"
    bench.holds(used >= 0.7, what, "at least 70 % of the room", f"{used:.0%}", "uses")
    share = min(1.0, max(0.0, (WORST - wait) / (WORST - BEST)))
    if share < 1:
        what = "from the tenth second on, 95 of 100 packets wait no longer than this in the queue"
        bench.fail(what, f"{BEST:.0f} ms", f"{wait:.0f} ms", "waits", share)
    return share


def _wide(bench: Bench) -> None:
    line = LinkSpec(delay=ms(bench.rng.randrange(60, 180)))
    rates = _run(bench, line, 26).bitrates(22)
    found = sum(rates) / len(rates)
    what = "a line that is long, and wide: after 22 s"
    bench.holds(found >= 60_000, what, "60 kbit/s or more", _kbit(found), "long")


def _shaky(bench: Bench) -> None:
    delay, jitter = ms(bench.rng.randrange(30, 60)), ms(bench.rng.randrange(6, 12))
    line = LinkSpec(delay=delay, jitter=jitter, distribution="normal", loss=0.005)
    rates = _run(bench, line, 32).bitrates(20)
    found = sum(rates) / len(rates)
    what = f"a wide line whose delay shakes by {jitter / 1e6:g} ms: from the 20th second on"
    bench.holds(found >= 45_000, what, "45 kbit/s or more", _kbit(found), "shakes")


def _widens(bench: Bench) -> None:
    thin = _thin(bench.rng)
    at = seconds(bench.rng.randrange(10, 14))
    steps = (Change(at, LinkSpec(delay=thin.delay, rate=160_000, limit=PACKETS)),)
    line = LinkSpec(delay=thin.delay, rate=thin.rate, limit=PACKETS, steps=steps)
    bench.step(f"after {to_seconds(at):g} s the line is widened to 160 kbit/s")
    rates = _run(bench, line, to_seconds(at) + 28).bitrates(to_seconds(at) + 24)
    found = sum(rates) / len(rates)
    what = "24 s after the line was widened"
    bench.holds(found >= 50_000, what, "50 kbit/s or more", _kbit(found), "climbs")


def _percentile(values: Any, percent: float) -> float:
    ordered = sorted(float(value) for value in values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def _kbit(rate: float) -> str:
    return f"{rate / 1000:.0f} kbit/s"


# ------------------------------------------------------------------------------------------------

EXERCISES: Final = (
    Exercise(
        "10.1",
        "The bounded queue",
        (QUEUE,),
        (
            Part("orders", "First in, first out", 1, _orders),
            Part("oldest", "Full: the oldest goes", 1, _drops(OLDEST)),
            Part("newest", "Full: the newest goes", 1, _drops(NEWEST)),
            Part("key-points", "Full: all before the newest key point go", 1, _key_points),
            Part("telemetry", "Drops and lag", 1, _telemetry),
        ),
        {
            "order": "Which of those that wait came first?",
            "room": "While there is room nobody has to go.",
            "tell": "A list of those that were dropped for this one: empty, or with one or more.",
            "side": "At which end does this policy drop, the one where they come or where they go?",
            "newest": "Which is the newest of all: the last that waits, or the one that comes now?",
            "bound": "How many wait after a put, at most?",
            "left": "What it said was right. Is that also what it did?",
            "which": "Several key points wait. From which of them on does nothing old remain?",
            "itself": "Who gets a key point needs nothing before it, but the point itself.",
            "all-before": "Why keep what lies between the oldest and the key point?",
            "comes": "May the packet that comes be a key point itself? What needs those before it?",
            "none-waits": "No key point waits behind the first. Is that a reason to lose them all?",
            "count": "Is `dropped` a number of packets, or of times that something was dropped?",
            "age": "How long is it since the oldest came?",
            "whose": "The lag is that of the oldest, who has waited longest.",
            "unit": "Times are nanoseconds, and so is what lies between them.",
            "empty": "Nobody waits: for how long has nobody waited?",
        },
        ("labkit.core.flowcontrol",),
    ),
    Exercise(
        "10.2",
        "Additive increase, multiplicative decrease",
        (AIMD,),
        (
            Part("adds", "So much more with each second", 1, _adds),
            Part("takes", "A share less when something is lost", 1, _takes),
            Part("bounds", "From 16 to 64 kbit/s", 1, _bounds),
            Part("once", "One overload costs once", 1, _once),
            Part("fair", "On bottlenecks that nobody has seen", 2, _fair),
        ),
        {
            "number": "What is asked for is a number: bits a second, 32 000 at first.",
            "first": "It starts with 32 000; the first report has no report before it.",
            "adds": "Additive: the same number of bits a second, whatever the bitrate is.",
            "second": "Reports come at any interval. How much time, in seconds, has passed?",
            "little": "Up to two per cent lost is a radio link, and counts as nothing.",
            "takes": "Multiplicative: so many hundredths of what it was.",
            "share": "A fixed amount is a lot for who has little. Take a share of what it has.",
            "kept": "Is 0.8 what is kept, or what is taken?",
            "how-much": "How much was lost does not matter, only that more than a little was.",
            "both": "Up or down: never both for one report.",
            "bounds": "Never below 16 000, never above 64 000, whatever is reported.",
            "stuck": "Does it reach the bound, in the end?",
            "once": "Those packets were sent before the last decrease. Is their loss news?",
            "settles": "For a second after a decrease nothing changes, in neither direction.",
            "since": "From which report on does the time without loss count?",
            "again": "When a second has passed, the next overload counts.",
            "fair": "Who has more must lose more, and both must gain the same.",
            "uses": "The line carries more. How far down does it go, and how soon up again?",
            "loses": "How far above the line does it go, and for how long?",
        },
        ("labkit.core.ratecontrol", "labkit.core.congestion", "labkit.lab.adaptation"),
    ),
    Exercise(
        "10.3",
        "What multicast saves",
        ("line_rate", "copies"),
        (
            Part("rate", "Bits a second on the server's line", 1, _line_rate),
            Part("voices", "How often each sound is sent", 1, _voices),
            Part("others", "What is no voice, and headers that are longer", 1, _others),
            Part("capture", "The same, of a capture", 1, _capture),
        ),
        {
            "rate": "One packet each 20 ms: how many a second, and how many bits is each?",
            "which": "Who makes the copies, the server or the network?",
            "headers": "Each packet of each listener has 40 bytes before its sound.",
            "bits": "Headers are counted in bytes, rates in bits.",
            "rtp": "IPv4 has 20 bytes, UDP 8, RTP 12.",
            "pair": "Return two numbers: how often to hosts, and how often to groups.",
            "swapped": "First the number for hosts, then the one for groups.",
            "average": "Packets of voice, divided by the different sounds among them.",
            "nothing": "Where nothing was sent there is nothing to divide by: 0.0.",
            "groups": "Groups are 224.0.0.0 to 239.255.255.255; look at the first byte alone.",
            "rtcp": "RTCP comes on the same ports. Its second byte is 192 to 223 (RFC 5761).",
            "options": "An IPv4 header may be longer than 20 bytes; its first byte says how long.",
            "protocol": "Not all that is IP is UDP: which byte says what follows the header?",
            "speaker": "Two speakers may count the same ticks. What tells them apart (RFC 3550)?",
            "capture": "On made-up packets it is right. What is in a real capture besides voice?",
        },
        ("labkit.lab.answers", "labkit.lab.traffic", "labkit.lab.dissection"),
    ),
    Exercise(
        "10.4",
        "A controller that hears the queue",
        (CONTROLLER,),
        (
            Part("waits", "A thin line: little waits, and the line is used", 2, _waits),
            Part("wide", "A long, wide line: distance is no congestion", 1, _wide),
            Part("shaky", "A radio link: nor is a delay that shakes", 1, _shaky),
            Part("widens", "When the line is widened, it climbs", 1, _widens),
        ),
        {
            "number": "The bitrate is a number of bits a second, also before the first report.",
            "bounds": "Never below 16 000, never above 64 000, whatever is reported.",
            "waits": "What does a round trip take longer than the shortest one you have seen?",
            "uses": "How far down, and how often? A queue that drains needs no second cut.",
            "long": "Half of the world is 150 ms away. Which part of a round trip is waiting?",
            "shakes": "On a line that shakes one long round trip says little. Do several?",
            "climbs": "The queue is empty, nothing is lost. What keeps it down?",
        },
        ("labkit.core.ratecontrol", "labkit.core.congestion"),
    ),
)
"""What people write in week 10."""

"""Week 5: a packetizer, counters, what a capture tells of datagrams, and a voice over all of it.

What is expected is counted by hand: sound becomes bytes through numpy, and what was cut, lost,
doubled or overtaken is known from the order in which it was sent (`labkit.checks.datagrams`).

A packetizer does not change with the network, so all its sound is pushed in one journey, and the
packets then cross the kit's own pipeline (`labkit.lab.packets`), on lines that nobody has seen.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import Any, Final

import numpy as np

from labkit.checks.bench import Bench
from labkit.checks.datagrams import (
    BEFELL,
    IP_HEADER,
    UDP_HEADER,
    Figures,
    Fragment,
    arrivals_of,
    befallen,
    bursts_of,
    figures_of,
    incomplete_of,
    pieces_of,
)
from labkit.checks.exercise import Exercise, Part
from labkit.checks.subject import Ask
from labkit.core.impairment import Impairment
from labkit.words.linkspec import LinkSpec, Reorder
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32
from labkit.words.units import ms

FRAME: Final = 960
"""Samples of 20 ms at 48 kHz."""

# 05.1: a packetizer -----------------------------------------------------------------------------

PACKETIZER: Final = "MyPacketizer"
NO_LIMIT: Final = 60_000
MOST: Final = 2000
"""Packets of one push: more are a mistake, whatever it is."""
LONGEST: Final = 65_000
"""Bytes that fit into a datagram, with room for headers."""


def _sound(rng: Random, length: int, channels: int) -> Any:
    dice = np.random.default_rng(rng.randrange(2**32))
    return dice.integers(-32768, 32768, (length, channels)).astype(np.int16)


def _blocks(rng: Random, sound: Any) -> list[Any]:
    """The sound as a sound card gives it: blocks of any length, also of none."""
    sizes = [0, 441, 1, 2500, 960, 128, *(rng.randrange(1, 2000) for _ in range(40))]
    rng.shuffle(sizes)
    ends = np.cumsum(sizes)
    return [block for block in np.split(sound, ends[ends < len(sound)])]  # noqa: C416  (a list)


def _numbers(rng: Random) -> tuple[int, int]:
    """Where seq and timestamp begin: far from where they wrap."""
    return rng.randrange(100, 60_000), rng.randrange(10**6, 10**9)


def _is_packet(packet: Any) -> bool:
    """Whether it fits a datagram of ours."""
    return (
        type(packet) is Packet
        and 0 <= packet.seq < 1 << 16
        and 0 <= packet.timestamp < 1 << 32
        and len(packet.payload) <= LONGEST
    )


def _push(
    bench: Bench, blocks: Sequence[Any], limit: int, numbers: tuple[int, int]
) -> list[list[Packet]]:
    """What each push gave."""
    handle = bench.subject.new_handle()
    asks = [Ask("make", PACKETIZER, (limit, *numbers), into=handle)]
    asks += [Ask("call", "push", (block,), handle) for block in blocks]
    bench.step(f"{PACKETIZER}({limit}, {numbers[0]}, {numbers[1]})")
    outcomes = bench.subject.ask(asks)
    bench.returned(outcomes[0])
    given = []
    for block, outcome in zip(blocks, outcomes[1:], strict=False):
        bench.step(f"push {len(block)} samples, {_channels(block.shape[1])}")
        found = bench.returned(outcome)
        well = type(found) is list and len(found) <= MOST and all(map(_is_packet, found))
        what = "push gives a list of packets whose numbers fit the header; it may be empty"
        bench.holds(well, what, "a list of Packet", found, "packets")
        bench.steps[-1] += f" gives {', '.join(map(_told, found)) or 'nothing'}"
        given.append(found)
    return given


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def _told(packet: Packet) -> str:
    return f"#{packet.seq} ts={packet.timestamp} {len(packet.payload)} bytes"


def _in_bytes(sound: Any) -> bytes:
    """RFC 3551 section 4.5.11."""
    return bytes(sound.astype(">i2").tobytes())


def _frames(bench: Bench) -> None:
    for channels in (1, 2):
        size = 2 * channels
        sound = _sound(bench.rng, 8000, channels)
        blocks = _blocks(bench.rng, sound)
        given = _push(bench, blocks, NO_LIMIT, _numbers(bench.rng))
        heard = sent = 0
        for block, packets in zip(blocks, given, strict=True):
            heard += len(block)
            for packet in packets:
                _a_frame(bench, packet, sound[sent : sent + FRAME], len(block) * size)
                sent += FRAME
            what = f"after {heard} samples so many whole frames were given"
            bench.equal(sent // FRAME, heard // FRAME, what, "rest")


def _a_frame(bench: Bench, packet: Packet, sound: Any, block: int) -> None:
    """This packet carries this frame, and nothing else."""
    wanted, found = _in_bytes(sound), packet.payload
    what = f"the next packet is the next {FRAME} samples"
    if len(found) != FRAME * 2 * sound.shape[1]:
        hint = "chunks" if len(found) == block else "rest"
        bench.fail(what, f"{FRAME * 2 * sound.shape[1]} bytes", f"{len(found)} bytes", hint)
    mistakes = [(sound.astype("<i2").tobytes(), "endian"), (_in_bytes(sound.T), "endian")]
    bench.drawing = _beside(wanted, found, sound.shape[1])
    bench.equal(found, wanted, what, "rest", mistakes)
    bench.drawing = None


def _beside(wanted: bytes, yours: bytes, channels: int) -> dict[str, Any]:
    """The first samples of two payloads, as data for a picture."""
    names = ("left", "right") if channels == 2 else ("sample",)
    fields = [(f"{names[n % channels]} {n // channels}", 2 * n, 2 * n + 1) for n in range(6)]
    return {
        "kind": "bytes", "fields": fields, "wanted": wanted[:12].hex(), "yours": yours[:12].hex()
    }  # fmt: skip


LIMITS: Final = ((1200, 1), (1200, 2), (1201, 2), (280, 1), (160, 1), (1921, 1))
"""Bytes, and channels of the sound."""


def _cut(
    bench: Bench, limit: int, channels: int, numbers: tuple[int, int]
) -> tuple[Any, list[list[Packet]]]:
    """Three frames, pushed one by one."""
    sound = _sound(bench.rng, 3 * FRAME, channels)
    return sound, _push(bench, np.split(sound, 3), limit, numbers)


def _limit(bench: Bench) -> None:
    for limit, channels in (*LIMITS, (bench.rng.randrange(200, 3000), 2)):
        sound, given = _cut(bench, limit, channels, _numbers(bench.rng))
        packets = [packet for each in given for packet in each]
        longest = max((len(packet.payload) for packet in packets), default=0)
        what = f"no payload is longer than {limit} bytes"
        bench.holds(longest <= limit, what, f"at most {limit}", longest, "limit")
        odd = next((p for p in packets if len(p.payload) % (2 * channels)), None)
        what = f"each payload is whole: a multiple of {2 * channels} bytes"
        bench.holds(odd is None, what, what, odd and _told(odd), "sample")
        joined = b"".join(packet.payload for packet in packets)
        bench.equal(joined, _in_bytes(sound), "all payloads together are all the sound", "lost")


def _even(bench: Bench) -> None:
    for limit, channels in LIMITS:
        size = 2 * channels
        _, given = _cut(bench, limit, channels, _numbers(bench.rng))
        count = -(-FRAME // (limit // size))
        for packets in given:
            what = f"a frame of {FRAME * size} bytes, {limit} in a packet: as few as can be"
            bench.equal(len(packets), count, what, "few")
            lengths = sorted(len(packet.payload) // size for packet in packets)
            what = "and as equal as can be: one sample more or less"
            least = f"all of {FRAME // count} or {-(-FRAME // count)} samples"
            found = f"from {lengths[0]} to {lengths[-1]} samples"
            bench.holds(lengths[-1] - lengths[0] <= 1, what, least, found, "even")


def _numbered(bench: Bench, numbers: tuple[int, int], cuts: Sequence[tuple[int, int]]) -> None:
    """Each packet has the next number, and the timestamp of its own first sample."""
    wraps = numbers[0] > 65_000
    for limit, channels in cuts:
        _, given = _cut(bench, limit, channels, numbers)
        seq, timestamp, bytes_before = *numbers, 0
        for packet in (packet for each in given for packet in each):
            what = "sequence numbers count packets"
            bench.equal(packet.seq, seq, what, "circle" if wraps else "seq")
            what = f"the timestamp of packet {seq} is that of its first sample"
            size = 2 * channels
            samples = len(packet.payload) // size
            mistakes = [] if wraps else [(add32(numbers[1], bytes_before), "ticks")]
            hint = "circle" if wraps and timestamp < numbers[1] else "ticks"
            bench.equal(packet.timestamp, timestamp, what, hint, mistakes)
            seq, timestamp = add16(seq, 1), add32(timestamp, samples)
            bytes_before += len(packet.payload)
        bench.holds(any(given), "there are packets", "some", "none", "seq")


def _counts(bench: Bench) -> None:
    _numbered(bench, _numbers(bench.rng), ((NO_LIMIT, 1), *LIMITS[:3]))


def _wraps(bench: Bench) -> None:
    seq, timestamp = (1 << 16) - bench.rng.randrange(2, 4), (1 << 32) - bench.rng.randrange(1, 900)
    _numbered(bench, (seq, timestamp), ((1200, 2),))


# 05.2: counters ---------------------------------------------------------------------------------

COUNTERS: Final = "Counters"
NAMES: Final = ("expected", "lost", "duplicates", "reordered")

Hint = Callable[[Figures, Figures], str]


def _follow(bench: Bench, first: int, places: Sequence[int], hint: Hint) -> None:
    """Count one packet after the other, and look at the figures after each."""
    handle = bench.subject.new_handle()
    asks = [Ask("make", COUNTERS, (), into=handle)]
    for place in places:
        asks.append(Ask("call", "add", (add16(first, place),), handle))
        asks.append(Ask("call", "figures", (), handle))
    bench.step(f"{COUNTERS}()")
    outcomes = bench.subject.ask(asks)
    bench.returned(outcomes[0])
    for number, place in enumerate(places):
        bench.step(f"add({add16(first, place)})")
        for outcome in outcomes[2 * number + 1 : 2 * number + 3]:
            found = bench.returned(outcome)
        wanted = figures_of(places[: number + 1])
        what = f"figures() is ({', '.join(NAMES)})"
        four = type(found) is tuple and [type(each) for each in found] == [int] * 4
        bench.holds(four, what, wanted, found, "four")
        bench.steps[-1] += f": {found}"
        if found != wanted:
            wrong = next(name for name, a, b in zip(NAMES, found, wanted, strict=True) if a != b)
            kept = wanted[1] + wanted[3]  # whoever came late is still lost
            idea = "filled" if found == (wanted[0], kept, *wanted[2:]) else hint(found, wanted)
            bench.fail(f"{what}: {wrong}", wanted, found, idea)


def _holes(rng: Random, count: int, often: int) -> list[int]:
    """Places of packets in order; some are missing, singly and in a row, the first one never."""
    gone = set(rng.sample(range(2, count - 4, 4), often))
    gone.add(min(gone) + 1)
    return [place for place in range(count) if place not in gone]


def _lost(bench: Bench) -> None:
    places = _holes(bench.rng, 24, 3)

    def hint(found: Figures, wanted: Figures) -> str:
        return "expected" if found[0] != wanted[0] else "gaps"

    _follow(bench, _first(bench.rng), places, hint)


def _first(rng: Random) -> int:
    return rng.randrange(1000, 60_000)


def _late(bench: Bench) -> None:
    places = list(range(20))
    for at, step in ((3, 1), (8, 3), (bench.rng.randrange(13, 15), 2)):
        places.insert(at + step, places.pop(at))  # it comes after so many others
    places.insert(5, places.pop(7))  # and this one before two others
    places.remove(bench.rng.choice((17, 18)))

    def hint(found: Figures, wanted: Figures) -> str:
        return "reordered" if found[3] != wanted[3] else "filled"

    _follow(bench, _first(bench.rng), places, hint)


def _twice(bench: Bench) -> None:
    places = _holes(bench.rng, 20, 2)
    late = places.pop(9)
    places.insert(11, late)
    for at in (15, 13, 4):  # at once, a little later, and much later
        places.insert(at + 1, places[at])
    places.insert(16, places[bench.rng.randrange(2, 5)])
    places.append(late)

    def hint(found: Figures, wanted: Figures) -> str:
        return "twice" if found[2] < wanted[2] else "copy"

    _follow(bench, _first(bench.rng), places, hint)


def _around(bench: Bench) -> None:
    first = 65_536 - bench.rng.randrange(4, 7)
    zero = 65_536 - first
    places = list(range(zero + 6))
    places.remove(zero + 3)
    places.remove(zero - 1)
    places.insert(zero + 1, zero - 1)  # 65535 comes after 0 and 1
    places.insert(zero + 3, zero - 2)  # a copy from before the wrap
    _follow(bench, first, places, lambda *_: "circle")


def _turns(bench: Bench) -> None:
    """Nearly everything is lost: so a dozen packets go round twice."""
    first, step = _first(bench.rng), 1 << 13
    places = [step * number for number in range(20)]
    places[6:6] = [places[5] - 2]
    places[15:15] = [places[14] - step]
    _follow(bench, first, places, lambda *_: "turn")


# 05.3: captures ---------------------------------------------------------------------------------


def _fragments(bench: Bench) -> None:
    sizes = [
        (1928, 576),
        (968, 1500),
        (1472, 1500),
        (1473, 1500),
        (bench.rng.randrange(3000, 6000), 1006),
        (2 * 552 + bench.rng.randrange(1, 5) - UDP_HEADER, 576),  # the rest fits as it is
    ]
    for size, mtu in sizes:
        found = bench.call("fragments", size, mtu)
        wanted = pieces_of(size, mtu)
        if type(found) is list:
            found = [tuple(each) if type(each) is list else each for each in found]
        whole, step = size + UDP_HEADER, mtu - IP_HEADER
        uneven = [(at, min(step, whole - at), at + step < whole) for at in range(0, whole, step)]
        eights = [(at // 8, length, more) for at, length, more in wanted]
        again = [(at, min(step // 8 * 8, whole - at), at + step // 8 * 8 < whole)
                 for at in range(0, whole, step // 8 * 8)]  # fmt: skip
        mistakes = [
            (again if whole > step else wanted, "fits"),
            (pieces_of(size, mtu, (20, 0)), "udp"),
            (pieces_of(size, mtu, (0, 8)), "ip"),
            (pieces_of(size, mtu, (28, 0)), "udp"),
            (uneven, "eights"),
            (eights, "bytes"),
            ([(*each[:2], not each[2]) for each in wanted], "more"),
            ([(*each[:2], True) for each in wanted], "more"),
        ]
        what = f"(offset, length, more) for {size} bytes of payload and an MTU of {mtu}"
        bench.equal(found, wanted, what, "udp", mistakes)


def _incomplete(bench: Bench) -> None:
    for hint, kinds in BEFELL.items():
        packets = befallen(bench.rng, kinds)
        found = bench.call("incomplete", packets)
        wanted = incomplete_of(packets)
        what = "identifications of the datagrams that were cut and did not come whole"
        short = [each[0] for each in packets if each[1] == 0 and not each[3]]
        if type(found) is list and set(short) & {each for each in found if type(each) is int}:
            bench.fail(what, wanted, found, "short")
        bench.equal(found, wanted, what, hint)


def _bursts(bench: Bench) -> None:
    for wraps in (False, True):
        first = 65_536 - 12 if wraps else _first(bench.rng)
        places = _holes(bench.rng, 30, 3)
        if wraps:
            places = [place for place in places if place not in (11, 12)]
        _gaps(bench, first, places, "wrap" if wraps else "gap")
    places = _holes(bench.rng, 30, 3)
    late = places.pop(20)
    places.insert(23, late)
    places.insert(8, places[7])
    _gaps(bench, _first(bench.rng), places, "late")


def _gaps(bench: Bench, first: int, places: Sequence[int], hint: str) -> None:
    seqs = [add16(first, place) for place in places]
    found = bench.call("bursts", seqs)
    if type(found) is list:
        found = [tuple(each) if type(each) is list else each for each in found]
    wanted = bursts_of(first, places)
    before = [(add16(seq, -1), count) for seq, count in wanted]
    longer = [(seq, count + 1) for seq, count in wanted]
    both = [(seq, count + 1) for seq, count in before]
    mistakes = [(before, "gap"), (longer, "gap"), (both, "gap")]
    bench.equal(found, wanted, "(first number missing, how many), for each gap", hint, mistakes)


def _capture(bench: Bench) -> None:
    """Both captures; identifications and numbers are moved, so that no answer can be known."""
    fragments, places = _captured()
    shift, first = bench.rng.randrange(1, 20_000), bench.rng.randrange(65_536)
    packets = [(each + shift, *rest) for each, *rest in fragments]
    bench.step(f"the {len(packets)} IP packets of 05_fragments, identifications moved by {shift}")
    found = bench.returned(bench.subject.call("incomplete", packets))
    wanted = incomplete_of(packets)  # type: ignore[arg-type]
    bench.equal(found, wanted, "the datagrams of which a part is missing", "capture")
    seqs = [add16(first, place) for place in places]
    bench.step(f"the {len(seqs)} datagrams of 05_loss, numbered from {first} on")
    found = bench.returned(bench.subject.call("bursts", seqs))
    if type(found) is list:
        found = [tuple(each) if type(each) is list else each for each in found]
    bench.equal(found, bursts_of(first, places), "what was lost", "capture")


@lru_cache(maxsize=1)
def _captured() -> tuple[tuple[Fragment, ...], tuple[int, ...]]:
    """The IP packets of one capture that come from the speaker; the numbers of the other."""
    from labkit.lab.captures import capture

    cut = capture("05_fragments")
    speaker = cut.voices[0].source[0]
    fragments = []
    for packet in cut:
        ip = packet.found["IP"]
        if ip.text("source") == speaker:
            length = ip["total length"] - 4 * ip["header length"]
            more = bool(ip["more fragments"])
            fragments.append((ip["identification"], 8 * ip["fragment offset"], length, more))
    seqs = [packet.seq for packet in capture("05_loss").voices[0].arrived]
    return tuple(fragments), tuple(seq - seqs[0] for seq in seqs)


# 05.4: a voice ----------------------------------------------------------------------------------

LIMIT, MTU = 540, 576
"""Of the packets and of the path: a longer datagram is cut, and lost with any of its parts."""
STOI_ROOM: Final = (0.02, 0.12)
"""STOI below that of the kit's own packets that still gives all points; and that gives none."""
LOSS_ROOM: Final = (0.03, 0.15)
"""The same for the share that is not heard, above that of the kit's."""
SPOKEN: Final = 70
"""Frames."""


class _Given:
    """A packetizer that has been asked before: it gives what it gave then."""

    def __init__(self, given: Sequence[list[Packet]]) -> None:
        self._given = iter(given)

    def push(self, samples: Any) -> list[Packet]:
        """What it gave for these."""
        del samples
        return next(self._given, [])


def _said(rng: Random, frames: int) -> Any:
    """Some speech, and not a pause: of four stretches the loudest."""
    from labkit.lab.sources import speech

    said = speech(7.5).samples
    begins = [rng.randrange(len(said) // FRAME - frames) * FRAME for _ in range(4)]
    stretches = [said[begin : begin + frames * FRAME] for begin in begins]
    return max(stretches, key=lambda stretch: float(np.abs(stretch.astype(float)).mean()))


def _carried(bench: Bench, said: Any, line: Any, seed: int, *, yours: bool, mtu: int = 0) -> Any:
    """What comes of it in a call with the student's packets, or with the kit's."""
    from labkit.codec.pcm import Pcm
    from labkit.core.delaypolicy import Fixed
    from labkit.core.source import Clip
    from labkit.lab.packets import PacketCall

    def theirs(limit: int, seq: int, timestamp: int) -> _Given:
        given = _push(bench, np.split(said, len(said) // FRAME), limit, (seq, timestamp))
        del bench.steps[4:]
        what = "a voice makes packets"
        bench.holds(any(given), what, "some", "none at all", "packets")
        return _Given(given)

    call = PacketCall(Clip(said), Pcm(), line, "udp", policy=Fixed(ms(100)), seed=seed,
                      limit=LIMIT, mtu=mtu, packetizer=theirs if yours else None)  # fmt: skip
    return call.simulate()


def _clear(bench: Bench) -> None:
    said = _said(bench.rng, 25)
    result = _carried(bench, said, "clear", bench.rng.randrange(1000), yours=True)
    bench.step("over a clear line, through the kit's jitter buffer and player")
    right = float(np.mean(result.aligned == said))
    what = "on a clear line what is heard is what was said"
    found = f"{100 * right:.0f} % of the samples are"
    bench.holds(right > 0.999, what, "all samples are the same", found, "clear")


def _lossy(bench: Bench) -> float:
    from labkit.lab.links import link

    loss, seed = bench.rng.randrange(5, 9), bench.rng.randrange(1000)
    line = link("hidden", delay="60ms", jitter="10ms", distribution="normal", loss=f"{loss}%")
    said = _said(bench.rng, SPOKEN)
    yours, ours = (
        _carried(bench, said, line, seed, yours=whose, mtu=MTU) for whose in (True, False)
    )
    bench.step(f"over a line that loses {loss} % of the IP packets and takes {MTU} bytes")
    for name, result in (("yours", yours), ("the kit's", ours)):
        bench.step(f"{name}: STOI {result.stoi:.3f}, {result.unheard:.1%} not heard")
    share = min(
        _share(ours.stoi - yours.stoi, STOI_ROOM), _share(yours.unheard - ours.unheard, LOSS_ROOM)
    )
    if share < 1:
        what = "nearly as much is heard and understood as of the kit's packets, on the same dice"
        wanted, found = (f"STOI {r.stoi:.2f}, {r.unheard:.1%} not heard" for r in (ours, yours))
        bench.fail(what, wanted, found, "score", share)
    return share


def _share(behind: float, room: tuple[float, float]) -> float:
    """Of the points, for being so far behind."""
    full, nothing = room
    return min(1.0, max(0.0, (nothing - behind) / (nothing - full)))


def _count(bench: Bench) -> None:
    spec = LinkSpec(delay=ms(50), jitter=ms(8), loss=0.06, duplicate=0.05, reorder=Reorder(0.04))
    places = arrivals_of(Impairment(spec, bench.rng.randrange(10**6)), 400)
    first = 65_536 - bench.rng.randrange(100, 300)
    handle = bench.make(COUNTERS)
    bench.step(f"add, for {len(places)} datagrams of 400, numbered from {first} on")
    outcomes = handle.run([("add", add16(first, place)) for place in places] + [("figures",)])
    found = bench.returned(outcomes[-1])
    what = f"figures() is ({', '.join(NAMES)}), as the line knows it"
    bench.equal(found, figures_of(places), what, "counts")


# ------------------------------------------------------------------------------------------------

HIDES: Final = ("labkit.core.packetizer", "labkit.lab.packets", "labkit.endpoints.voice")

EXERCISES: Final = (
    Exercise(
        "05.1",
        "A packetizer that never exceeds the limit",
        (PACKETIZER,),
        (
            Part("frames", "20 ms in a packet, however the sound comes", 1, _frames),
            Part("limit", "Never longer than the limit", 2, _limit),
            Part("even", "As few packets as can be, and as equal", 1, _even),
            Part("numbers", "Numbers count packets, timestamps samples", 1, _counts),
            Part("wraps", "Both begin again at zero", 1, _wraps),
        ),
        {
            "packets": "A list, always: of `Packet(seq, timestamp, payload)`, or an empty one.",
            "chunks": "A sound card gives blocks of any length. How long is a frame?",
            "rest": "What does not fill a frame waits for the next block. Is all of it there?",
            "endian": "A sample is two bytes, the high one first, channels in turn: as in week 1.",
            "limit": "The limit counts bytes. How many bytes has a frame, with all its channels?",
            "sample": "Where may sound be cut: between two bytes, or between two instants?",
            "lost": "Put the pieces of a frame together again. What is missing, or there twice?",
            "few": "How many samples fit into a packet? How many packets does a frame need?",
            "even": "A listener takes the length of one packet for that of all. Share evenly.",
            "seq": "Which packet is it? Each has the next number, also the pieces of one frame.",
            "ticks": "A timestamp counts samples of one channel: how many were before this packet?",
            "circle": "Numbers have 16 bits, timestamps 32: `labkit.words.seqnum` adds on circles.",
        },
        HIDES,
    ),
    Exercise(
        "05.2",
        "Lost, twice, out of order",
        (COUNTERS,),
        (
            Part("lost", "What has never come", 1, _lost),
            Part("late", "Reordered, and no longer lost", 1, _late),
            Part("twice", "Copies, soon and late", 1, _twice),
            Part("wraps", "After 65535 comes 0", 1, _around),
            Part("turns", "A number that was there a turn ago", 1, _turns),
        ),
        {
            "four": "Four whole numbers, as a tuple, in the order in which the text has them.",
            "expected": "From the first number to the highest: how many is that, both included?",
            "gaps": "A gap can be longer than one packet. How many numbers have never come?",
            "reordered": "RFC 4737: is it the one that came early, or the one that came late?",
            "filled": "It was missing, and here it is. Is it still lost?",
            "twice": "Have you seen this number before, also if that was long ago?",
            "copy": "A copy is a copy: it is not out of order, and makes up for no other packet.",
            "circle": "What follows 65535? And which of 65535 and 1 is the higher here?",
            "turn": "After 65536 packets the same number is another packet. Count on, unwrapped.",
        },
        ("labkit.core.meters", "labkit.core.reception", "labkit.core.rtpanalysis"),
    ),
    Exercise(
        "05.3",
        "What a capture tells of datagrams",
        ("fragments", "incomplete", "bursts"),
        (
            Part("fragments", "How a datagram is cut", 1, _fragments),
            Part("incomplete", "Which datagrams did not come whole?", 2, _incomplete),
            Part("bursts", "What was lost, and how much in a row?", 1, _bursts),
            Part("capture", "Both, of two captures", 1, _capture),
        ),
        {
            "udp": "IP cuts what it carries. To IP the UDP header is the first 8 bytes of that.",
            "ip": "Each fragment is a packet with an IP header of its own, within the MTU.",
            "eights": "The offset counts in eights: how long may all fragments but the last be?",
            "fits": "The last fragment may have any length. When may the rest go as it is?",
            "bytes": "The field counts in eights; the offset that is asked for is in bytes.",
            "more": "Which fragments have others after them?",
            "short": "A datagram that fits is a packet with offset 0 and no more: it is whole.",
            "last": "The first and the last are here. Is that all of it?",
            "order": "Fragments take their own ways. Put them in order before you look for holes.",
            "copies": "The same fragment twice fills one place, not two.",
            "gap": "After 5 came 8. Which number is the first that is missing, and how many are?",
            "late": "Some came late, some twice. What is in a hole when all have come?",
            "wrap": "A gap may go over the end: 65534 came, then 2.",
            "capture": "On made-up packets they do what they should. What is new in real ones?",
        },
        ("labkit.lab.fragments", "labkit.lab.answers", "labkit.core.meters"),
    ),
    Exercise(
        "05.4",
        "Your packets carry a voice",
        (PACKETIZER, COUNTERS),
        (
            Part("clear", "On a clear line nothing is changed", 1, _clear),
            Part("lossy", "On a line that nobody has seen", 2, _lossy),
            Part("counts", "Your counters know what the line did", 1, _count),
        ),
        {
            "packets": "A list, always: of `Packet(seq, timestamp, payload)`, or an empty one.",
            "clear": "Nothing was lost. Which packets does the listener put in a wrong place?",
            "score": "Look at the steps: is more lost than with the kit's packets, and why?",
            "counts": "They do on short lists what they should. What is different on this line?",
        },
        (*HIDES, "labkit.core.meters", "labkit.core.reception", "labkit.core.rtpanalysis"),
    ),
)

"""Week 8: the TOC byte, what a codec saves on the wire, what a number in SDP means, a decode loop.

What is right comes from the tables of RFC 6716 section 3.1, written down here once more, from the
arithmetic of headers, and from the rules that the exercise states; a test holds them against the
kit's own `labkit.wire.opus_toc` and `labkit.wire.sdp`. The decode loop is judged by what a listener
understands: its choices are played by libopus, on lines that nobody has seen.

A decode loop does not change what arrives, so all its turns make one journey.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any, Final

from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part
from labkit.checks.opusvoice import FRAME, SCENES, Voiced, moved, packets_of, scene, simulated
from labkit.checks.plain import shown
from labkit.checks.subject import Ask, Raised
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32

# 08.1: the TOC byte -----------------------------------------------------------------------------

LENGTHS: Final = {"SILK": (10, 20, 40, 60), "Hybrid": (10, 20), "CELT": (2.5, 5, 10, 20)}
TABLE: Final[list[tuple[str, str, float]]] = [
    (mode, band, float(length))
    for mode, bands in (
        ("SILK", ("NB", "MB", "WB")),
        ("Hybrid", ("SWB", "FB")),
        ("CELT", ("NB", "WB", "SWB", "FB")),
    )
    for band in bands
    for length in LENGTHS[mode]
]
"""RFC 6716 table 2: what the 32 configurations mean, in their order."""
LONGEST: Final = 120
"""Milliseconds in a packet [R5]."""
MOST: Final = 1275
"""Bytes in a frame [R2]."""


def toc(config: int, code: int = 0, stereo: int = 0) -> int:
    """The byte, from its three fields."""
    return config << 3 | stereo << 2 | code


def _five(bench: Bench, byte: int) -> tuple[Any, ...]:
    found = bench.call("read_toc", byte)
    what = f"read_toc of {byte:#04x} = {byte:08b} gives five values"
    bench.holds(type(found) is tuple and len(found) == 5, what, "five", shown(found), "five")
    return tuple(found)


def _config(bench: Bench) -> None:
    for config in bench.rng.sample(range(32), 32):
        byte = toc(config, bench.rng.randrange(4), bench.rng.randrange(2))
        mode, band, length = TABLE[config]
        said, heard, lasts = _five(bench, byte)[:3]
        other = TABLE[byte & 31]
        what = f"config {config} of {byte:08b}"
        backwards = (said, heard, lasts) == other and other != TABLE[config]
        bench.equal(said, mode, f"{what}: the mode", "side" if backwards else "mode")
        bench.equal(heard, band, f"{what}: the bandwidth", "side" if backwards else "band")
        four = (10, 20, 40, 60)[config & 3]
        mistakes: list[tuple[float, str]] = [(four, "four")] if mode != "SILK" else []
        mistakes += [(lasts_, "ticks") for lasts_ in (length * 48, length / 1000)]
        hint = "side" if backwards else "length"
        bench.near(lasts, length, f"{what}: the length of a frame in ms", hint, mistakes)


def _bits(bench: Bench) -> None:
    for code in bench.rng.sample(range(4), 4):
        for stereo in (0, 1):
            byte = toc(bench.rng.randrange(32), code, stereo)
            channels, count = _five(bench, byte)[3:]
            what = f"{byte:08b}: the number of channels"
            if channels is True or channels is False or channels == 0:
                bench.fail(what, stereo + 1, channels, "channels")
            bench.equal(channels, stereo + 1, what, "stereo")
            bench.equal(count, code, f"{byte:08b}: the code, its last two bits", "code")


def _packed(rng: Random, config: int, code: int, count: int) -> bytes:
    """A legal packet of `count` frames."""
    size = rng.randrange(2, 60)
    head = bytes([toc(config, code, rng.randrange(2))])
    if code < 2:
        return head + rng.randbytes(size * count)
    if code == 2:
        return head + bytes([size]) + rng.randbytes(size + rng.randrange(40))
    if rng.random() < 0.5:  # of equal size, with padding
        padding = rng.randrange(1, 20)
        return head + bytes([0x40 | count, padding]) + rng.randbytes(size * count) + bytes(padding)
    sizes = bytes([size] * (count - 1))
    return head + bytes([0x80 | count]) + sizes + rng.randbytes(size * count)


def _lasts(bench: Bench, payload: bytes, length: float, count: int, what: str) -> None:
    outcome = bench.attempt("duration", payload)
    if isinstance(outcome, Raised) and "WireError" in outcome.kinds:
        bench.fail(what, f"{count * length:g} ms", str(outcome), "refuses")
    mistakes: list[tuple[float, str]] = [(length, "one")] if count > 1 else []
    if payload[0] & 3 == 3:
        mistakes += [(payload[1] * length, "six"), (3 * length, "code"), (4 * length, "code")]
    mistakes += [(count * length * 48, "ticks")]
    bench.near(bench.returned(outcome), count * length, what, "count", mistakes)


def _durations(bench: Bench) -> None:
    for code in (0, 1, 2, 3, 3, 3):
        config = bench.rng.randrange(32)
        length = TABLE[config][2]
        most = int(LONGEST // length)
        count = (1, 2, 2, bench.rng.randrange(1, min(most, 30) + 1))[code]
        what = f"code {code}, {count} frames of {length:g} ms: how long the packet lasts"
        _lasts(bench, _packed(bench.rng, config, code, count), length, count, what)


def _edges(bench: Bench) -> None:
    bench.step("packets that are legal, if only just")
    legal = [
        (bytes([toc(1, 3), 6]) + bytes(60), 20, 6, "six frames of 20 ms"),
        (bytes([toc(16, 3), 48]) + bytes(48), 2.5, 48, "48 frames of 2.5 ms"),
        (bytes([toc(9, 1)]), 20, 2, "two frames that were not sent (DTX)"),
        (bytes([toc(9, 2), 0]), 20, 2, "a first frame of no bytes"),
        (bytes([toc(9)]) + bytes(MOST), 20, 1, f"one frame of {MOST} bytes"),
        (bytes([toc(9, 2), 252, 1]) + bytes(256), 20, 2, "a first frame of 252 + 4 bytes"),
    ]
    for payload, length, count, what in legal:
        _lasts(bench, payload, length, count, f"{what}: legal")
    bench.step("and packets that are not")
    rng = bench.rng
    seven = rng.randrange(7, 20)
    odd = 2 * rng.randrange(3, 20) + 1
    illegal = [
        (b"", "empty", "no bytes at all [R1]"),
        (bytes([toc(9)]) + bytes(MOST + 1), "long", f"a frame of {MOST + 1} bytes [R2]"),
        (bytes([toc(15, 1)]) + rng.randbytes(odd), "odd", f"two equal frames in {odd} bytes [R3]"),
        (bytes([toc(9, 2), 40]) + bytes(39), "inside", "40 bytes announced, 39 there [R4]"),
        (bytes([toc(9, 2)]), "inside", "code 2, and no length [R4]"),
        (bytes([toc(9, 2), 252]), "inside", "half of a length of two bytes [R4]"),
        (bytes([toc(9, 3)]), "inside", "code 3, and no second byte"),
        (bytes([toc(15, 3), seven]) + bytes(seven), "over", f"{seven} frames of 20 ms [R5]"),
        (bytes([toc(3, 3), 3]) + bytes(9), "over", "three frames of 60 ms [R5]"),
        (bytes([toc(9, 3), 0]) + bytes(9), "none", "no frames [R5]"),
    ]
    for payload, hint, what in illegal:
        outcome = bench.attempt("duration", payload)
        bench.refused(outcome, "WireError", f"{what}: Malformed or Truncated", hint, {})


# 08.2: on the wire ------------------------------------------------------------------------------

HEADERS: Final = 40
"""IPv4, UDP and RTP."""
PCM: Final = 48_000 * 16
PCM_MS: Final = 10
"""20 ms do not fit into 1200 bytes."""


def _settings_of(rng: Random) -> list[tuple[int, int, int]]:
    """Bitrate, length of a frame in ms, frames in a packet."""
    return [(1000 * rng.randrange(12, 65), rng.choice((20, 40)), each) for each in (1, 3, 2)]


def wire_rate(bitrate: float, packet_ms: float) -> float:
    """Bits a second with the headers."""
    return bitrate + HEADERS * 8 * 1000 / packet_ms


def _wire_rate(bench: Bench) -> None:
    for bitrate, frame_ms, each in _settings_of(bench.rng):
        found = bench.call("wire_rate", bitrate, frame_ms, each)
        mistakes = [
            (bitrate, "headers"),
            (wire_rate(bitrate, frame_ms), "each"),
            (wire_rate(bitrate * each, frame_ms * each), "each"),
            (bitrate + HEADERS * 8, "second"),
            (bitrate + HEADERS * 1000 / (frame_ms * each), "bits"),
            *((bitrate + n * 8000 / (frame_ms * each), "headers") for n in (8, 12, 20, 28, 32)),
            (wire_rate(bitrate, frame_ms * each) / 1000, "kilo"),
        ]
        what = f"bits a second, with headers, {each} frames of {frame_ms} ms in a packet"
        wanted = wire_rate(bitrate, frame_ms * each)
        bench.near(found, wanted, what, "second", mistakes)


def _times_less(bench: Bench) -> None:
    pcm = wire_rate(PCM, PCM_MS)
    for bitrate, frame_ms, each in _settings_of(bench.rng):
        mine = wire_rate(bitrate, frame_ms * each)
        found = bench.call("times_less", bitrate, frame_ms, each)
        mistakes = [
            (PCM / bitrate, "both"),
            (PCM / mine, "both"),
            (pcm / bitrate, "both"),
            (wire_rate(PCM, frame_ms * each) / mine, "pcm"),
            (wire_rate(PCM, frame_ms) / mine, "pcm"),
            (mine / pcm, "way"),
        ]
        bench.near(found, pcm / mine, "how many times less than PCM, on the wire", "both", mistakes)


def rate_of(packets: Sequence[Voiced], header: int, upto: int = -1) -> float:
    """kbit/s over media time, from the first timestamp to the last."""
    ticks = (packets[-1].timestamp - packets[0].timestamp) % (1 << 32)
    whole = packets[:upto] if upto else packets
    return sum(p.size + header for p in whole) * 8 * 48 / ticks


def _streams(bench: Bench) -> list[tuple[str, list[Voiced]]]:
    """Those of the shipped captures and one that was simulated; their timestamps wrap soon."""
    names = ("08_pcm_beside_opus", "08_opus_dtx")
    found = [(name, stream) for name in names for stream in packets_of(name)]
    found.append(("a simulated call", simulated(bench.rng.randrange(SCENES))))
    moves = [-stream[0].timestamp - bench.rng.randrange(1, 20_000) for _, stream in found]
    return [
        (name, moved(stream, bench.rng.randrange(65_536), ticks))
        for (name, stream), ticks in zip(found, moves, strict=True)
    ]


def _given(packets: Sequence[Voiced]) -> list[tuple[int, int, bool, int]]:
    return [(p.seq, p.timestamp, p.marker, p.size) for p in packets]


def _media_rate(bench: Bench) -> None:
    for name, packets in _streams(bench):
        for header in (0, HEADERS):
            bench.step(f"media_rate of {len(packets)} packets of {name}, {header} bytes of headers")
            outcome = bench.subject.call("media_rate", _given(packets), header)
            first, last = packets[0].timestamp, packets[-1].timestamp
            plain = rate_of(packets, header) * ((last - first) % (1 << 32))
            mistakes = [
                (rate_of(packets, header, 0), "last"),
                (plain / (last - first) if last != first else 0.0, "wrap"),
                (plain / (len(packets) * FRAME), "time"),
                (plain / ((len(packets) - 1) * FRAME), "time"),
                (rate_of(packets, header) * 1000, "kbit"),
                (rate_of(packets, header) / 8, "kbit"),
                (rate_of(packets, 0), "header"),
            ]
            what = f"kbit/s of {name}"
            found = bench.returned(outcome)
            bench.near(found, rate_of(packets, header), what, "time", mistakes, room=1e-6)


def pauses_of(packets: Sequence[Voiced]) -> list[float]:
    """Milliseconds of each pause: nothing lost, and the timestamp ran on."""
    found = []
    for before, after in pairwise(packets):
        ticks = (after.timestamp - before.timestamp) % (1 << 32)
        if add16(before.seq, 1) == after.seq and ticks > FRAME:
            found.append((ticks - FRAME) / 48)
    return found


def _jumps(packets: Sequence[Voiced], *, lost: bool, frame: int) -> list[float]:
    """What other ideas of a pause give."""
    return [
        ((b.timestamp - a.timestamp) % (1 << 32) - frame) / 48
        for a, b in pairwise(packets)
        if (b.timestamp - a.timestamp) % (1 << 32) > FRAME
        and (lost or add16(a.seq, 1) == b.seq)
    ]  # fmt: skip


def _pauses(bench: Bench) -> None:
    for name, begun in _streams(bench)[2:]:
        packets = _wrapping(bench.rng, begun)
        bench.step(f"pauses of {len(packets)} packets of {name}")
        found = bench.returned(bench.subject.call("pauses", _given(packets)))
        wanted = pauses_of(packets)
        what = f"the pauses in {name}, in ms"
        if type(found) is not list or any(type(each) not in (int, float) for each in found):
            bench.fail(what, shown(wanted), shown(found), "list")
        ideas = [
            (_jumps(packets, lost=True, frame=FRAME), "loss"),
            (_jumps(packets, lost=False, frame=0), "frame"),
            (_jumps(packets, lost=True, frame=0), "loss"),
            ([each * 48 for each in wanted], "ms"),
            (_unwrapped(packets), "circle"),
        ]
        if _alike(found, wanted):
            continue
        hint = next((h for idea, h in ideas if _alike(found, idea)), "pause")
        bench.fail(what, shown(wanted), shown(found), hint)


def _wrapping(rng: Random, packets: Sequence[Voiced]) -> list[Voiced]:
    """The same packets; in one of the pauses both numbers go round."""
    after = rng.choice(
        [b for a, b in pairwise(packets) if pauses_of((a, b))],
    )
    return moved(packets, -after.seq, rng.randrange(1, 5000) - after.timestamp)


def _unwrapped(packets: Sequence[Voiced]) -> list[float]:
    """Without the circle of 16 or of 32 bits."""
    return [
        (b.timestamp - a.timestamp - FRAME) / 48
        for a, b in pairwise(packets)
        if b.seq == a.seq + 1 and b.timestamp - a.timestamp > FRAME
    ]


def _alike(found: Sequence[float], wanted: Sequence[float]) -> bool:
    return len(found) == len(wanted) and all(
        abs(a - b) < 1e-3 for a, b in zip(found, wanted, strict=True)
    )


# 08.3: what a number means ----------------------------------------------------------------------

STATIC: Final = {0: ("pcmu", 8000, 1), 8: ("pcma", 8000, 1)}
"""Those of RFC 3551 that the exercise has."""
CODECS: Final = (
    ("opus", 48000, 2), ("L16", 48000, 1), ("G722", 8000, 1), ("speex", 16000, 1),
    ("telephone-event", 8000, 1), ("L16", 44100, 2),
)  # fmt: skip
SETTINGS: Final = (
    ("useinbandfec", "1"), ("usedtx", "1"), ("stereo", "1"), ("maxaveragebitrate", "32000"),
    ("maxplaybackrate", "16000"), ("cbr", "0"),
)  # fmt: skip


class Described:
    """A description, and what is in it."""

    def __init__(self, rng: Random, *, static: bool, video: bool, eol: str) -> None:
        numbers = rng.sample(range(100, 128), 3)
        numbers.append(numbers[0] // 10)  # 111 and 11: one begins like the other
        codecs = rng.sample(CODECS[1:], 3)
        codecs.insert(rng.randrange(3), CODECS[0])
        made = dict(zip(numbers, codecs, strict=True))
        self.types = {n: (c[0].lower(), c[1], c[2]) for n, c in made.items()}
        self.settings: dict[int, dict[str, str]] = {}
        lines, formats = [], []
        for number, (name, rate, channels) in made.items():
            name = rng.choice((name, name.upper(), name.lower()))
            count = "" if channels == 1 else f"/{channels}"
            lines.append(f"a=rtpmap:{number} {name}/{rate}{count}")
        for number in (numbers[0], numbers[3], numbers[1]):
            self.settings[number] = dict(rng.sample(SETTINGS, rng.randrange(1, 4)))
            pairs = (f"{key}={value}" for key, value in self.settings[number].items())
            formats.append(f"a=fmtp:{number} {rng.choice((';', '; ')).join(pairs)}")
        rng.shuffle(lines)
        lines += formats
        if static:
            self.types |= STATIC
            numbers += STATIC
        rng.shuffle(numbers)
        head = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"]
        media = f"m=audio {rng.randrange(5000, 9000) * 2} RTP/AVP {' '.join(map(str, numbers))}"
        picture = ["m=video 7000 RTP/AVP 98", "a=rtpmap:98 H264/90000", "a=fmtp:98 profile=1"]
        sound = [media, *lines, "a=ptime:20", "a=sendrecv"]
        both = [*picture, *sound] if rng.random() < 0.5 else [*sound, *picture]
        self.text = "".join(f"{line}{eol}" for line in [*head, *(both if video else sound)])


def _types(bench: Bench, described: Described, hint: str) -> None:
    bench.step(f"the description:\n{described.text.replace(chr(13), '')}")
    found = bench.returned(bench.subject.call("payload_types", described.text))
    what = "payload_types: each number of m=audio, and what it means"
    bench.holds(type(found) is dict, what, "a dict", shown(found), "dict")
    for number, meaning in described.types.items():
        named = f"{what}: {number}"
        got = found.get(number, found.get(str(number)))
        if number not in found and got is not None:
            bench.fail(named, "a number as the key", "text", "number")
        if got is None:
            bench.fail(named, meaning, "nothing", "static" if number in STATIC else hint)
        if type(got) is not tuple or len(got) != 3:
            bench.fail(named, meaning, got, "dict")
        name, _, channels = meaning
        if type(got[0]) is str and got[0] != name and got[0].lower() == name:
            bench.fail(named, meaning, got, "case")
        bench.equal(got[2], channels, f"{named}: channels", "channels")
        bench.equal(got, meaning, named, hint)
    extra = [number for number in found if number not in described.types]
    bench.holds(not extra, what, "no other number", shown(extra), "other")


def _map(bench: Bench) -> None:
    for _ in range(2):
        _types(bench, Described(bench.rng, static=False, video=False, eol="\r\n"), "map")


def _media(bench: Bench) -> None:
    _types(bench, Described(bench.rng, static=True, video=False, eol="\r\n"), "map")
    _types(bench, Described(bench.rng, static=True, video=True, eol="\n"), "lines")


def _settings(bench: Bench) -> None:
    for _ in range(3):
        described = Described(bench.rng, static=False, video=False, eol="\r\n")
        bench.step(f"the description:\n{described.text.replace(chr(13), '')}")
        everyone: dict[str, str] = {}
        for number in described.types:
            wanted = described.settings.get(number, {})
            found = bench.returned(bench.subject.call("settings", described.text, number))
            what = f"the settings of payload type {number}"
            if not wanted and found is None:
                bench.fail(what, "{}", "None", "without")
            bench.holds(type(found) is dict, what, shown(wanted), shown(found), "pairs")
            everyone |= wanted
            alone = {key.strip(): value for key, value in found.items() if type(key) is str}
            hint = "pairs"
            if _begins_like(described, number, found):
                hint = "whose"
            elif alone == wanted:
                hint = "spaces"
            bench.equal(found, wanted, what, hint)


def _begins_like(described: Described, number: int, found: Mapping[Any, Any]) -> bool:
    """Whether these are settings of another number, or are mixed with them."""
    mine = described.settings.get(number, {})
    others = [each for n, each in described.settings.items() if n != number]
    theirs = {key for each in others for key in each} - set(mine)
    return any(key in theirs for key in found) or any(dict(found) == each for each in others)


# 08.4: a decode loop ----------------------------------------------------------------------------

LOOP: Final = "DecodeLoop"
CHOICES: Final = ("decode", "fec", "plc", "silence")
MADE_UP: Final = 5
"""Frames in a row that are made up before silence is better."""
ROOM: Final = 0.004
"""Of STOI, below the best, that still gives all points."""
SPEAKS: Final = (1, 5, 9, 13, 15)
"""Configurations of 20 ms that SILK has a part in."""
CELT: Final = (19, 23, 27, 31)


def payload_with(rng: Random, *, copy: bool, config: int | None = None) -> bytes:
    """A mono payload of 20 ms, with a copy of the frame before it or without."""
    config = rng.choice(SPEAKS) if config is None else config
    first = rng.randrange(256) & ~0x40 | (0x40 if copy else 0)
    return bytes([toc(config), first]) + rng.randbytes(rng.randrange(10, 30))


def _copy(bench: Bench) -> None:
    rng = bench.rng
    cases = [(payload_with(rng, copy=copy), copy, "flag") for copy in (True, False) * 4]
    cases += [(payload_with(rng, copy=True, config=c), False, "celt") for c in CELT]
    rng.shuffle(cases)
    cases.append((bytes([toc(9)]), False, "empty"))
    for payload, wanted, hint in cases:
        outcome = bench.attempt("has_copy", payload)
        what = f"whether {payload[:2].hex(' ')} … carries a copy of the frame before"
        if hint == "empty" and isinstance(outcome, Raised) and outcome.kind == "IndexError":
            bench.fail(what, wanted, str(outcome), "empty")
        found = bench.returned(outcome)
        if type(found) is int and found in (0, 0x40):
            bench.fail(what, wanted, found, "bool")
        bench.equal(found, wanted, what, hint)


class Stream:
    """Packets of a made-up stream, by their place."""

    def __init__(self, rng: Random, first: int | None = None) -> None:
        self._rng = rng
        self._first = rng.randrange(100, 60_000) if first is None else first

    def packet(self, place: int, *, copy: bool = True) -> Packet:
        """The packet at this place, with a copy or without."""
        payload = payload_with(self._rng, copy=copy)
        return Packet(add16(self._first, place), add32(0, place * FRAME), payload)


Turn = tuple[Packet | None, Packet | None, str, str]
"""What is here, what waits, what must be chosen, and the hint."""


def _turns(bench: Bench, turns: Sequence[Turn]) -> None:
    """All turns of one loop, in one journey."""
    handle = bench.subject.new_handle()
    asks = [Ask("make", LOOP, (), into=handle)]
    asks += [Ask("call", "turn", (packet, following), handle) for packet, following, _, _ in turns]
    outcomes = bench.subject.ask(asks)
    for outcome in outcomes[:1]:
        bench.step(f"{LOOP}()")
        bench.returned(outcome)
    for (packet, following, wanted, hint), outcome in zip(turns, outcomes[1:], strict=False):
        bench.step(f"turn({_named(packet)}, {_named(following)})")
        found = bench.returned(outcome)
        what = f"with {_named(packet)} here and {_named(following)} waiting"
        _word(bench, found, what)
        bench.equal(found, wanted, what, hint)


def _word(bench: Bench, found: Any, what: str) -> None:
    known = type(found) is str and found in CHOICES
    bench.holds(known, what, " or ".join(CHOICES), shown(found), "word")


def _named(packet: Packet | None) -> str:
    return "nothing" if packet is None else f"packet {packet.seq}"


def _plain(bench: Bench) -> None:
    stream = Stream(bench.rng)
    turns: list[Turn] = [(None, None, "silence", "before")] * bench.rng.randrange(1, 4)
    turns.append((None, stream.packet(0), "silence", "before"))
    place = 0
    for _ in range(4):
        for _ in range(bench.rng.randrange(1, 4)):
            turns.append((stream.packet(place), stream.packet(place + 1), "decode", "here"))
            place += 1
        turns.append((None, None, "plc", "nothing"))
        turns.append((stream.packet(place + 1), None, "decode", "here"))
        turns.append((None, stream.packet(place + 3, copy=False), "plc", "carries"))
        place += 3
    _turns(bench, turns)


def _fec(bench: Bench) -> None:
    for first in (None, 65_536 - bench.rng.randrange(2, 7)):
        stream = Stream(bench.rng, first)
        turns: list[Turn] = [(stream.packet(0), None, "decode", "here")]
        place = 1
        for missing in (1, 2, 1, 3):
            end = place + missing
            here = "wrap" if first is not None else "copy" if missing == 1 else "successor"
            turns += [(None, stream.packet(end), "plc", "successor")] * (missing - 1)
            turns.append((None, stream.packet(end), "fec", here))
            turns.append((stream.packet(end), None, "decode", "here"))
            place = end + 1
        _turns(bench, turns)


def _silence(bench: Bench) -> None:
    stream = Stream(bench.rng)
    turns: list[Turn] = []
    place = 0
    for missing in (MADE_UP, MADE_UP + bench.rng.randrange(2, 6), MADE_UP + 1):
        for _ in range(bench.rng.randrange(1, 4)):
            turns.append((stream.packet(place), None, "decode", "here"))
            place += 1
        for number in range(missing):
            wanted, hint = ("plc", "soon") if number < MADE_UP else ("silence", "long")
            turns.append((None, None, wanted, hint))
            place += 1
        turns.append((None, stream.packet(place + 1), "fec", "end"))
        place += 1
    _turns(bench, turns)


def _voice(bench: Bench) -> float:
    """Three seconds of speech: what is understood, between concealment alone and the best."""
    line = scene(bench.rng.randrange(SCENES))
    handle = bench.subject.new_handle()
    turns = line.turns
    asks = [Ask("make", LOOP, (), into=handle)]
    asks += [Ask("call", "turn", turn, handle) for turn in turns]
    lost = sum(packet is None for packet, _ in turns)
    bench.step(f"{len(turns)} turns of speech, {lost} of them without their packet")
    outcomes = bench.subject.ask(asks)
    choices = [bench.returned(outcome) for outcome in outcomes][1:]
    for choice, (packet, _) in zip(choices, turns, strict=True):
        _word(bench, choice, f"with {_named(packet)} here")
    counted = ", ".join(f"{choices.count(word)} {word}" for word in CHOICES)
    bench.step(f"you chose: {counted}; libopus plays it")
    mine, best, least = line.stoi(choices), line.best, line.without_copies
    share = min(1.0, max(0.0, (mine - least) / (best - ROOM - least)))
    if share < 1:
        what = f"as much is understood as with every copy (without any, STOI {least:.3f})"
        bench.fail(what, f"STOI {best - ROOM:.3f}", f"STOI {mine:.3f}", "voice", share)
    return share


# ------------------------------------------------------------------------------------------------

EXERCISES: Final = (
    Exercise(
        "08.1",
        "The TOC byte",
        ("read_toc", "duration"),
        (
            Part("config", "Mode, bandwidth, length of a frame", 2, _config),
            Part("bits", "Channels and code", 1, _bits),
            Part("durations", "How long a packet lasts", 1, _durations),
            Part("illegal", "Packets that break a rule", 1, _edges),
        ),
        {
            "five": "Five values, in the order of the text.",
            "side": "Which five bits are config? The RFC draws the highest bit on the left.",
            "mode": "The first 12 numbers are SILK's. Where does Hybrid end?",
            "band": "How many numbers has a bandwidth, in each of the three modes?",
            "length": "What is left of config when the bandwidth is taken off?",
            "four": "The three modes have different lengths. Read their rows in table 2.",
            "ticks": "The answer is in milliseconds.",
            "channels": "The bit says stereo or not. How many channels is that?",
            "stereo": "Which bit is s? Three bits are to the right of config.",
            "code": "How many values have two bits?",
            "one": "How many frames follow? The last two bits say it.",
            "six": "The second byte has two flags as well. Which bits are the count?",
            "count": "Frames in the packet, times the length of one.",
            "refuses": "This one is legal. Which of your rules is too strict?",
            "empty": "Look at the length before you look into the bytes.",
            "long": "A frame has at most 1275 bytes; where no length is written, count.",
            "odd": "Two frames of equal size: can they share an odd number of bytes?",
            "inside": "Is everything there that the packet announces?",
            "over": "Nothing lasts longer than 120 ms.",
            "none": "A packet of no frames is none.",
        },
        ("labkit.wire.opus_toc",),
    ),
    Exercise(
        "08.2",
        "What it costs on the wire",
        ("wire_rate", "times_less", "media_rate", "pauses"),
        (
            Part("wire_rate", "With the headers", 1, _wire_rate),
            Part("times_less", "Against PCM", 1, _times_less),
            Part("media_rate", "The rate of a capture", 1, _media_rate),
            Part("pauses", "The pauses in a capture", 2, _pauses),
        ),
        {
            "headers": "Three headers: 20, 8 and 12 bytes.",
            "each": "How many packets are there in a second, when each holds several frames?",
            "second": "Headers a second, in bits, and the sound.",
            "bits": "Eight bits are a byte.",
            "kilo": "Bits a second are asked for, not thousands of them.",
            "both": "Both of them travel with headers.",
            "pcm": "How long is a packet of PCM, and how many headers is that in a second?",
            "way": "Which of the two should be divided by which?",
            "last": "Between four fence posts are three fields. Which packets fill that time?",
            "wrap": "A timestamp has 32 bits. What is after the largest?",
            "time": "The time is in the timestamps: 48 ticks are a millisecond.",
            "kbit": "Thousands of bits in a second are asked for.",
            "header": "With each packet go `header` bytes.",
            "list": "A list of milliseconds, one for each pause.",
            "loss": "Here a packet was lost. Which number says so?",
            "frame": "The packet before the pause holds sound too: 20 ms of it.",
            "ms": "Milliseconds: 48 ticks each.",
            "circle": "Both numbers go round: 16 bits and 32.",
            "pause": "The sequence number goes on by one, the timestamp by more than a frame.",
        },
        ("labkit.lab.answers", "labkit.lab.plots", "labkit.core.reception"),
    ),
    Exercise(
        "08.3",
        "What a number means",
        ("payload_types", "settings"),
        (
            Part("map", "rtpmap", 1, _map),
            Part("media", "Numbers without rtpmap, and other media", 1, _media),
            Part("settings", "fmtp", 1, _settings),
        ),
        {
            "dict": "A dict: number to (name, clock rate, channels).",
            "number": "The keys are numbers.",
            "map": "After a=rtpmap: come number, space, name/rate/channels.",
            "case": "OPUS, Opus and opus are the same: give small letters.",
            "channels": "Where no channels are written there is one.",
            "static": "Some numbers of m=audio need no rtpmap: the table above has them.",
            "lines": "Lines may end in LF alone, and other media may come before m=audio.",
            "other": "Only numbers in the line m=audio count. A video has its own map.",
            "pairs": "Behind the number: name=value, with a semicolon between two.",
            "whose": "Whose settings are these? Compare the whole number.",
            "spaces": "There may be a space after a semicolon.",
            "without": "No fmtp, no settings: that is an empty dict.",
        },
        ("labkit.wire.sdp",),
    ),
    Exercise(
        "08.4",
        "A decode loop",
        (LOOP, "has_copy"),
        (
            Part("copy", "Is there a copy in it?", 1, _copy),
            Part("plain", "Decode what is here, make up what is not", 1, _plain),
            Part("fec", "The copy of the frame that is missing", 2, _fec),
            Part("silence", "Not for ever", 1, _silence),
            Part("voice", "What is understood on a line that nobody has seen", 2, _voice),
        ),
        {
            "flag": "In 20 ms of mono: voice activity, then the flag for the copy.",
            "celt": "Only SILK keeps copies. Which configurations have no SILK in them?",
            "empty": "A payload may be the TOC byte alone.",
            "bool": "The answer is True or False.",
            "word": "Four words are known: decode, fec, plc, silence.",
            "before": "Nothing has been heard yet. What could the decoder go on with?",
            "here": "The packet is here: what could be better?",
            "nothing": "No packet, and no copy either: who makes up the sound?",
            "carries": "Does the packet that waits carry a copy at all?",
            "copy": "The next packet is here, and it carries what is missing.",
            "successor": "Of which frame is that the copy? Count the turns since the last packet.",
            "wrap": "After 65535 comes 0: `labkit.words.seqnum` knows.",
            "soon": "Up to five frames in a row are made up, and five are not many.",
            "long": "For how many turns has nothing come? Nobody can guess a word.",
            "end": "However long it was: the last frame of a gap may have its copy.",
            "voice": "Count your choices, in the steps: which copies were not used?",
        },
        ("labkit.wire.opus_toc", "labkit.endpoints.receiver"),
    ),
)

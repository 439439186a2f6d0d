"""Week 1: the frame header, the arithmetic of sound, frames that are wrong, sound in bytes.

The frame is that of `labkit.wire.framing`, of kind MEDIA. What is expected here is packed by hand
with `struct` from the drawing that the student has, and not by the module that the student
rebuilds; a test holds the two together.
"""

import struct
from collections.abc import Sequence
from random import Random
from typing import Any, Final

import numpy as np

from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part
from labkit.checks.plain import shown
from labkit.checks.subject import Ask, Raised

HEADER: Final = struct.Struct("!BBHII")
LARGEST: Final = 65_535
"""Bytes of a payload, at most."""
HIDES: Final = ("labkit.wire.framing", "labkit.wire.minirtp", "labkit.codec.pcm")
FRAME: Final = 960
"""Samples of 20 ms at 48 kHz."""


def frame(seq: int, ts: int, payload: bytes) -> bytes:
    """A frame as it should be."""
    return HEADER.pack(1, 0, seq, ts, len(payload)) + payload


def _values(rng: Random, size: int = 20) -> tuple[int, int, bytes]:
    """A number, a time and a payload in which no two bytes of a field are alike."""
    seq = rng.randrange(0x0102, 0x7FFF)
    while seq >> 8 == seq & 0xFF:
        seq += 1
    ts = int.from_bytes(bytes(rng.sample(range(1, 127), 4)), "big")
    return seq, ts, rng.randbytes(size)


# 01.1 ------------------------------------------------------------------------------------------


def _layout(bench: Bench) -> None:
    for size in (20, 1, 300):
        seq, ts, payload = _values(bench.rng, size)
        packed = bench.call("pack", seq, ts, payload)
        said = "a header of 12 bytes, then the payload"
        bench.holds(type(packed) is bytes, said, "bytes", shown(packed), "bytes")
        head, wanted = packed[:12], frame(seq, ts, payload)
        bench.drawing = _beside(wanted, packed)
        for where, width, hint in ((0, 1, "version"), (1, 1, "kind")):
            what = f"byte {where} is {'ver, 1' if hint == 'version' else 'kind, 0 for sound'}"
            bench.equal(head[where : where + width], wanted[where : where + width], what, hint)
        for name, start, end in (("seq", 2, 4), ("ts", 4, 8)):
            what = f"bytes {start} to {end - 1} are {name}"
            field = wanted[start:end]
            swapped = [(head[start:end], "order")] if head[2:6] == struct.pack("!I", ts) else []
            mistakes = [(field[::-1], "endian"), *swapped]
            bench.equal(head[start:end], field, what, "fields", mistakes)
        what = f"bytes 8 to 11 are len, for a payload of {len(payload)} bytes"
        length = wanted[8:12]
        mistakes = [(length[::-1], "endian"), (struct.pack("!I", len(payload) + 12), "len")]
        bench.equal(head[8:12], length, what, "len", mistakes)
        bench.equal(packed[12:], payload, "after 12 bytes of header comes the payload", "payload")
        bench.drawing = None


FIELDS: Final = (
    ("ver", 0, 0), ("kind", 1, 1), ("seq", 2, 3), ("ts", 4, 7), ("len", 8, 11), ("payload", 12, 99),
)  # fmt: skip


def _beside(wanted: bytes, yours: bytes) -> dict[str, Any]:
    """The bytes of a frame as data for a picture."""
    return {
        "kind": "bytes", "fields": FIELDS, "wanted": wanted[:32].hex(), "yours": yours[:32].hex()
    }  # fmt: skip


def _back(bench: Bench) -> None:
    for size in (20, 1):
        seq, ts, payload = _values(bench.rng, size)
        found = bench.call("unpack", frame(seq, ts, payload))
        what = "unpack gives (seq, ts, payload)"
        if type(found) is not tuple or len(found) != 3:
            bench.fail(what, (seq, ts, payload), found, "triple")
        back = int.from_bytes(seq.to_bytes(2, "big"), "little")
        bench.equal(found[0], seq, f"{what}: seq", "fields", [(back, "endian"), (ts, "order")])
        back = int.from_bytes(ts.to_bytes(4, "big"), "little")
        bench.equal(found[1], ts, f"{what}: ts", "fields", [(back, "endian"), (seq, "order")])
        bench.equal(found[2], payload, f"{what}: the payload", "payload")


def _edges(bench: Bench) -> None:
    for seq, ts, size in ((65535, 2**32 - 1, 0), (0, 0, 1), (32768, 2**31, LARGEST)):
        payload = bench.rng.randbytes(size)
        outcome = bench.attempt("pack", seq, ts, payload)
        what = "the largest and the smallest values fit"
        if isinstance(outcome, Raised) and outcome.kind in ("error", "OverflowError"):
            bench.fail(what, "bytes", str(outcome), "unsigned")
        swapped = struct.pack("<BBHII", 1, 0, seq, ts, size) + payload
        packed, mistakes = bench.returned(outcome), [(swapped, "endian")]
        bench.equal(packed, frame(seq, ts, payload), what, "unsigned", mistakes)
        found = bench.call("unpack", frame(seq, ts, payload))
        bench.equal(found, (seq, ts, payload), what, "unsigned")


# 01.2 ------------------------------------------------------------------------------------------


def _format(rng: Random) -> tuple[int, int, int]:
    """Samples a second, channels, bits a sample."""
    return rng.choice((8000, 16000, 24000, 48000)), rng.choice((2, 6)), rng.choice((16, 24))


def _frame_bytes(bench: Bench) -> None:
    for frame_ms in (20, 10, 60):
        rate, channels, bits = _format(bench.rng)
        wanted = rate * frame_ms // 1000 * channels * bits // 8
        found = bench.call("frame_bytes", rate, channels, bits, frame_ms)
        mistakes = [
            (wanted * 8, "bits"),
            (wanted / channels, "channels"),
            (wanted * 1000, "milliseconds"),
        ]
        what = (
            f"bytes in {frame_ms} ms of {channels} channels, {rate} samples of {bits} bits a second"
        )
        bench.near(found, wanted, what, "count", mistakes)


def _bitrate(bench: Bench) -> None:
    for _ in range(3):
        rate, channels, bits = _format(bench.rng)
        wanted = rate * channels * bits
        found = bench.call("bitrate", rate, channels, bits)
        mistakes = [
            (wanted / 8, "bits"),
            (wanted / 1000, "kilo"),
            (wanted / 1024, "kilo"),
            (wanted / channels, "channels"),
        ]
        bench.near(found, wanted, "bits a second, without headers", "count", mistakes)


def _line_rate(bench: Bench) -> None:
    for frame_ms in (20, 10, 5):
        rate, channels, bits = _format(bench.rng)
        header = bench.rng.choice((12, 40, 54))
        sound = rate * channels * bits
        wanted = sound + header * 8 * 1000 / frame_ms
        found = bench.call("line_rate", rate, channels, bits, frame_ms, header)
        mistakes = [
            (sound, "header"),
            (sound + header * 8, "each"),
            (sound + header * 1000 / frame_ms, "bits"),
        ]
        what = f"bits a second on the wire, with {header} bytes before each frame of {frame_ms} ms"
        bench.near(found, wanted, what, "each", mistakes)


# 01.3 ------------------------------------------------------------------------------------------


def _accepts(bench: Bench) -> None:
    for size in (20, 0, LARGEST):
        values = (*_values(bench.rng)[:2], bench.rng.randbytes(size))
        outcome = bench.attempt("read_frame", frame(*values))
        what = "a frame that is right is read"
        if isinstance(outcome, Raised) and outcome.kind in ("Truncated", "Malformed"):
            bench.fail(what, values, str(outcome), "refuses")
        bench.equal(bench.returned(outcome), values, what, "refuses")


def _truncated(bench: Bench) -> None:
    whole = frame(*_values(bench.rng))
    cuts = [len(whole) - 1, 12, 11, 3, 0]
    for cut in cuts:
        what = f"a frame of {len(whole)} bytes, cut after {cut}, is Truncated"
        outcome = bench.attempt("read_frame", whole[:cut])
        hint = "payload-cut" if cut >= 12 else "header-cut"
        mistakes = {"error": "header-cut", "IndexError": "header-cut", "returned": hint}
        bench.refused(outcome, "Truncated", what, hint, mistakes)


def _malformed(
    bench: Bench, data: bytes, fields: Sequence[str], what: str, hint: str, **mistakes: str
) -> None:
    """The data must raise Malformed and name one of the fields."""
    outcome = bench.attempt("read_frame", data)
    known = {"returned": hint, **mistakes}
    raised = bench.refused(outcome, "Malformed", f"{what} is Malformed", hint, known)
    named = raised.fields.get("field")
    bench.holds(named in fields, "the error names the field", fields[0], shown(named), "field")


def _version(bench: Bench) -> None:
    good = frame(*_values(bench.rng))
    for version in (0, 2, bench.rng.randrange(3, 256)):
        what = f"version {version}"
        _malformed(bench, bytes([version]) + good[1:], ["ver"], what, "wrong-version")
    kind = bench.rng.randrange(4, 256)
    data = good[:1] + bytes([kind]) + good[2:]
    _malformed(bench, data, ["kind"], f"kind {kind}", "wrong-kind")


def _oversized(bench: Bench) -> None:
    seq, ts, payload = _values(bench.rng)
    for size in (LARGEST + 1, 2**32 - 1):
        data = HEADER.pack(1, 0, seq, ts, size) + payload
        what = f"a frame that announces {size} bytes"
        _malformed(bench, data, ["len"], what, "oversized", Truncated="announced")


def _trailing(bench: Bench) -> None:
    data = frame(*_values(bench.rng)) + bench.rng.randbytes(bench.rng.randrange(1, 9))
    _malformed(bench, data, ["payload", "len"], "a frame with bytes after it", "trailing")


# 01.4 ------------------------------------------------------------------------------------------


def _samples(rng: Random, length: int, channels: int) -> Any:
    dice = np.random.default_rng(rng.randrange(2**32))
    return dice.integers(-32768, 32768, (length, channels)).astype(np.int16)


def _to_payload(bench: Bench) -> None:
    for channels in (1, 2):
        samples = _samples(bench.rng, 6, channels)
        wanted = samples.astype(">i2").tobytes()
        found = bench.call("to_payload", samples)
        mistakes = [
            (samples.astype("<i2").tobytes(), "endian"),
            (samples.T.astype(">i2").tobytes(), "interleave"),
            (samples.T.astype("<i2").tobytes(), "endian"),
        ]
        turns = ", left and right in turn" * (channels == 2)
        what = f"two bytes for each of {samples.size} samples{turns}"
        bench.equal(found, wanted, what, "two-bytes", mistakes)


def _from_payload(bench: Bench) -> None:
    for channels in (1, 2):
        samples = _samples(bench.rng, 6, channels)
        found = bench.call("from_payload", samples.astype(">i2").tobytes(), channels)
        what = f"samples as int16, shape (6, {channels})"
        if not hasattr(found, "dtype") or found.dtype != np.int16:
            bench.fail(what, shown(samples), shown(found), "int16")
        if found.shape != samples.shape:
            bench.fail(what, shown(samples), shown(found), "shape")
        mistakes = [
            (samples.byteswap(), "endian"),
            (samples.reshape(channels, 6).T.copy(), "interleave"),
        ]
        bench.equal(found, samples, what, "two-bytes", mistakes)


def _voice(bench: Bench) -> float:
    """A second of speech, through all four."""
    from labkit.lab.sources import speech

    said = speech(3.0).samples
    begin = bench.rng.randrange(len(said) - 50 * FRAME)
    frames = [said[i : i + FRAME] for i in range(begin, begin + 50 * FRAME, FRAME)]
    first = 65_536 - bench.rng.randrange(5, 45)
    bench.step(f"50 frames of speech, numbered from {first} on across 65535, through to_payload")
    payloads = _each(bench, "to_payload", [(frame,) for frame in frames])
    bench.step("and pack")
    numbers = [((first + i) % 65_536, i * FRAME) for i in range(50)]
    packed = _each(
        bench,
        "pack",
        [(*number, payload) for number, payload in zip(numbers, payloads, strict=True)],
    )
    bench.step("then through unpack")
    read = _each(bench, "unpack", [(data,) for data in packed])
    bench.step("and from_payload")
    heard = _each(bench, "from_payload", [(_third(bench, triple), 1) for triple in read])
    right = sum(
        hasattr(h, "shape") and h.shape == f.shape and bool((h == f).all())
        for h, f in zip(heard, frames, strict=True)
    )
    if right < 50:
        what = "what is heard is what was said"
        found = f"{right} of 50 frames are the same"
        bench.fail(what, "50 of 50 frames", found, "voice", share=right / 50)
    return 1.0


def _each(bench: Bench, name: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    outcomes = bench.subject.ask([Ask("call", name, args) for args in calls])
    return [bench.returned(outcome) for outcome in outcomes]


def _third(bench: Bench, triple: Any) -> Any:
    what = "unpack gives (seq, ts, payload)"
    bench.holds(type(triple) is tuple and len(triple) == 3, what, "three", triple, "voice")
    return triple[2]


# ------------------------------------------------------------------------------------------------

ENDIAN: Final = "The right bytes, the wrong way round: which end goes first on a network?"

EXERCISES: Final = (
    Exercise(
        "01.1",
        "Pack and unpack a frame",
        ("pack", "unpack"),
        (
            Part("layout", "The bytes of a frame", 2, _layout),
            Part("back", "And back again", 1, _back),
            Part("edges", "The smallest and the largest values", 1, _edges),
        ),
        {
            "bytes": "Header and payload are both bytes, and bytes can be joined with +.",
            "version": "The first byte of a frame says which version of the header follows.",
            "kind": "The second byte says what the frame is for; look for the number of MEDIA.",
            "fields": "Compare with the drawing, a row of four bytes at a time.",
            "endian": ENDIAN,
            "order": "All values are there. In which order does the drawing have them?",
            "len": "What exactly does len count, and from where on?",
            "payload": "Where does the header end and the payload begin?",
            "triple": "Three values, in the order in which `pack` takes them.",
            "unsigned": "How many numbers has a field of 16 bits, and is any of them negative?",
        },
        HIDES,
    ),
    Exercise(
        "01.2",
        "How much is a frame, how much is a second?",
        ("frame_bytes", "bitrate", "line_rate"),
        (
            Part("frame_bytes", "Bytes in a frame", 1, _frame_bytes),
            Part("bitrate", "Bits in a second", 1, _bitrate),
            Part("line_rate", "Bits in a second, with the headers", 1, _line_rate),
        ),
        {
            "count": "Samples in that time, times channels, times the size of one sample.",
            "bits": "Bits or bytes? Eight of the ones are one of the others.",
            "channels": "Two ears have two samples each time.",
            "milliseconds": "The rate is for a second. How long is a frame?",
            "kilo": "Bits are asked for, not thousands of them.",
            "header": "The headers travel too.",
            "each": "How many frames are there in a second, and how many headers?",
        },
        HIDES,
    ),
    Exercise(
        "01.3",
        "Frames that are wrong",
        ("read_frame",),
        (
            Part("accepts", "Right frames are read", 1, _accepts),
            Part("truncated", "Bytes are missing", 1, _truncated),
            Part("version", "Of another version or kind", 1, _version),
            Part("oversized", "It announces too much", 1, _oversized),
            Part("trailing", "Bytes are left over", 1, _trailing),
        ),
        {
            "refuses": "An empty payload is legal, and so is the largest one.",
            "header-cut": "Look at the length before you look into the bytes.",
            "payload-cut": "len says how many bytes follow. Are they all there?",
            "wrong-version": "In another version every byte may mean something else.",
            "wrong-kind": "There are four kinds, 0 to 3. What is a number that nobody has defined?",
            "field": "First the error is told the name of the field, as it is in the drawing.",
            "oversized": "Never trust a length that a stranger sent.",
            "announced": "Truncated means: wait for the rest. For four gigabytes?",
            "trailing": "A datagram or file that goes on after the frame is not one frame.",
        },
        HIDES,
    ),
    Exercise(
        "01.4",
        "Your frames carry a voice",
        ("to_payload", "from_payload", "pack", "unpack"),
        (
            Part("to_payload", "Samples to bytes", 1, _to_payload),
            Part("from_payload", "Bytes to samples", 1, _from_payload),
            Part("voice", "A second of speech through all of it", 2, _voice),
        ),
        {
            "two-bytes": "A sample of 16 bits is two bytes; numpy calls that type i2.",
            "endian": ENDIAN,
            "interleave": "The first sample of each channel, then the second of each: in turn.",
            "int16": "Which type have samples in the kit, and which one did numpy make?",
            "shape": "One row for each instant, one column for each channel.",
            "voice": "Does what one part gives fit what the next one takes?",
        },
        HIDES,
    ),
)

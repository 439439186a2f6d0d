"""The first byte of an Opus payload, and the frames behind it: RFC 6716 section 3 (week 8).

Every Opus payload says by itself, without SDP and without decoding, how much sound it holds: the
table of contents (TOC) byte has the configuration and how many frames follow.

     0 1 2 3 4 5 6 7
    +-+-+-+-+-+-+-+-+
    | config  |s| c |     config: mode, bandwidth, duration of a frame; s: stereo
    +-+-+-+-+-+-+-+-+     c: 0 one frame, 1 two of equal size, 2 two, 3 a count follows

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    | config  |s|1|1|v|p|     M     | padding length (if p) ...     |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    | lengths of all frames but the last (if v) | M frames | padding|
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

A payload is refused when it breaks one of the rules [R1] to [R7] of section 3.4; the error's
`spec` names the rule. This module decodes no sound and knows no packets: of a frame's inside it
reads only the bit that tells whether FEC is there.
"""

from enum import Enum
from typing import Final, NamedTuple

from labkit.words.errors import Malformed, Truncated

MAX_DURATION: Final = 5_760
"""120 ms in samples at 48 kHz: the most that a payload may last [R5]."""
MAX_FRAME: Final = 1_275
"""The longest frame in bytes [R2]."""


class Mode(Enum):
    """Which coder made the frame: RFC 6716 section 2."""

    SILK = "SILK"  # speech, by linear prediction
    HYBRID = "Hybrid"  # SILK below 8 kHz, CELT above
    CELT = "CELT"  # music and short delay, by MDCT


class Bandwidth(Enum):
    """How high the sound reaches, in hertz: RFC 6716 table 1."""

    NB = 4_000
    MB = 6_000
    WB = 8_000
    SWB = 12_000
    FB = 20_000


class Toc(NamedTuple):
    """What the first byte says."""

    config: int
    """0 to 31."""
    mode: Mode
    bandwidth: Bandwidth
    frame_duration: int
    """Samples of one frame at 48 kHz, whatever rate the sound was made from: 120 to 2880."""
    stereo: bool
    code: int
    """How many frames follow: 0 one, 1 two of equal size, 2 two of any size, 3 any number."""

    def __str__(self) -> str:
        channels = "stereo" if self.stereo else "mono"
        ms = self.frame_duration / 48
        return f"{self.mode.value} {self.bandwidth.name} {ms:g} ms {channels}, code {self.code}"


def _configurations() -> list[tuple[Mode, Bandwidth, int]]:
    """RFC 6716 table 2, in order: 32 configurations."""
    nb, mb, wb, swb, fb = Bandwidth
    rows: list[tuple[Mode, Bandwidth, tuple[float, ...]]]
    rows = [(Mode.SILK, band, (10, 20, 40, 60)) for band in (nb, mb, wb)]
    rows += [(Mode.HYBRID, band, (10, 20)) for band in (swb, fb)]
    rows += [(Mode.CELT, band, (2.5, 5, 10, 20)) for band in (nb, wb, swb, fb)]
    return [(mode, band, round(ms * 48)) for mode, band, durations in rows for ms in durations]


_TOCS: Final = [
    Toc(byte >> 3, *_configurations()[byte >> 3], bool(byte >> 2 & 1), byte & 3)
    for byte in range(256)
]
"""All there are."""


def parse(payload: bytes) -> Toc:
    """What the first byte says. `Truncated` when there is none; no byte is illegal."""
    if not payload:
        raise _truncated("TOC", 0, "an empty payload", 1)
    return _TOCS[payload[0]]


def frames(payload: bytes) -> int:
    """How many frames the payload holds: 1 to 48."""
    return len(split(payload))


def duration(payload: bytes) -> int:
    """How long the payload lasts, in samples at 48 kHz: 120 to 5760."""
    return len(split(payload)) * _TOCS[payload[0]].frame_duration


def has_fec(payload: bytes) -> bool:
    """Whether the payload carries a coarse copy of the frame before it (in-band FEC, "LBRR").

    A SILK layer begins, for each channel, with one bit of voice activity for each of its frames of
    at most 20 ms, and one bit that says whether such copies follow (section 4.2.3). They are coded
    with equal odds, so the range coder leaves them where they can be read. Only the first frame
    counts: its copy is of the sound before this payload. CELT has no FEC.
    """
    first = split(payload)[0]
    toc = _TOCS[payload[0]]
    if toc.mode is Mode.CELT or not first:
        return False
    silk_frames = max(1, toc.frame_duration // 960)
    mid = first[0] >> (7 - silk_frames) & 1
    side = first[0] >> (6 - 2 * silk_frames) & 1 if toc.stereo else 0
    return bool(mid or side)


def split(payload: bytes) -> list[bytes]:
    """The frames, without lengths and padding. One of no bytes is a frame that was not sent (DTX).

    `WireError` when a rule of section 3.4 is broken: the one place that checks them.
    """
    code = parse(payload).code
    if code == 0:
        found = [payload[1:]]
    elif code == 1:
        found = _equal(payload, 1, len(payload), 2, rule=3)
    elif code == 2:
        found = _unequal(payload, 1, len(payload), 2, rule=4)
    else:
        found = _counted(payload)
    if len(found[-1]) > MAX_FRAME:
        why = f"{len(found[-1])} bytes are over {MAX_FRAME}"
        raise _malformed("frame", 1, why, 2)
    return found


def _counted(payload: bytes) -> list[bytes]:
    """Code 3: a byte with the number of frames and two flags, then perhaps padding."""
    if len(payload) < 2:
        raise _truncated("frame count", 1, "missing", 6)
    count = payload[1] & 0x3F
    samples = count * _TOCS[payload[0]].frame_duration
    if not 0 < samples <= MAX_DURATION:
        raise _malformed("frame count", 1, f"{count} frames last {samples / 48:g} ms", 5)
    vbr = bool(payload[1] & 0x80)
    rule = 7 if vbr else 6
    start, end = 2, len(payload)
    if payload[1] & 0x40:
        start, end = _without_padding(payload, rule)
    return (_unequal if vbr else _equal)(payload, start, end, count, rule)


def _without_padding(payload: bytes, rule: int) -> tuple[int, int]:
    """Where the padding length ends, and where the padding begins."""
    start, end = 2, len(payload)
    more = True
    while more:
        if start >= end:
            raise _truncated("padding", 2, "longer than the payload", rule)
        # 255 says: 254 bytes, and the next byte counts on.
        more = payload[start] == 255
        end -= 254 if more else payload[start]
        start += 1
    if start > end:
        raise _truncated("padding", 2, "longer than the payload", rule)
    return start, end


def _equal(payload: bytes, start: int, end: int, count: int, rule: int) -> list[bytes]:
    """`count` frames that share the bytes equally."""
    size, rest = divmod(end - start, count)
    if rest:
        raise _malformed("frames", start, f"{end - start} bytes for {count} equal frames", rule)
    return [payload[start + i * size : start + (i + 1) * size] for i in range(count)]


def _unequal(payload: bytes, start: int, end: int, count: int, rule: int) -> list[bytes]:
    """`count` frames, the last of which takes what is left."""
    sizes = []
    for _ in range(count - 1):
        size, start = _frame_size(payload, start, end, rule)
        sizes.append(size)
    found = []
    for size in sizes:
        found.append(payload[start : start + size])
        start += size
    if start > end:
        raise _truncated("frame length", 1, f"the frames are {start - end} bytes too long", rule)
    return [*found, payload[start:end]]


def _frame_size(payload: bytes, start: int, end: int, rule: int) -> tuple[int, int]:
    """A frame's length in one byte, or from 252 on in two: section 3.2.1. And where it ends."""
    if start >= end:
        raise _truncated("frame length", start, "missing", rule)
    size = payload[start]
    if size < 252:
        return size, start + 1
    if start + 1 >= end:
        raise _truncated("frame length", start, "its second byte is missing", rule)
    return size + 4 * payload[start + 1], start + 2


def _truncated(field: str, offset: int, why: str, rule: int) -> Truncated:
    return Truncated(field, offset, why, f"RFC 6716 section 3.4 [R{rule}]")


def _malformed(field: str, offset: int, why: str, rule: int) -> Malformed:
    return Malformed(field, offset, why, f"RFC 6716 section 3.4 [R{rule}]")

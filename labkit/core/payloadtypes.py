"""What the payload types of a capture mean: SDP where there is some, else what can be known.

RFC 3551 fixes some numbers; 96 to 127 mean what SDP says (RFC 8866 section 6.6). Where nobody says
it, the clock rate shows in the packets: timestamps run at it, and there are only a few.

This module opens no packets: it is given texts, and tables of packets.
"""

import math
import re
from typing import Final

import numpy as np

from labkit.codec.formats import default_format
from labkit.core.rtpstream import Real, Rows
from labkit.wire import sdp
from labkit.wire.ip import Endpoint
from labkit.words.errors import BadInput, WireError
from labkit.words.format import AudioFormat
from labkit.words.units import NS_PER_S

FIXED: Final = {
    3: ("GSM", 8_000), 4: ("G723", 8_000), 5: ("DVI4", 8_000), 6: ("DVI4", 16_000),
    7: ("LPC", 8_000), 12: ("QCELP", 8_000), 13: ("CN", 8_000), 14: ("MPA", 90_000),
    15: ("G728", 8_000), 16: ("DVI4", 11_025), 17: ("DVI4", 22_050), 18: ("G729", 8_000),
    19: ("CN", 8_000), 25: ("CelB", 90_000), 26: ("JPEG", 90_000), 28: ("nv", 90_000),
    31: ("H261", 90_000), 32: ("MPV", 90_000), 33: ("MP2T", 90_000), 34: ("H263", 90_000),
}  # fmt: skip
"""RFC 3551 tables 4 and 5, beside those that `labkit.wire.sdp` knows."""
CLOCK_RATES: Final = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 90_000)
"""What an unknown clock is taken to be one of."""
UNEVEN: Final = 0.3
"""How much an odd length of packet speaks against a clock rate, as the logarithm of a ratio."""
UNKNOWN: Final = "?"
"""The encoding of a payload type that nobody explains."""
EVENT: Final = "telephone-event"
"""Its timestamps stand still while a key is held (RFC 4733 section 2.2.1): no clock for jitter."""
DYNAMIC: Final = 96

_MEDIA: Final = re.compile(r"m=audio ([0-9]+)(?:/[0-9]+)? (\S+) ([0-9 ]+)")


class PayloadTypes:
    """What was said about payload types, and by whom for which port."""

    def __init__(self) -> None:
        self._said: dict[tuple[int | None, int], AudioFormat] = {}
        self._protected: set[int] = set()

    def learn(self, text: str) -> None:
        """Take what a text says, if there is SDP in it; later texts replace earlier ones."""
        start = text.find("v=0")
        if start < 0:
            return
        media = _MEDIA.search(text, start)
        if media is not None and "SAVP" in media[2]:
            self._protected.add(int(media[1]))
        for port, audio in described(text[start:]):
            self._said[port, audio.payload_type] = audio
            self._said[None, audio.payload_type] = audio

    def is_protected(self, destination: Endpoint) -> bool:
        """Whether SDP says of what is sent there that it is SRTP: RFC 3711 section 12."""
        return destination[1] in self._protected

    def meaning(self, destination: Endpoint, payload_type: int) -> AudioFormat | None:
        """What is said of a payload type sent there; by SDP for another port as a last resort."""
        for port in (destination[1], None):
            if (port, payload_type) in self._said:
                return self._said[port, payload_type]
        if payload_type in sdp.STATIC:
            return AudioFormat(*sdp.STATIC[payload_type], payload_type)
        if payload_type in FIXED:
            encoding, rate = FIXED[payload_type]
            return AudioFormat(encoding, rate, 1, payload_type)
        return None

    def explain(self, destination: Endpoint, formats: dict[int, AudioFormat]) -> None:
        """Name what was unknown when it came and was explained later."""
        for kind, audio in formats.items():
            if audio.encoding == UNKNOWN:
                formats[kind] = self.meaning(destination, kind) or audio

    def rates(self, destination: Endpoint, formats: dict[int, AudioFormat], rows: Rows) -> Real:
        """Ticks a second by payload type, 0 for none; `formats` is filled with what is new."""
        rates = np.zeros(128)
        for kind in np.flatnonzero(np.bincount(rows["payload_type"])).tolist():
            if kind not in formats:
                known = self.meaning(destination, kind)
                formats[kind] = known or _guess(kind, rows[rows["payload_type"] == kind])
            if formats[kind].encoding != EVENT:
                rates[kind] = formats[kind].clock_rate
        return rates


def described(text: str) -> list[tuple[int, AudioFormat]]:
    """Every payload type of the first stream of sound in a description, with its port."""
    found = []
    media = _MEDIA.search(text)
    for kind in media[3].split() if media else []:
        assert media is not None
        # `sdp.parse` reads the type that stands first: let each stand there once.
        line = f"m=audio {media[1]} RTP/AVP {kind}"
        one = text[: media.start()] + line + text[media.end() :]
        try:
            found.append((int(media[1]), sdp.parse(one).audio))
        except WireError:
            continue
    return found


def _guess(payload_type: int, rows: Rows) -> AudioFormat:
    """By the clock rate that shows in the packets; labkit's own type, if its clock agrees."""
    rate = estimated_rate(rows)
    try:
        usual = default_format(payload_type)
        if usual.clock_rate == rate:
            return usual
    except BadInput:
        pass
    return AudioFormat(UNKNOWN, rate, 1, payload_type)


def estimated_rate(rows: Rows) -> int:
    """The usual clock rate nearest to how fast timestamps run here.

    44 100 and 48 000 lie close together, and jitter blurs. But a packet holds a whole number of
    milliseconds, or half of one, by one of the two only: 960 ticks are 20 ms at 48 000.
    """
    ticks = np.diff(rows["timestamp"]).astype(np.int32)
    time = int(rows["time"][-1] - rows["time"][0])
    if time <= 0 or ticks.sum() <= 0:
        return CLOCK_RATES[0]
    rate = int(ticks.sum()) * NS_PER_S / time
    step = int(np.median(ticks[ticks > 0]))

    def distance(usual: int) -> float:
        return abs(math.log(rate / usual)) + (UNEVEN if step * 2000 % usual else 0)

    return min(CLOCK_RATES, key=distance)

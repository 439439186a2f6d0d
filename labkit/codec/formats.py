"""From what SDP says to a codec, and from a payload type alone to what SDP would have said.

Only what a receiver needs is taken from a format. A wrong or missing optional parameter falls back
to the default of its specification, because it came from a peer: RFC 8866 section 6.4 says that
nobody should need `ptime` to decode. This module encodes and decodes nothing.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from labkit.codec.face import Codec
from labkit.codec.g711 import Pcma, Pcmu
from labkit.codec.g722 import G722
from labkit.codec.opus import BITRATES, FRAME_LENGTHS, Opus
from labkit.codec.pcm import Pcm
from labkit.words.errors import BadInput
from labkit.words.format import PT_OPUS, AudioFormat
from labkit.words.units import FRAME_MS

_DEFAULTS: Final[Mapping[int, AudioFormat]] = MappingProxyType(
    {
        codec_format.payload_type: codec_format
        for codec_format in (
            Pcmu().format,
            Pcma().format,
            G722().format,
            Pcm(44_100, 2).format,
            Pcm(44_100, 1).format,
            Pcm(48_000, 1).format,
            Pcm(48_000, 2).format,
            AudioFormat("opus", 48_000, 2, PT_OPUS),
        )
    }
)


def codec_for(audio_format: AudioFormat) -> Codec:
    """The codec that reads `audio_format`. `BadInput`, naming the known ones, for any other.

    For Opus the settings are those that the peer asks for (RFC 7587 section 6.1), so that what is
    sent back suits it too.
    """
    make = _CODECS.get(audio_format.encoding.upper())
    if make is None:
        raise BadInput(f"no codec for {audio_format}", f"one of {', '.join(_CODECS)}")
    return make(audio_format)


def default_format(payload_type: int) -> AudioFormat:
    """What `payload_type` means where no SDP says it. `BadInput`, naming the known ones."""
    if payload_type not in _DEFAULTS:
        known = ", ".join(f"{f.payload_type} {f.encoding}" for f in _DEFAULTS.values())
        raise BadInput(f"payload type {payload_type} means nothing without SDP", f"one of {known}")
    return _DEFAULTS[payload_type]


def _opus(audio_format: AudioFormat) -> Opus:
    said = audio_format.parameters
    bitrate = said.get("maxaveragebitrate", "")
    stereo = "1" in (said.get("stereo"), said.get("sprop-stereo"))
    ptime = audio_format.ptime
    return Opus(
        int(bitrate) if bitrate.isdecimal() and int(bitrate) in BITRATES else Opus.bitrate,
        frame_ms=ptime if ptime in FRAME_LENGTHS else FRAME_MS,
        channels=2 if stereo else 1,
        fec=said.get("useinbandfec") == "1",
        dtx=said.get("usedtx") == "1",
    )


def _l16(audio_format: AudioFormat) -> Pcm:
    return Pcm(audio_format.clock_rate, audio_format.channels, audio_format.ptime)


def _telephone(codec: type[Pcmu] | type[Pcma] | type[G722]) -> Callable[[AudioFormat], Codec]:
    def make(audio_format: AudioFormat) -> Codec:
        if (audio_format.clock_rate, audio_format.channels) != (8_000, 1):
            raise BadInput(f"no codec for {audio_format}", f"{audio_format.encoding}/8000/1")
        return codec(audio_format.ptime)

    return make


_CODECS: Final[Mapping[str, Callable[[AudioFormat], Codec]]] = MappingProxyType(
    {
        "OPUS": _opus,
        "L16": _l16,
        "PCMU": _telephone(Pcmu),
        "PCMA": _telephone(Pcma),
        "G722": _telephone(G722),
    }
)

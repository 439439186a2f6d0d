"""From formats to codecs and back."""

from types import MappingProxyType

import pytest

from labkit.codec import Blank, Opus, Pcm, Pcma, Pcmu, codec_for, default_format
from labkit.codec.face import Codec
from labkit.words.errors import BadInput
from labkit.words.format import AudioFormat


@pytest.mark.parametrize(
    "codec",
    [
        Opus(24_000, frame_ms=40, channels=2, fec=True, dtx=True),
        Opus(),
        Pcm(),
        Pcm(16_000, 2, 10),
        Pcmu(10),
        Pcma(),
    ],
)
def test_a_codec_survives_its_format(codec: Codec) -> None:
    assert codec_for(codec.format) == codec


@pytest.mark.parametrize("payload_type", [0, 8, 9, 10, 11, 96, 97, 111])
def test_our_payload_types_mean_something_without_sdp(payload_type: int) -> None:
    found = default_format(payload_type)
    assert found.payload_type == payload_type
    assert codec_for(found).format.payload_type == payload_type


def test_other_payload_types_do_not() -> None:
    with pytest.raises(BadInput, match="111 opus"):
        default_format(112)


@pytest.mark.parametrize("encoding", ["G729", Blank().format.encoding])
def test_other_encodings_are_refused_by_naming_ours(encoding: str) -> None:
    with pytest.raises(BadInput, match="OPUS, L16, PCMU, PCMA, G722"):
        codec_for(AudioFormat(encoding, 8_000, 1, 9))


def test_encodings_may_be_written_in_any_case() -> None:
    """RFC 4855 section 3: names of media subtypes are not case-sensitive."""
    assert codec_for(AudioFormat("Opus", 48_000, 2, 120)) == Opus()
    assert codec_for(AudioFormat("pcma", 8_000, 1, 8)) == Pcma()


@pytest.mark.parametrize("bitrate", ["", "-1", "lots", "999999999", "5"])
@pytest.mark.parametrize("ptime", [0, -20, 30, 120])
def test_strange_parameters_of_a_peer_fall_back_to_the_defaults(bitrate: str, ptime: float) -> None:
    parameters = MappingProxyType({"maxaveragebitrate": bitrate, "useinbandfec": "yes"})
    assert codec_for(AudioFormat("opus", 48_000, 2, 111, ptime, parameters)) == Opus()


def test_formats_that_the_encoding_does_not_have_are_refused() -> None:
    with pytest.raises(BadInput, match="PCMU/8000/1"):
        codec_for(AudioFormat("PCMU", 16_000, 1, 0))
    with pytest.raises(BadInput, match="1 or 2"):
        codec_for(AudioFormat("L16", 48_000, 6, 98))

"""The codec without sound must cost nothing and still keep the contract."""

import numpy as np
import pytest

from labkit.codec.blank import Blank
from labkit.words.errors import BadInput


def test_every_payload_and_every_frame_is_the_same_object() -> None:
    codec = Blank(size=33, frame_ms=10)
    encoder, decoder = codec.encoder(), codec.decoder()
    sound = np.zeros((480, 1), np.int16)
    payload = encoder.encode(sound)
    assert payload == bytes(33)
    assert encoder.encode(sound) is payload
    assert decoder.decode(payload) is decoder.decode(b"") is decoder.conceal(480)
    assert decoder.decode(payload).shape == (480, 1)
    assert codec.duration(payload) == codec.frame_samples == 480


def test_shared_silence_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Blank().decoder().decode(b"")[0] = 1


def test_gaps_of_other_lengths_are_silent_too() -> None:
    decoder = Blank().decoder()
    assert decoder.conceal(100).shape == (100, 1)
    assert decoder.recover(bytes(80)) is None


def test_nothing_is_not_a_payload() -> None:
    with pytest.raises(BadInput, match="1 or more"):
        Blank(size=0)

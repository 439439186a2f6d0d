"""Sound for the tests of codecs."""

import wave
from collections.abc import Callable

import numpy as np
import pytest

from labkit.codec.face import Codec
from labkit.resources import speech_path
from labkit.words.format import Samples


@pytest.fixture(scope="session")
def speech() -> Samples:
    """The spoken sample, read by the standard library; nobody may write into it."""
    with wave.open(str(speech_path())) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 1)
    assert not sound.flags.writeable
    return sound


@pytest.fixture(scope="session")
def cut() -> Callable[[Codec, Samples], list[Samples]]:
    """Cut sound into the frames of a codec; what is left at the end is dropped."""

    def frames(codec: Codec, sound: Samples) -> list[Samples]:
        size = codec.frame_samples
        return [sound[start : start + size] for start in range(0, len(sound) - size + 1, size)]

    return frames

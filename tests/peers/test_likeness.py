"""The measure of the tests beside it: it finds a shift, and hears damage."""

import pytest
from peers.likeness import likeness

from labkit.lab.sources import speech
from labkit.live.wav import WavWriter


def write(path, samples):
    with WavWriter(path, 48_000, 1) as out:
        out.write(samples)
    return path


@pytest.mark.parametrize("cut", [0, 12_345, 60_000])
def test_a_stretch_of_the_same_sound_is_found(tmp_path, cut):
    """Whoever began first, and whatever comes after."""
    sound = speech().samples[: 4 * 48_000]
    said = write(tmp_path / "said.wav", sound)
    heard = write(tmp_path / "heard.wav", sound[cut:])
    for one, other, sign in ((said, heard, 1), (heard, said, -1)):
        found = likeness(one, other)
        assert round(found.shift * 48_000) == sign * cut
        assert found.stoi > 0.99


def test_damage_is_heard(tmp_path):
    """A third of its frames silenced, and speech is no longer like itself."""
    sound = speech().samples[: 4 * 48_000]
    said = write(tmp_path / "said.wav", sound)
    damaged = sound.copy()
    for start in range(0, len(sound), 2880):
        damaged[start : start + 960] = 0
    assert likeness(said, write(tmp_path / "heard.wav", damaged)).stoi < 0.8

"""Sliders for the way a voice is carried: each moves the call, the picture and the sound."""

import pytest

from labkit.core.delaypolicy import Fixed
from labkit.lab.call import TRANSPORTS
from labkit.lab.sources import speech
from labkit.lab.transportlab import CARRIED, TransportLab
from labkit.words.units import ms

MOVES = [("way", "quic-stream"), ("loss", 20)]


@pytest.fixture(scope="module")
def lab():
    return TransportLab(speech(1.5), loss=10)


@pytest.mark.parametrize(("control", "value"), MOVES)
def test_a_control_changes_picture_sound_and_figures(lab, control, value):
    before = lab.picture.value, lab.sound.value, lab.figures.value
    getattr(lab, control).value = value
    after = lab.picture.value, lab.sound.value, lab.figures.value
    assert bytes(lab.picture.value).startswith(b"\x89PNG")
    assert bytes(lab.sound.value).startswith(b"fLaC")
    assert all(old != new for old, new in zip(before, after, strict=True))


def test_the_call_is_what_the_controls_say(lab):
    lab.way.value, lab.loss.value, lab.delay.value, lab.buffer.value = "quic", 5, 80, 100
    call = lab.call()
    assert (call.profile.down.loss, call.profile.down.delay) == (0.05, ms(80))
    assert call.transport == lab.result.transport == "quic"
    assert isinstance(call.policy, Fixed)
    assert call.policy.delay == ms(100)


def test_every_way_is_one_that_a_call_knows():
    assert set(CARRIED.values()) <= set(TRANSPORTS)

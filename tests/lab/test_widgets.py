"""Sliders: each moves the call, the picture and the sound, in a browser or without."""

import pytest

from labkit import Fixed, JitterLab, ms, speech

MOVES = [("loss", 20), ("jitter", 45), ("buffer", 200), ("adaptive", True)]


@pytest.fixture
def lab():
    return JitterLab(speech(1.5))


@pytest.mark.parametrize(("control", "value"), MOVES)
def test_a_control_changes_picture_and_sound(lab, control, value):
    """Both are bytes of a widget, which the page gets by itself."""
    picture, sound = lab.picture.value, lab.sound.value
    getattr(lab, control).value = value
    assert bytes(lab.picture.value).startswith(b"\x89PNG")
    assert bytes(lab.sound.value).startswith(b"fLaC")
    assert lab.picture.value != picture
    assert lab.sound.value != sound


def test_the_call_is_what_the_sliders_say(lab):
    lab.loss.value, lab.jitter.value, lab.buffer.value = 10, 30, 80
    call = lab.call()
    assert (call.profile.down.loss, call.profile.down.jitter) == (0.1, ms(30))
    assert isinstance(call.policy, Fixed)
    assert call.policy.delay == ms(80)
    assert "10 % loss, 30 ms jitter" in lab.result.title


def test_no_jitter_and_no_loss_is_a_network_too(lab):
    lab.loss.value = lab.jitter.value = 0
    assert lab.result.unheard == 0
    assert lab.result.network_delay_ms == pytest.approx(100)


def test_an_adaptive_buffer_takes_no_number(lab):
    """The slider shows that it does not count."""
    lab.adaptive.value = True
    assert lab.buffer.disabled
    assert not isinstance(lab.call().policy, Fixed)


def test_a_slider_counts_when_it_is_let_go(lab):
    """A call takes tenths of a second: one for each pixel would be too many."""
    assert not any(s.continuous_update for s in (lab.loss, lab.jitter, lab.buffer))


@pytest.mark.parametrize("extreme", [{"loss": 30, "jitter": 60, "buffer": 0}, {"buffer": 300}])
def test_the_ends_of_the_sliders_work(extreme):
    assert JitterLab(speech(1.5), **extreme).picture.value

"""What the pictures about Opus show, in words and in numbers; and sliders that change the call."""

import numpy as np
import pytest

from labkit.codec.opus import Opus
from labkit.core.source import Clip
from labkit.lab.answers import ANSWERS
from labkit.lab.call import Call
from labkit.lab.captures import capture
from labkit.lab.opuslab import BURST, OpusLab
from labkit.lab.opuspictures import configurations, curves, holes, payloads, shares
from labkit.lab.sources import speech
from labkit.words.errors import BadInput


@pytest.fixture(scope="module")
def call():
    return Call(speech(1.5), Opus(24_000, dtx=True), seed=1).simulate()


def test_every_configuration_stands_once_on_the_map():
    texts = [text.get_text() for text in configurations().figure.axes[0].texts]
    assert sorted(map(int, texts)) == list(range(32))


def test_a_bar_is_sound_and_headers(call):
    """Forty bytes, fifty times a second."""
    picture = shares({"call": call, "by hand": (768_000, 32_000)})
    bars = [patch.get_width() for patch in picture.figure.axes[0].patches]
    assert bars == pytest.approx([call.bitrate / 1000, 16, 768, 32])
    assert "by hand: 768 and 32 kbit/s" in picture.alt


def test_payloads_of_a_call_stand_below_its_sound(call):
    picture = payloads(call)
    assert len(picture.figure.axes) == 2
    heights = [bar.get_height() for bar in picture.figure.axes[1].patches]
    assert heights == list(call.timeline.size)


def test_payloads_of_a_capture_stand_at_their_timestamps():
    traffic = capture("08_opus_dtx")
    bars = payloads(traffic).figure.axes[0].patches
    assert len(bars) == 545
    steps = np.diff([bar.get_x() for bar in bars])
    assert steps.max() == pytest.approx(0.42)
    assert ANSWERS["pause_in_speech"](traffic).value == 400
    with pytest.raises(BadInput, match="no stream of voice"):
        payloads(capture("03_nagle_on"))


def test_holes_are_shaded_where_they_are():
    sound = np.zeros((2880, 1), np.int16) + 1
    picture = holes({"said": sound, "heard": sound}, lost=[1])
    for axes in picture.figure.axes:
        (span,) = axes.patches
        assert (span.get_x(), span.get_width()) == pytest.approx((20, 20))


def test_curves_go_through_their_points():
    picture = curves({"PLC": {5: 0.97, 10: 0.94}}, "loss (%)", "STOI")
    (line,) = picture.figure.axes[0].lines
    assert line.get_xydata().tolist() == [[5, 0.97], [10, 0.94]]
    assert picture.alt == "STOI against loss (%): PLC from 0.97 to 0.94"


@pytest.fixture(scope="module")
def lab():
    return OpusLab(speech(1.5))


@pytest.mark.parametrize(
    ("control", "value"), [("bitrate", 12), ("loss", 30), ("repair", "silence"), ("bursts", True)]
)
def test_a_control_changes_picture_sound_and_figures(lab, control, value):
    before = lab.picture.value, lab.sound.value, lab.figures.value
    getattr(lab, control).value = value
    after = lab.picture.value, lab.sound.value, lab.figures.value
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_bursts_lose_as_much_on_average(lab):
    """The two states of a Gilbert model: what is lost is the share of time in the bad one."""
    lab.loss.value, lab.bursts.value = 20, True
    model = lab.call().profile.down.gemodel
    assert model.p / (model.p + model.r) == pytest.approx(0.2, rel=1e-3)
    assert 1 / model.r == pytest.approx(BURST, rel=1e-3)
    lab.loss.value = 0
    assert lab.result.unheard == 0


def test_a_clip_of_ones_own():
    assert OpusLab(Clip(np.ones((48_000, 1), np.int16)), loss=0).result.unheard == 0

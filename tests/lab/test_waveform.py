"""Sound as a picture."""

import numpy as np
import pytest

from labkit.core.source import Clip, tone
from labkit.lab.waveform import waveform
from labkit.words.errors import BadInput


def lines(picture):
    return [line.get_xydata() for line in picture.figure.axes[0].lines]


def test_every_sample_of_a_short_piece_stands_where_it_was_taken():
    clip = tone()
    drawn = lines(waveform(clip, first=3, count=1, frame_ms=4))[0]
    assert drawn[:, 0] == pytest.approx(np.arange(576, 768) / 48)
    assert drawn[:, 1] == pytest.approx(clip.samples[576:768, 0])


def test_of_a_long_piece_no_peak_is_lost():
    samples = np.zeros((480_000, 1), np.int16)
    samples[123_457] = 20_000
    picture = waveform(Clip(samples, 48_000))
    (area,) = picture.figure.axes[0].collections
    assert area.get_datalim(picture.figure.axes[0].transData).ymax == 20_000
    assert "the largest 20000" in picture.alt


def test_borders_of_frames_are_drawn_where_they_were_asked_for():
    names = [text.get_text() for text in waveform(tone(), first=7, count=3).figure.axes[0].texts]
    assert names == ["frame 7", "frame 8", "frame 9"]


@pytest.mark.parametrize("first", [-1, 10_000])
def test_a_frame_that_is_not_there(first):
    with pytest.raises(BadInput, match="is not in a sound"):
        waveform(tone(), first=first, count=1)

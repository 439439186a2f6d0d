"""Players: the sound in the page is the sound that was given, and names tell sounds apart."""

import base64
import io
import re

import av
import numpy as np
import pytest

from labkit import Call, NaiveBuffer, Pcm, Pcmu, listen, speech, tone
from labkit.lab.listen import flac_bytes


def decoded(data):
    """Samples of shape (samples, channels), and their rate, by FFmpeg."""
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.audio[0]
        frames = [frame.to_ndarray() for frame in file.decode(stream)]
        whole = np.concatenate(frames, axis=1).reshape(-1, stream.channels)
        return whole, stream.rate


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_what_is_played_is_what_was_heard_bit_for_bit(rate, channels):
    """FLAC loses nothing."""
    noise = np.random.default_rng(1).integers(-32768, 32768, (rate // 3, channels), np.int16)
    samples, heard_rate = decoded(flac_bytes(noise, rate))
    assert heard_rate == rate
    assert np.array_equal(samples, noise)


def test_a_page_carries_its_sound():
    """As data in the page: no file, no server, and a quarter of a WAV."""
    page = listen(speech())._repr_html_()
    data = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    samples, _ = decoded(data)
    assert np.array_equal(samples, speech().samples)
    assert len(data) < samples.nbytes / 3


@pytest.fixture(scope="module")
def calls():
    """Two calls over one line."""
    clip = tone(duration_s=0.5)
    naive = Call(clip, codec=Pcmu(), jitter_buffer=NaiveBuffer, name="naive").simulate()
    return naive, Call(clip, codec=Pcmu(), name="good").simulate()


def test_what_was_said_is_offered_once(calls):
    """Two receivers of one voice: three players."""
    assert list(listen(*calls).sounds) == ["what was said", "naive", "good"]


def test_what_was_said_at_another_rate_says_so(calls):
    """A telephone is told its own copy of the voice; a second telephone the same."""
    voice = tone(duration_s=0.5)
    studio = Call(voice, codec=Pcm(), name="studio").simulate()
    names = ["what was said", "studio", "what was said, at 8 kHz", "naive", "good"]
    assert list(listen(studio, *calls).sounds) == names


def test_two_sounds_of_one_name_are_both_there(calls):
    """The second is numbered."""
    assert list(listen(calls[0], calls[0]).sounds) == ["what was said", "naive", "naive (2)"]


def test_names_are_text_and_not_html():
    """A name may hold anything."""
    page = listen({"<b>&": np.zeros((480, 1), np.int16)})._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page


def test_silence_of_no_length_is_said_in_words():
    """A call of which nothing was heard has no sound to play."""
    assert "nothing was heard" in listen(np.zeros((0, 1), np.int16))._repr_html_()

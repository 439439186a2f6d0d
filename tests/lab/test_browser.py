"""The kernel's half of the browser's microphone and speaker, without a page.

What a page would send is given as the messages that it sends; tests/live/test_browser_sound.py
has the page.
"""

import asyncio
from contextlib import asynccontextmanager

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.lab.browser import PROBLEMS, TEXTS, BrowserMicrophone, BrowserSpeaker
from labkit.lab.call import Call
from labkit.lab.livesound import Conversion, LiveSource
from labkit.words.errors import BadInput, MissingCapability
from labkit.words.units import ms

FRAME = 960


def sound(first, frames=2, run=1, channels=1):
    """A message of the microphone: every sample says the number of its frame."""
    numbers = np.arange(first, first + frames, dtype=np.int16).repeat(FRAME * channels)
    return {"kind": "sound", "run": run, "first": first, "at": 0.0}, [memoryview(numbers.tobytes())]


@pytest.fixture
def microphone(monkeypatch):
    made = BrowserMicrophone()
    made.said = []
    monkeypatch.setattr(BrowserMicrophone, "send", lambda self, content: made.said.append(content))
    return made


def test_what_comes_is_in_the_ring_and_what_does_not_is_counted(microphone):
    for first in (0, 2, 6):
        microphone._received(None, *sound(first))
    assert (microphone.received, microphone.lost) == (6, 2)
    assert microphone.ring.read(microphone.ring.fill)[::FRAME, 0].tolist() == [0, 1, 2, 3, 6, 7]
    microphone._received(None, *sound(0, run=2))  # switched off, and on again
    assert microphone.lost == 2


def test_the_page_is_told_what_was_heard_twice_a_second(microphone):
    for first in range(0, 100, 5):
        microphone._received(None, *sound(first, 5))
    heard = [said["frames"] for said in microphone.said]
    assert heard == [25, 50, 75, 100]


def test_a_ring_that_nobody_reads_holds_two_seconds(microphone):
    for first in range(0, 200, 2):
        microphone._received(None, *sound(first))
    assert microphone.ring.fill == 2 * 48_000
    assert microphone.ring.overrun_samples == 2 * 48_000


@pytest.mark.parametrize(
    ("content", "buffers"),
    [
        (None, []),
        ({}, []),
        ({"kind": "sound"}, []),
        ({"kind": "sound", "run": 1, "first": "x"}, [memoryview(bytes(1920))]),
        ({"kind": "sound", "run": 1, "first": 0}, [memoryview(bytes(3))]),
        ({"kind": "sound", "run": 1, "first": float("inf")}, [memoryview(bytes(1920))]),
    ],
)
def test_nonsense_is_counted(microphone, content, buffers):
    microphone._received(None, content, buffers)
    assert microphone.nonsense == 1
    assert microphone.received == 0


def test_reports_that_make_no_sense_are_counted():
    speaker = BrowserSpeaker()
    speaker.state = "on"
    with speaker.playing() as playback:
        good = dict.fromkeys(("received", "played", "queued", "underruns", "silence", "dropped"), 0)
        good |= {"kind": "report", "stream": 1, "output": 0.02}
        speaker._received(None, good | {"played": float("nan")}, [])
        speaker._received(None, good | {"output": None}, [])
        speaker._received(None, good | {"stream": 7}, [])  # of one before: old, not wrong
        assert speaker.nonsense == 2
        assert playback.ring.heard_from is None
        speaker._received(None, good, [])
        assert playback.ring.heard_from is not None
        assert playback.latency == ms(20)


def test_sound_leaves_in_batches_after_a_cushion_of_silence(monkeypatch):
    sent = []

    def send(self, content, buffers=None):
        sent.append((content["kind"], len(buffers[0]) // 2 if buffers else 0))

    monkeypatch.setattr(BrowserSpeaker, "send", send)
    speaker = BrowserSpeaker(cushion=0.1)
    speaker.state = "on"
    with speaker.playing(8_000, 1) as playback:
        for n in range(1, 6):
            playback.write(np.full((160, 1), 1000, np.int16), ms(20) * n)
    kinds, sizes = zip(*sent, strict=True)
    assert kinds[0] == "begin"
    assert kinds[-1] == "end"
    assert sizes[1] >= 4800  # the cushion leaves with the first frame
    assert all(size >= 2 * FRAME for size in sizes[1:-2])
    assert sum(sizes) == pytest.approx(4800 + 5 * FRAME, abs=4)  # the playout bends it a little


def test_off_and_refused_are_said(microphone):
    with pytest.raises(MissingCapability, match="press its button"):
        microphone.require()
    for reason, (what, remedy) in PROBLEMS.items():
        microphone.reason, microphone.state = reason, "failed"
        with pytest.raises(MissingCapability, match="no microphone") as failed:
            microphone.require()
        assert what in str(failed.value)
        assert remedy in str(failed.value)
        assert remedy in TEXTS[reason]


def test_what_cannot_be_is_refused():
    with pytest.raises(BadInput, match="2 to 5"):
        BrowserMicrophone(batch=1)
    with pytest.raises(BadInput, match="1 or 2"):
        BrowserSpeaker(channels=6)
    with pytest.raises(BadInput, match="cushion"):
        BrowserSpeaker(cushion=0)
    with pytest.raises(BadInput, match="real time"):
        Call(BrowserMicrophone(), codec=Blank()).simulate()


def test_blocks_come_as_the_codec_wants_them_and_end_with_the_button(microphone):
    async def use():
        microphone.state = "on"
        microphone._received(None, *sound(90))  # before: not meant
        blocks = []
        async with microphone.captured(8_000, 2) as captured:
            for first in range(0, 50, 2):
                microphone._received(None, *sound(first))
            async for block in captured:
                blocks.append(block)
                microphone.state = "off"
        return np.concatenate(blocks)

    heard = asyncio.run(asyncio.wait_for(use(), 10))
    assert heard.shape[1] == 2
    assert len(heard) == 8_000
    assert (heard <= 60).all()  # a filter rings


@pytest.mark.parametrize(("rate", "to_rate"), [(48_000, 8_000), (8_000, 48_000), (44_100, 48_000)])
def test_a_conversion_of_blocks_is_a_tone_still(rate, to_rate):
    """At 440 Hz what is not the tone is 60 dB below it, whatever the size of the blocks."""
    wave = 8000 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    whole = np.round(wave).astype(np.int16)[:, np.newaxis]
    convert = Conversion(rate, 1, to_rate, 2)
    made = np.concatenate([convert(whole[at : at + 441]) for at in range(0, rate, 441)])
    assert len(made) == to_rate
    assert (made[:, 0] == made[:, 1]).all()
    angle = 2 * np.pi * 440 * np.arange(to_rate) / to_rate
    basis, heard = np.stack([np.sin(angle), np.cos(angle)], 1)[400:], made[400:, 0].astype(float)
    fit, *_ = np.linalg.lstsq(basis, heard, rcond=None)
    assert np.hypot(*fit) == pytest.approx(8000, rel=0.001)
    assert np.std(heard - basis @ fit) < 8000 / 1000


class Talker:
    """A microphone that hears a ramp."""

    def captured(self, sample_rate, channels):
        @asynccontextmanager
        async def capture():
            yield self._blocks(sample_rate)

        return capture()

    async def _blocks(self, sample_rate):
        for n in range(10_000):
            yield np.full((sample_rate // 100, 1), n, np.int16)
            await asyncio.sleep(0.01)


class Hearer:
    """A speaker that remembers."""

    latency = 0

    def __init__(self):
        self.heard = []

    def playing(self, sample_rate, channels):
        self.form = sample_rate, channels
        return self

    def write(self, samples, instant):
        self.heard.append(samples)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.closed = True


@pytest.mark.live
@pytest.mark.parametrize("transport", ["rtp", "tcp"])
def test_a_call_from_a_live_source_to_a_live_sink(transport):
    talker, hearer = Talker(), Hearer()
    assert isinstance(talker, LiveSource)
    call = Call(talker, codec=Blank(), transport=transport)
    result = asyncio.run(call.run(0.6, speaker=hearer))
    assert len(result.reference) == round(0.6 * result.codec.sample_rate)
    assert len(result.timeline) == 30
    assert np.array_equal(np.concatenate(hearer.heard), result.audio)
    assert hearer.closed
    assert hearer.form == (result.codec.sample_rate, 1)


@pytest.mark.live
def test_a_microphone_that_fails_ends_the_call_with_its_reason():
    class Unplugged(Talker):
        async def _blocks(self, sample_rate):
            for _ in range(30):
                yield np.zeros((480, 1), np.int16)
                await asyncio.sleep(0.01)
            raise MissingCapability("the microphone went away", "plug it in")

    with pytest.raises(MissingCapability, match="went away"):
        asyncio.run(Call(Unplugged(), codec=Blank()).run(5))

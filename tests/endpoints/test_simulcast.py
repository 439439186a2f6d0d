"""A voice in several renditions: what is encoded, who gets what, and whether a change is heard."""

from itertools import pairwise
from random import Random

import numpy as np
import pytest

from labkit.codec import Blank, Opus, Pcm
from labkit.core.congestion import Feedback
from labkit.core.figures import ClientFigures
from labkit.core.framer import Framer
from labkit.core.quality import stoi
from labkit.core.ratecontrol import PATIENCE
from labkit.core.session import Report, Stats
from labkit.core.source import Clip
from labkit.endpoints.simulcast import WARM_UP, Simulcast, renditions
from labkit.endpoints.voice import Voice
from labkit.lab.sources import speech
from labkit.words.errors import BadInput
from labkit.words.units import ms, seconds

BLANKS = {64_000: Blank(160), 32_000: Blank(80), 16_000: Blank(40)}


class Allows:
    """A controller that allows what it is told to."""

    def __init__(self, bitrate: int = 64_000) -> None:
        self.bitrate = bitrate

    def on_feedback(self, feedback: Feedback, now: int) -> None:
        self.bitrate = feedback.delivered or self.bitrate


def simulcast(frames: int = 500, **options) -> Simulcast:
    voice = Simulcast(
        BLANKS,
        Clip(np.zeros((frames * 960, 1), np.int16)),
        rng=Random(1),
        make_controller=Allows,
        **options,
    )
    voice.start(0)
    return voice


def say(voice: Simulcast, frame: int) -> tuple[list, dict]:
    """The next frame: who moved, and what each listener gets."""
    (packet,) = voice.tick(ms(20 * (frame + 1)))
    moved = voice.moved()
    names = ("ann", "ben", "cem")
    heard = {name: voice.version(packet, voice.rendition_of(name)) for name in names}
    return moved, heard


def encoded(voice: Simulcast) -> dict[int, int]:
    return {bitrate: each.encoded for bitrate, each in voice.renditions.items() if each.encoded}


def test_only_what_somebody_gets_is_encoded_once_for_all():
    voice = simulcast()
    for name in ("ann", "ben", "cem"):
        voice.welcome(name)
    for frame in range(10):
        _, heard = say(voice, frame)
        assert {len(packet.payload) for packet in heard.values()} == {80}
        assert heard["ann"] is heard["ben"]
    assert encoded(voice) == {32_000: 10}


def test_with_nobody_there_one_is_encoded_so_that_numbers_go_on():
    voice = simulcast()
    for frame in range(3):
        say(voice, frame)
    assert encoded(voice) == {32_000: 3}


def test_a_change_is_made_between_two_packets_when_the_encoder_is_warm():
    """Sequence numbers and timestamps go on as if nothing had happened."""
    voice = simulcast()
    voice.welcome("ann")
    voice.welcome("ben")
    packets = []
    for frame in range(10):
        if frame == 4:
            voice.hear("ann", Feedback(delivered=16_000), ms(80))
        moved, heard = say(voice, frame)
        assert moved == {0: ["ann", "ben"], 4 + WARM_UP: ["ann"]}.get(frame, [])
        packets.append(heard["ann"])
        assert len(heard["ben"].payload) == 80
    assert [len(packet.payload) for packet in packets] == [80] * 6 + [40] * 4
    assert [packet.seq - packets[0].seq for packet in packets] == list(range(10))
    assert {b.timestamp - a.timestamp for a, b in pairwise(packets)} == {960}
    assert encoded(voice) == {32_000: 10, 16_000: 6}


def test_a_rendition_without_listeners_rests():
    voice = simulcast()
    voice.welcome("ann")
    say(voice, 0)
    voice.hear("ann", Feedback(delivered=16_000), ms(20))
    for frame in range(1, 10):
        say(voice, frame)
    assert encoded(voice) == {
        32_000: 1 + WARM_UP + 1,
        16_000: 9,
    }  # in the frame of the change, both
    voice.forget("ann")
    assert voice.rendition_of("ann") is None


def test_who_is_new_begins_at_once_with_what_is_there_or_is_started_for_it():
    voice = simulcast()
    voice.welcome("ann")
    voice.hear("ann", Feedback(delivered=16_000), 0)
    say(voice, 0)
    assert voice.rendition_of("ann") == 16_000
    voice.welcome("ben")
    moved, heard = say(voice, 1)
    assert moved == ["ben"]
    assert [len(heard[name].payload) for name in ("ann", "ben")] == [40, 80]


def test_several_frames_at_once_change_together():
    """A driver that is late, or a microphone with large blocks."""
    voice = simulcast()
    voice.welcome("ann")
    voice.tick(ms(20))
    voice.moved()
    voice.hear("ann", Feedback(delivered=16_000), ms(20))
    for now in (ms(80), ms(140)):  # three frames each
        packets = voice.tick(now)
        moved = voice.moved()
        sizes = {len(voice.version(p, voice.rendition_of("ann")).payload) for p in packets}
        assert (moved, sizes) == ([], {80}) if now == ms(80) else (["ann"], {40})
    assert voice.tick(ms(140)) == []
    assert voice.moved() == []


def test_a_live_source_is_packed_likewise():
    voice = Simulcast(BLANKS, rng=Random(1))
    voice.welcome("ann")
    packets = voice.push_audio(np.zeros((2000, 1), np.int16), ms(42))
    assert voice.moved() == ["ann"]
    assert [len(voice.version(p, 32_000).payload) for p in packets] == [80, 80]


def test_reports_and_queues_reach_the_controller():
    """Half a megabit goes through: up after a while. Half is dropped at our door: down."""
    voice = simulcast()
    voice.welcome("ann")
    say(voice, 0)

    def report(count: int) -> tuple[Report, Stats]:
        return Report(voice.ssrc, False, 0, 0, count, 0, None), Stats(count, 80 * count)

    voice.hear_report("ann", *report(0), 0)
    voice.hear_report("ann", *report(1000), PATIENCE)
    assert voice.allowed("ann") == 160_000
    for frame in range(1, 4):
        say(voice, frame)
    assert voice.rendition_of("ann") == 64_000
    sent = {"sent_octets": 8000, "queued": 50, "dropped": 25}
    voice.hear_queue("ann", ClientFigures("ann"), seconds(5))
    voice.hear_queue("ann", ClientFigures("ann", sent=100, **sent), seconds(6))
    assert voice.allowed("ann") == 16_000
    voice.hear_report("nobody", *report(1), 0)
    voice.hear_queue("nobody", ClientFigures("nobody"), 0)


@pytest.mark.parametrize(
    ("codecs", "why"),
    [
        ({}, "without renditions"),
        ({64_000: Blank(160), 32_000: Blank(80, frame_ms=10)}, "different form"),
        ({768_000: Pcm()}, "several packets"),
        (renditions(Opus(dtx=True)), "DTX"),
    ],
)
def test_what_cannot_be_a_simulcast_is_refused(codecs, why):
    with pytest.raises(BadInput, match=why):
        Simulcast(codecs)


def test_a_codec_with_one_bitrate_has_no_renditions():
    with pytest.raises(BadInput, match="one bitrate only"):
        renditions(Pcm())


def test_one_voice_follows_a_controller_from_the_next_frame_on():
    """Opus keeps to its bitrate on average; PCM has only one."""
    voice = Voice(Opus(64_000), speech(), rng=Random(1))
    voice.start(0)
    assert voice.adapts

    def octets(start: int, end: int) -> int:
        made = [p for frame in range(start, end) for p in voice.tick(ms(20 * (frame + 1)))]
        assert [b.seq - a.seq for a, b in pairwise(made)] == [1] * (end - start - 1)
        return sum(len(packet.payload) for packet in made)

    before = octets(0, 150)
    voice.adapt(16_000)
    assert octets(150, 300) < before / 3
    plain = Voice(Pcm(), speech())
    assert not plain.adapts
    plain.adapt(16_000)  # and does no harm


# Is a change heard? -----------------------------------------------------------------------------


def decoded(bitrates: tuple[int, int], warm_up: int, period: int = 25) -> np.ndarray:
    """Speech that changes between two bitrates each half second.

    The encoder that comes next has encoded the last `warm_up` frames before.
    """
    source = speech()
    frames = Framer(960, 1).push(source.samples)
    encoders = {b: Opus(b, fec=True).encoder() for b in bitrates}
    decoder, sound = Opus().decoder(), []
    for number, frame in enumerate(frames):
        current = bitrates[number // period % 2]
        coming = bitrates[(number + warm_up) // period % 2]
        payloads = {b: encoders[b].encode(frame.samples) for b in {current, coming}}
        sound.append(decoder.decode(payloads[current]))
    return np.concatenate(sound)


def clicks(sound: np.ndarray, plain: list[np.ndarray], period: int = 25) -> float:
    """How much stronger the treble is at a change than where nothing ever changes, in dB.

    Above 9 kHz speech has little, and a click has much. The 95th percentile of all changes.
    """
    window = np.hanning(720)

    def treble(samples: np.ndarray, at: int) -> float:
        piece = samples[at - 120 : at + 600, 0]
        return float((np.abs(np.fft.rfft(piece * window)) ** 2)[135:].sum())

    ratios = [
        treble(sound, at) / max(*(treble(each, at) for each in plain), 1e4)
        for at in range(period * 960, len(sound) - 960, period * 960)
    ]
    return float(10 * np.log10(np.percentile(ratios, 95)))


def test_a_cold_encoder_clicks_and_a_warm_one_does_not():
    """The reason for `WARM_UP`. STOI loses less than 0.01 at a change each half second."""
    said, delay = speech().samples, Opus().lookahead

    def understood(sound: np.ndarray) -> float:
        return stoi(said[: len(sound) - delay], sound[delay:], 48_000)

    plain = [decoded((bitrate, bitrate), 0) for bitrate in (64_000, 16_000)]
    cold, warm = decoded((64_000, 16_000), 0), decoded((64_000, 16_000), WARM_UP)
    assert clicks(cold, plain) > 40
    assert clicks(warm, plain) < 2
    worst = min(understood(each) for each in plain)
    assert understood(warm) > worst - 0.01
    assert understood(cold) < worst - 0.02

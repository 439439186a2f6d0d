"""The latency budget: its parts are known here, and they add up to the nanosecond."""

import numpy as np
import pytest

from labkit.codec import Blank, Opus
from labkit.core import latency
from labkit.core.delaypolicy import Fixed
from labkit.core.latency import Part
from labkit.core.source import Clip
from labkit.core.timeline import NEVER, Fate, build
from labkit.lab.call import Call
from labkit.lab.sources import speech
from labkit.live.loop import run
from labkit.words.errors import BadInput
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.trace import Did, Trace
from labkit.words.units import ms, us

SILENCE = Clip(np.zeros((96_000, 1), np.int16))
"""Two seconds: a hundred frames, and nothing left over."""


def way(**words):
    spec = LinkSpec(**words)
    return Profile("way", "", "", spec, spec)


@pytest.mark.parametrize("transport", ["rtp", "udp"])
def test_in_virtual_time_every_part_is_what_it_must_be(transport):
    call = Call(SILENCE, Blank(), way(delay=ms(30)), transport, policy=Fixed(ms(60)))
    result = call.simulate()
    parts = result.budget.parts
    assert len(result.budget) >= 98  # RTP may wait for a second packet before it believes the first
    assert set(parts[Part.FRAMING]) == {ms(20)}
    assert set(parts[Part.NETWORK]) == {ms(30)}
    assert set(parts[Part.JITTER_BUFFER]) == {ms(60)}
    for nothing in (Part.PICK_UP, Part.ENCODER, Part.SEND_QUEUE, Part.DECODER, Part.DEVICE):
        assert set(parts[nothing]) == {0}
    assert set(result.budget.mouth_to_ear) == {ms(110)}


@pytest.mark.parametrize("link", ["voip-10", "wifi-busy"])
def test_the_parts_add_up_on_a_bad_link_too(link):
    clip = Clip(speech().samples[: 4 * 48_000])
    result = Call(clip, Opus(24_000), link, seed=3).simulate()
    t = result.timeline
    played = t.played != NEVER
    assert 0 < played.sum() < len(t)
    lookahead = ms(6.5)  # what libopus says of itself at 48 kHz: 312 samples
    whole = t.played[played] - t.captured[played] + lookahead
    assert np.array_equal(result.budget.mouth_to_ear, whole)
    assert float(np.mean(whole)) / 1e6 == pytest.approx(result.delay_ms, abs=1e-9)
    assert t.count(Fate.PLAYED) == len(result.budget)


def traces():
    """Two packets of one frame, then one: as a live call notes them, in microseconds."""
    sent, got = Trace(), Trace()
    for now, did, seq, value in (
        (0, Did.LEFT, -1, 0),  # a hello
        (20_900, Did.ENCODED, -1, us(400)),
        (0, Did.CAPTURED, 7, 0),
        (20_000, Did.SENT, 7, 100),
        (10_000, Did.CAPTURED, 8, 0),
        (20_000, Did.SENT, 8, 100),
        (21_000, Did.LEFT, -1, 0),
        (40_300, Did.ENCODED, -1, us(200)),
        (20_000, Did.CAPTURED, 9, 0),
        (40_000, Did.SENT, 9, 100),
        (45_000, Did.LEFT, -1, 0),
    ):
        sent.add((us(now), did, seq, value))
    turn = 1 << 16  # this receiver began to count elsewhere on the circle
    for now, did, seq, value in (
        (31_000, Did.ARRIVED, 7 + turn, 100),
        (33_000, Did.ARRIVED, 8 + turn, 100),
        (80_600, Did.DECODED, -1, us(100)),
        (80_000, Did.PLAYED, 7 + turn, 0),
        (90_500, Did.DECODED, -1, us(100)),
        (90_000, Did.PLAYED, 8 + turn, 0),
        (100_000, Did.CONCEALED, 9 + turn, 2),
        (105_000, Did.ARRIVED, 9 + turn, 100),
    ):
        got.add((us(now), did, seq, value))
    return sent, got


def test_what_was_noted_in_real_time_is_put_where_it_belongs():
    sent, got = traces()
    budget = latency.budget(build(sent, got), sent, got, lookahead=us(6500), device=us(40_000))
    wanted = {
        Part.FRAMING: [20_000, 10_000],
        Part.PICK_UP: [500, 500],
        Part.ENCODER: [400, 400],
        Part.LOOKAHEAD: [6500, 6500],
        Part.SEND_QUEUE: [100, 100],
        Part.NETWORK: [10_000, 12_000],
        Part.JITTER_BUFFER: [49_000, 57_000],
        Part.DECODER: [600, 500],
        Part.DEVICE: [40_000, 40_000],
    }
    assert {part: (column // 1000).tolist() for part, column in budget.parts.items()} == wanted
    # Spoken at 0 and decoded at 80 600; spoken at 10 000 and decoded at 90 500.
    assert budget.mouth_to_ear.tolist() == [us(80_600 + 46_500), us(80_500 + 46_500)]


def test_the_table_says_the_parts_and_the_whole():
    sent, got = traces()
    budget = latency.budget(build(sent, got), sent, got).through(ms(45))
    rows = {name: (mean, tail) for name, mean, tail in budget.rows()}
    assert rows["framing"] == (15.0, 20.0)
    assert rows["device"] == (45.0, 45.0)
    assert sum(mean for name, (mean, _) in rows.items() if name != "mouth to ear") == pytest.approx(
        rows["mouth to ear"][0]
    )
    assert "jitter buffer" in repr(budget)
    assert "2 packets" in repr(budget)


def test_where_nothing_was_played_there_is_nothing_to_take_apart():
    sent, _ = traces()
    with pytest.raises(BadInput, match="nothing was played"):
        latency.budget(build(sent, Trace()), sent, Trace())


@pytest.mark.live
@pytest.mark.parametrize("transport", ["rtp", "tcp"])
def test_a_live_call_is_taken_apart_too(transport):
    """Both ends read one clock, so a one-way delay is a difference: never less than the link's."""
    clip = Clip(speech().samples[:48_000])
    call = Call(clip, Opus(24_000), way(delay=ms(20)), transport, policy=Fixed(ms(80)))
    result = run(call.run())
    budget, parts = result.budget, result.budget.parts
    assert len(budget) >= 45
    for part, column in parts.items():
        assert column.min() >= 0, part
    assert set(parts[Part.FRAMING]) <= {ms(20), 2 * ms(20)}  # the last frame is padded
    assert parts[Part.NETWORK].min() >= ms(20)
    assert parts[Part.ENCODER].min() > 0
    assert parts[Part.DECODER].min() > 0
    ready = [entry.now for entry in result.received_trace.of(Did.DECODED)]
    captured = result.timeline.captured[result.timeline.played != NEVER]
    assert (budget.mouth_to_ear - ms(6.5) + captured).tolist() == ready
    heard = budget.through(ms(30)).mouth_to_ear
    assert set(heard - budget.mouth_to_ear) == {ms(30)}


def test_the_picture_says_the_parts_in_words():
    result = Call(SILENCE, Opus(24_000), way(delay=ms(30)), policy=Fixed(ms(60))).simulate()
    picture = result.budget.through(ms(45)).show()
    assert picture.png().startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.alt == (
        "framing 20.0, lookahead 6.5, network 30.0, jitter buffer 60.0, device 45.0: "
        "161.5 ms from mouth to ear"
    )

"""Head-of-line blocking: what must hold on any link that loses packets, in numbers."""

import numpy as np
import pytest

from labkit.codec import Opus
from labkit.core.source import Clip
from labkit.lab.headofline import HeadOfLine, Way, carry, frames_of, head_of_line
from labkit.lab.sources import speech
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.units import ms


@pytest.fixture(scope="module")
def result() -> HeadOfLine:
    """A shipped profile: 60 ms, 20 ms of jitter, 5 % loss."""
    return head_of_line("voip-5", seed=1, repeat=1)


def test_the_more_a_loss_holds_up_the_longer_the_tail(result):
    tails = {way: result.percentile(way, 99) for way in Way}
    assert tails[Way.TCP] > tails[Way.STREAMS] > tails[Way.DATAGRAMS]
    assert tails[Way.STREAM] > 1.1 * tails[Way.STREAMS]
    assert tails[Way.TCP] > 2 * tails[Way.DATAGRAMS]


def test_how_many_are_late(result):
    """After 150 ms, two and a half times what the link takes: on one stream every sixth frame or
    more, on streams of their own hardly more than were lost."""
    late = {way: result.share_later(way, 150) for way in Way}
    assert late[Way.TCP] > 0.2
    assert late[Way.STREAM] > 0.1
    assert late[Way.STREAMS] < 0.065
    assert late[Way.DATAGRAMS] == result.lost(Way.DATAGRAMS)


def test_who_loses(result):
    assert [result.lost(way) for way in (Way.TCP, Way.STREAM, Way.STREAMS)] == [0, 0, 0]
    assert result.lost(Way.DATAGRAMS) == pytest.approx(0.05, abs=0.02)


def test_the_same_seed_the_same_numbers(result):
    clip = Clip(speech().samples[:96_000])
    for way in (Way.STREAMS, Way.DATAGRAMS):
        first, again, other = (carry(way, result.link, clip, seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert first.tolist() != other.tolist()


def test_without_loss_all_are_the_same():
    """10 ms of delay: what each way adds by itself is nothing."""
    way = LinkSpec(delay=ms(10))
    link = Profile("clean", "a test", "chosen", way, way)
    clip = Clip(speech().samples[:96_000])
    for each in Way:
        assert set(carry(each, link, clip, 1)) == {10.0}
    assert Opus(32_000).format.clock_rate == 48_000


def test_the_picture_and_the_table(result):
    picture = result.picture()
    assert picture.png().startswith(b"\x89PNG")
    assert "one TCP connection" in picture.alt
    assert str(result).count("\n") == 5


def test_frames_are_pairs_of_instants(result):
    """Equal numbers are one instant: what a stream hands over at once, it hands over at once."""
    frames = result.frames(Way.STREAM)
    assert frames == frames_of(result.delays[Way.STREAM])
    assert [sent for sent, _ in frames[:3]] == [0, 20, 40]
    assert len(frames) == len(result.delays[Way.STREAM]) - 1
    came = [arrived for _, arrived in frames]
    assert None not in came
    assert came == sorted(came)
    assert len(set(came)) < 0.9 * len(came)
    lost = [arrived is None for _, arrived in result.frames(Way.DATAGRAMS)]
    assert lost == np.isnan(result.delays[Way.DATAGRAMS])[:-1].tolist()

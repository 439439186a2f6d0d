"""A call and its result: the same twice, with anybody's parts, in every form it can be kept."""

import wave
from pathlib import Path

import numpy as np
import pytest

from labkit.codec.blank import Blank
from labkit.codec.opus import Opus
from labkit.codec.pcm import Pcm
from labkit.core.delaypolicy import Fixed
from labkit.core.naive import NaiveBuffer
from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.sources import speech
from labkit.words.errors import BadInput
from labkit.words.packet import Packet
from labkit.words.units import ms


def words(seconds: float = 4) -> Clip:
    return Clip(speech().samples[: round(seconds * 48_000)])


def test_the_same_seed_gives_the_same_call() -> None:
    """Twice the same object, byte for byte; another seed, another call."""
    call = Call(words(), link="voip-10", seed=3)
    first, second = call.simulate(), call.simulate()
    assert np.array_equal(first.audio, second.audio)
    assert first.received_trace.entries == second.received_trace.entries
    other = Call(words(), link="voip-10", seed=4).simulate()
    assert other.received_trace.entries != first.received_trace.entries


@pytest.mark.parametrize("transport", ["rtp", "srtp", "udp", "tcp"])
def test_over_a_clear_link_everything_is_heard(transport: str) -> None:
    """STOI above 0.98 with Opus, nothing missing, and only frame and buffer for delay."""
    result = Call(words(), link="clear", transport=transport).simulate()
    assert result.unheard == 0
    assert result.stoi > 0.98
    assert result.delay_ms < 90


def test_uncompressed_sound_comes_out_as_it_went_in() -> None:
    """L16 over a clear link with a fixed buffer: the same samples."""
    result = Call(words(1), codec=Pcm(), link="clear", policy=Fixed(ms(40))).simulate()
    assert np.array_equal(result.aligned, result.reference)


def test_ten_percent_loss_and_thirty_ms_of_jitter_are_understood() -> None:
    """The promise of week 6: STOI above 0.75 with FEC and the adaptive buffer. It is far above."""
    result = Call(codec=Opus(32_000, fec=True), link="voip-10", seed=1).simulate()
    assert 0.07 < result.timeline.lost < 0.13
    assert result.stoi > 0.95
    naive = Call(link="voip-10", jitter_buffer=NaiveBuffer, conceal=False, seed=1).simulate()
    assert naive.stoi < 0.75


def test_fec_and_concealment_can_be_switched_off() -> None:
    """Each is worth something: with both, less is missing and more is understood."""
    calls = [
        Call(words(), codec=Opus(24_000, fec=True), link="voip-10", fec=fec, conceal=c, seed=5)
        for fec, c in ((True, True), (False, True), (False, False))
    ]
    both, plc, nothing = (call.simulate() for call in calls)
    assert both.unheard < plc.unheard
    assert both.stoi > plc.stoi > nothing.stoi


class Mine:
    """What a student writes: a queue, and nothing else."""

    def __init__(self) -> None:
        self.waiting: dict[int, Packet] = {}
        self.next: int | None = None
        self.turns = 0

    def push(self, packet: Packet, now: int) -> None:
        self.waiting[packet.seq] = packet

    def pull(self, now: int) -> Packet | None:
        self.turns += 1
        if self.turns < 6 or not self.waiting:
            return None
        if self.next is None:
            self.next = min(self.waiting)
        packet = self.waiting.pop(self.next, None)
        self.next += 1
        return packet


class Silent:
    """What a student begins with: two methods, and nothing in them."""

    def push(self, packet: Packet, now: int) -> None: ...

    def pull(self, now: int) -> None: ...


def test_a_buffer_that_gives_nothing_is_said_in_words() -> None:
    """All is missing, and no figure is printed that does not exist."""
    result = Call(words(), link="lan", jitter_buffer=Silent).simulate()
    assert result.unheard == 1
    assert "mouth to ear never" in str(result)
    assert "never mouth to ear" in result.title
    assert "nan" not in str(result)


@pytest.mark.parametrize("buffer", [Mine, Mine(), lambda: Mine()])
def test_a_students_buffer_takes_part(buffer: object) -> None:
    """As a class, as an object (copied, so that the call can be made again), as a function."""
    call = Call(words(), link="voip-5", jitter_buffer=buffer, seed=2)
    first, second = call.simulate(), call.simulate()
    assert first.unheard < 0.12
    assert np.array_equal(first.audio, second.audio)


def test_a_call_without_sound_is_for_counting() -> None:
    """Blank payloads cross the link like others."""
    result = Call(words(), codec=Blank(), link="voip-10", seed=1).simulate()
    assert len(result.timeline) == 200
    assert result.timeline.lost > 0.05


def test_a_result_prints_draws_plays_and_keeps_itself(tmp_path: Path) -> None:
    """Report, picture, players, and four files that can be read."""
    result = Call(words(1), link="voip-5", seed=1).simulate(capture=True)
    assert "mouth to ear" in str(result)
    assert result.show().png().startswith(b"\x89PNG")
    assert "packets" in result.show().alt
    assert "<audio" in result.listen()._repr_html_()
    result.save(tmp_path / "call")
    names = sorted(p.name for p in (tmp_path / "call").iterdir())
    assert names == ["call.pcapng", "heard.wav", "report.txt", "timeline.png"]
    with wave.open(str(tmp_path / "call" / "heard.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (48_000, 1)
        assert file.getnframes() == len(result.audio)


def test_a_call_that_was_not_captured_says_so(tmp_path: Path) -> None:
    """And what to do instead."""
    with pytest.raises(BadInput, match="capture=True"):
        Call(words(1)).simulate().save_pcapng(tmp_path / "x.pcapng")


def test_a_wrong_word_is_answered_with_the_right_ones() -> None:
    """Unknown transport, unknown profile."""
    with pytest.raises(BadInput, match="rtp or udp or tcp"):
        Call(transport="sctp")
    with pytest.raises(BadInput, match="voip-10"):
        Call(link="wlan")

"""Two voices at one port: sorted they are both there, unsorted nobody is."""

import numpy as np

from labkit.codec import Pcmu
from labkit.core.source import tone
from labkit.lab import oneport
from labkit.lab.sources import converted

LOW, HIGH = tone(300, 1.0), tone(1000, 1.0)
BOTH = oneport.arrivals(LOW, HIGH)


def pitches(clip):
    """The two strongest, in hertz."""
    spectrum = np.abs(np.fft.rfft(clip.samples[:16_000, 0].astype(float)))
    return sorted(int(at) for at in np.argsort(spectrum)[-2:])


def test_packets_of_both_come_in_turn():
    ssrcs = [packet.ssrc for _, packet in BOTH]
    assert len(BOTH) == 100
    assert ssrcs[::2] == [ssrcs[0]] * 50
    assert ssrcs[1::2] == [ssrcs[1]] * 50
    assert ssrcs[0] != ssrcs[1]


def test_sorted_they_are_added_up():
    heard = oneport.play(BOTH, by=lambda packet: packet.ssrc)
    assert len(heard) == 16_000
    assert pitches(heard) == [300, 1000]
    alone = oneport.play([each for each in BOTH if each.packet.ssrc == BOTH[0].packet.ssrc])
    assert (alone.samples == converted(LOW, 16_000, 1).samples).all()


def test_as_one_stream_they_take_turns():
    heard = oneport.play(BOTH)
    assert len(heard) == 32_000
    first = oneport.CODEC.decoder().decode(BOTH[1].packet.payload)
    assert (heard.samples[320:640] == first).all()


def test_both_ways_by_their_names():
    one, apart = oneport.heard(BOTH).values()
    assert (len(one), len(apart)) == (32_000, 16_000)


def test_payloads_behind_each_other():
    codes = oneport.encoded(LOW, Pcmu())
    assert len(codes) == 8000
    assert (Pcmu().decoder().decode(codes).std() / converted(LOW, 8000, 1).samples.std()) > 0.99


def test_a_lower_voice_is_slower():
    lower = oneport.deeper(HIGH, 1.25)
    assert len(lower) == 60_000
    assert abs(int(np.argmax(np.abs(np.fft.rfft(lower.samples[:48_000, 0])))) - 800) <= 1


def test_a_mixer_gets_the_packets_of_an_instant():
    heard, packets = oneport.mix(BOTH, lambda packets: packets[-1])
    assert len(packets) == 50
    assert {packet.ssrc for packet in packets} == {BOTH[1].packet.ssrc}
    assert len(heard) == 16_000

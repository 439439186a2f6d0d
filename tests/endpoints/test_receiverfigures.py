"""The figures of a receiver, held against the timeline of the whole call."""

from random import Random

import pytest

from labkit.codec import Opus
from labkit.core.delaypolicy import Fixed
from labkit.core.figures import Basis
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.core.timeline import NEVER, build
from labkit.endpoints.receiverfigures import receiver_figures
from labkit.words.linkspec import LinkSpec
from labkit.words.trace import Did
from labkit.words.units import ms, seconds, ticks_to_ns


def test_they_are_those_of_the_timeline(talk, quiet):
    """What the receiver says of itself is what became of the packets, seen from outside."""
    down = LinkSpec(delay=ms(40), jitter=ms(30), loss=0.05, duplicate=0.02)
    call = talk(quiet(500), down=down, policy=Fixed(ms(40))).run()
    figures = receiver_figures(call.receiver, call.world.now, underruns=3)
    line = build(call.voice.trace, call.receiver.trace)
    assert figures.played == (line.played != NEVER).sum() > 300
    assert figures.expected == 500
    assert figures.lost == (line.arrived == NEVER).sum() > 10
    assert figures.received == 500 - figures.lost + line.duplicates
    assert figures.duplicates == line.duplicates > 0
    assert figures.reordered == line.reordered() > 0
    assert figures.concealed == len(call.fates(Did.CONCEALED)) > 10
    assert figures.held == len(call.fates(Did.HELD))
    assert figures.late == len(call.fates(Did.LATE)) > 0
    assert figures.underruns == 3
    (*_, depth) = call.receiver.trace.of(Did.DEPTH)
    (*_, target) = call.receiver.trace.of(Did.TARGET)
    assert figures.target - figures.depth == target.value - depth.value
    assert figures.interarrivals.count == figures.received - 1


def test_the_jitter_buffer_writes_into_the_trace(talk, quiet):
    """Its depth and its target at every turn belong to the timeline of a call."""
    call = talk(quiet(50)).run()
    turns = len(call.heard)
    assert len(call.fates(Did.DEPTH)) == len(call.fates(Did.TARGET)) >= turns


@pytest.mark.parametrize("delay", [30, 120])
def test_mouth_to_ear_by_sender_reports_is_what_the_world_says(talk, quiet, delay):
    """Measured packet by packet, it equals captured-to-played of the timeline, and the codec's."""
    codec = Opus(32_000)
    call = talk(quiet(700), codec=codec, down=LinkSpec(delay=ms(delay), jitter=ms(5)))
    call.world.run(until=seconds(12))
    figures = receiver_figures(call.receiver, call.world.now)
    line = build(call.voice.trace, call.receiver.trace)
    lookahead = ticks_to_ns(codec.lookahead, 48_000)
    last = line.mouth_to_ear_ms()[-1] * 1e6 + lookahead
    assert figures.mouth_to_ear_by is Basis.SENDER_REPORT
    assert figures.mouth_to_ear == pytest.approx(last, abs=ms(0.1))
    assert figures.mouth_to_ears.count > 400  # since the first report came
    mean = figures.mouth_to_ears.total / figures.mouth_to_ears.count
    assert mean == pytest.approx(last, abs=ms(25))


def test_before_a_report_and_over_udp_nothing_is_claimed(talk, quiet):
    call = talk(quiet(100), transport="udp").run()
    figures = receiver_figures(call.receiver, call.world.now)
    assert figures.mouth_to_ear is figures.mouth_to_ear_by is figures.round_trip is None
    assert figures.mouth_to_ears.count == 0


def test_a_receiver_that_came_back_goes_on_counting(talk, quiet):
    call = talk(quiet(100), down=LinkSpec(loss=0.1)).run()
    before = receiver_figures(call.receiver, call.world.now)
    call.receiver.resume(RtpSession(Role.RECEIVER, peer=("10.0.0.1", 5004), rng=Random(2)))
    after = receiver_figures(call.receiver, call.world.now)
    assert (after.received, after.lost, after.played) == (
        before.received,
        before.lost,
        before.played,
    )


def test_noise_is_counted_as_refused(talk, quiet):
    call = talk(quiet(50)).run()
    noise = b"\x80\x00no RTP"
    before = receiver_figures(call.receiver, 0).refused
    call.receiver.session.receive_datagram(noise, ("10.0.0.1", 5004), call.world.now)
    assert before == 0
    fresh = talk(quiet(5)).receiver
    fresh.receive_datagram(noise, ("10.0.0.1", 5004), 0)
    assert receiver_figures(fresh, 0).refused == 1


class Own:
    """A student's jitter buffer: what it calls depth is nobody's business."""

    depth = "deep"
    late = None

    def __init__(self):
        self.packets = []

    def push(self, packet, now):
        self.packets.append(packet)

    def pull(self, now):
        return self.packets.pop(0) if len(self.packets) > 4 else None

    def __len__(self):
        return len(self.packets)


def test_a_buffer_of_ones_own_has_its_length_for_a_depth(talk, quiet):
    call = talk(quiet(100), buffer=Own())
    call.world.run(until=seconds(1))
    figures = receiver_figures(call.receiver, call.world.now)
    assert figures.depth == len(call.receiver.buffer) * ms(20) > 0
    assert (figures.late, figures.target) == (0, None)

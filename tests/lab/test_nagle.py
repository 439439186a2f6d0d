"""Nagle's algorithm beside a clock, in captures and in real kernels; and a reader that is slow."""

import asyncio
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import capture, speech
from labkit.core.flowcontrol import Drop, SendQueue
from labkit.core.impairment import Impairment
from labkit.lab import nagleruns
from labkit.lab.nagle import MSS, small_writes
from labkit.lab.slowreader import ages, slow_reader
from labkit.sim.bytestream import ByteStream
from labkit.words.errors import BadInput
from labkit.words.linkspec import LinkSpec
from labkit.words.units import ms, to_ms


def told(run):
    return [(to_ms(s.left), s.size) for s in run.segments]


def test_a_small_segment_waits_for_the_acknowledgement_of_the_one_before():
    run = small_writes([(0, 80), (20, 80), (40, 80), (60, 80)], 50)
    assert told(run) == [(0, 80), (50, 160), (100, 80)]
    assert run.waits_ms() == [0, 30, 10, 40]
    assert repr(run) == "4 writes left in 3 segments, after 20 ms on average and 40 ms at most"
    assert run.show().png().startswith(b"\x89PNG")


def test_nodelay_and_full_segments_do_not_wait():
    assert told(small_writes([(0, 80), (20, 80)], 50, nodelay=True)) == [(0, 80), (20, 80)]
    assert told(small_writes([(0, 3000)], 50)) == [(0, MSS), (0, MSS), (50, 3000 - 2 * MSS)]
    assert told(small_writes([(0, 80), (1, 1400)], 50)) == [(0, 80), (50, 1400)]


def test_header_and_payload_apart_wait_for_a_delayed_acknowledgement():
    assert told(small_writes([(0, 12), (0, 80)], 0, ack_delay=40)) == [(0, 12), (40, 80)]
    assert told(small_writes([(0, 92)], 0, ack_delay=40)) == [(0, 92)]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 3000)), max_size=30),
    st.integers(1, 60),
    st.booleans(),
)
def test_the_byte_stream_of_virtual_time_sends_the_same(writes, way, nodelay):
    """Two programs of the same rule, in different manners."""
    # No acknowledgement comes at the instant of a write: up to thirty round trips after another
    # one, that is no multiple of 61 ms, which is prime.
    writes = sorted((61 * at, size) for at, size in writes)
    link = LinkSpec(delay=ms(way))
    stream = ByteStream(Impairment(link, 0), Impairment(link, 0), nodelay=nodelay, window=1 << 30)
    came = []

    def until(now):
        while (due := stream.deadline()) is not None and due <= now:
            stream.tick(due)
            came.extend((to_ms(due) - way, len(data)) for data in stream.read())

    for at, size in writes:
        until(ms(at))
        stream.write(bytes(size), ms(at))
    until(ms(1_000_000))
    assert told(small_writes(writes, 2 * way, nodelay=nodelay)) == came


def test_the_shipped_captures_show_two_distributions():
    slow, fast = (
        nagleruns.frame_delays(capture(name).connections[0])
        for name in ("03_nagle_on", "03_nagle_off")
    )
    assert len(slow) == len(fast) == 197
    assert median(slow) > 20 > 2 > median(fast)


def test_a_connection_without_frames_is_refused():
    connection = capture("03_nagle_on").connections[0]
    connection.segments.clear()
    with pytest.raises(BadInput, match="no frame"):
        nagleruns.frame_delays(connection)


@pytest.mark.live
def test_a_question_in_two_writes_waits_for_its_acknowledgement():
    """On Linux for 40 ms, elsewhere for longer; at once with TCP_NODELAY."""
    held = asyncio.run(nagleruns.answer_times(6, nodelay=False))
    at_once = asyncio.run(nagleruns.answer_times(6, nodelay=True))
    assert median(held) > 20 + median(at_once)


@pytest.mark.live
def test_the_programs_speak_over_loopback(tmp_path):
    clip, said = nagleruns.over_loopback(tmp_path / "heard.wav", seconds=1)
    assert len(clip) > 0.5 * clip.sample_rate
    assert "listen with" in said
    assert "played" in said


@pytest.mark.live
def test_two_ends_are_joined():
    ours, theirs = nagleruns.two_ends()
    with ours, theirs:
        ours.sendall(b"one")
        assert theirs.recv(10) == b"one"


# A slow reader ----------------------------------------------------------------------------------


def test_without_a_limit_a_voice_grows_old_and_with_one_it_does_not():
    """Ten per cent too slow: two milliseconds older with each frame."""
    endless = slow_reader(SendQueue(10**6), taken_ms=22, seconds=22)
    assert endless.age_ms[-1] == pytest.approx(2000, abs=25)
    assert len(endless.dropped) == 0
    bounded = slow_reader(SendQueue(10), taken_ms=22, seconds=22)
    assert bounded.age_ms.max() <= 10 * 20
    assert bounded.most == 10
    assert len(bounded.dropped) == pytest.approx(100, abs=12)  # what is made less what is taken
    keeps_old = slow_reader(SendQueue(10, Drop.NEWEST), taken_ms=22, seconds=22)
    assert keeps_old.age_ms.mean() > bounded.age_ms.mean()
    assert "10 waiting at most" in repr(ages({"bounded": bounded, "endless": endless}))


def test_a_reader_that_keeps_up_finds_nothing_old():
    run = slow_reader(SendQueue(10), taken_ms=20, seconds=5)
    assert run.most <= 2
    assert len(run.dropped) == 0


def test_a_queue_in_the_form_of_the_exercises():
    class Plain:
        def __init__(self):
            self.items = []

        def __len__(self):
            return len(self.items)

        def put(self, item):
            self.items.append(item)
            return [] if len(self.items) <= 5 else [self.items.pop(0)]

        def get(self):
            return self.items.pop(0) if self.items else None

    run, kit = slow_reader(Plain(), seconds=10), slow_reader(SendQueue(5), seconds=10)
    assert (run.age_ms == kit.age_ms).all()
    assert (run.dropped == kit.dropped).all()


def test_impossible_times_are_refused():
    with pytest.raises(BadInput):
        slow_reader(SendQueue(5), taken_ms=0)
    with pytest.raises(BadInput):
        slow_reader(SendQueue(5), seconds=10**6)


# Sliders ----------------------------------------------------------------------------------------


def test_the_box_chooses_what_is_heard():
    from labkit.lab.naglelab import NagleLab

    lab = NagleLab(speech(3.3), round_trip=120, buffer=20)
    assert lab.result.name == "Nagle"
    assert lab.result.unheard > 0.05
    sound = lab.sound.value
    lab.nodelay.value = True
    assert lab.result.name == "TCP_NODELAY"
    assert lab.result.unheard == 0
    assert lab.sound.value != sound
    assert "TCP_NODELAY" in lab.words.value

"""Stream sessions: two of them in a hand-stepped loop, and anything else thrown at one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.automaton import follow, to_dot, to_text
from labkit.core.session import Closed, Joined, Limits, Received, Refused, Role
from labkit.core.streamsession import TRANSITIONS, Cause, State, StreamSession
from labkit.wire.framing import Kind, pack, unpack
from labkit.words.errors import LocalProtocolError, RemoteProtocolError
from labkit.words.machine import StreamMachine
from labkit.words.packet import Packet
from labkit.words.units import ms, seconds

SDP = "v=0\r\ns=a voice\r\n"
HELLO = pack(Packet(0, 0, b""), Kind.HELLO)
BYE = pack(Packet(0, 0, b""), Kind.BYE)
DESCRIPTION = pack(Packet(0, 0, SDP.encode()), Kind.DESCRIPTION)


def media(n, size=3):
    return Packet(n, n * 960, bytes([n % 256]) * size)


def ends():
    return StreamSession(Role.SENDER, SDP), StreamSession(Role.RECEIVER)


def open_sender(**kwargs):
    sender = StreamSession(Role.SENDER, SDP, **kwargs)
    sender.receive_data(HELLO, 0)
    assert sender.transmits() == [DESCRIPTION]
    assert sender.events() == [Joined(SDP)]
    return sender


def open_receiver():
    receiver = StreamSession(Role.RECEIVER)
    receiver.tick(0)
    assert receiver.transmits() == [HELLO]
    receiver.receive_data(DESCRIPTION, 0)
    assert receiver.events() == [Joined(SDP)]
    return receiver


# The conversation


@pytest.mark.parametrize("cut", [1, 7, 13, 1 << 20])
def test_a_conversation_however_the_bytes_are_cut(stream_pair, cut):
    sender, receiver = ends()
    pair = stream_pair(sender, receiver, cut=cut)
    pair.run(ms(100))
    for n in range(10):
        sender.send(media(n), pair.now)
        pair.run(pair.now + ms(20))
    sender.close(pair.now)
    pair.run(seconds(10))
    assert pair.events(sender) == [Joined(SDP), Closed(True, "us", "closed")]
    joined, *packets, closed = pair.events(receiver)
    assert joined == Joined(SDP)
    assert [event.packet for event in packets] == [media(n) for n in range(10)]
    assert [event.now for event in packets] == [ms(110 + 20 * n) for n in range(10)]
    assert closed == Closed(True, "peer", "BYE, and the stream ended")
    assert sender.wants_close
    assert receiver.wants_close
    assert sender.deadline() is receiver.deadline() is None
    assert (sender.stats.sent, sender.stats.sent_octets) == (10, 30)
    assert (receiver.stats.received, receiver.stats.lost) == (10, 0)


def test_a_receiver_that_leaves_ends_the_conversation_in_order(stream_pair):
    sender, receiver = ends()
    pair = stream_pair(sender, receiver)
    pair.run(ms(100))
    receiver.close(pair.now)
    assert not sender.closed
    pair.run(ms(200))
    assert pair.events(receiver)[-1] == Closed(True, "us", "closed")
    assert pair.events(sender)[-1] == Closed(True, "peer", "BYE, and the stream ended")


def test_it_is_a_stream_machine():
    assert isinstance(StreamSession(Role.SENDER), StreamMachine)


def test_a_new_session_wants_its_tick_at_once():
    assert StreamSession(Role.RECEIVER).deadline() == 0


# Ends


def test_bytes_that_stop_between_two_frames_without_bye_are_no_clean_end():
    receiver = open_receiver()
    receiver.receive_data(pack(media(1)), 1)
    receiver.receive_eof(2)
    assert receiver.events()[-1] == Closed(False, "peer", "the stream ended without BYE")


def test_bytes_that_stop_in_mid_frame_are_reported_as_such():
    receiver = open_receiver()
    receiver.receive_data(pack(media(1, size=100))[:50], 1)
    receiver.receive_eof(2)
    assert receiver.events() == [Closed(False, "peer", "the stream ended 50 bytes into a frame")]


def test_a_peer_that_vanishes_is_missed_after_its_seventh_sign_of_life():
    sender = open_sender()
    assert sender.deadline() == seconds(15)
    sender.tick(seconds(15) - 1)
    assert not sender.closed
    sender.tick(seconds(15))
    assert sender.events() == [Closed(False, "us", "nothing heard for 15 s")]


def test_two_silent_ends_keep_each_other_for_an_hour(stream_pair):
    sender, receiver = ends()
    pair = stream_pair(sender, receiver)
    pair.run(seconds(3600))
    assert sender.ready
    assert not receiver.closed


def test_nobody_answers():
    receiver = StreamSession(Role.RECEIVER)
    receiver.tick(0)
    assert receiver.deadline() == seconds(5)
    receiver.tick(seconds(5))
    assert receiver.events() == [Closed(False, "us", "no answer for 5 s")]


def test_nobody_asks():
    sender = StreamSession(Role.SENDER)
    sender.tick(0)
    sender.tick(seconds(5))
    assert sender.events() == [Closed(False, "us", "nobody asked for the stream for 5 s")]


def test_bye_on_a_stream_that_stays_open_is_an_end_after_a_while():
    receiver = open_receiver()
    receiver.receive_data(BYE, 0)
    assert receiver.deadline() == seconds(5)
    receiver.tick(seconds(5))
    assert receiver.events() == [Closed(True, "peer", "BYE, but the stream stayed open")]


def test_closing_twice_or_before_anything_does_no_harm():
    sender = StreamSession(Role.SENDER)
    sender.close(0)
    sender.close(1)
    sender.receive_eof(2)
    assert sender.events() == [Closed(True, "us", "closed")]
    assert sender.transmits() == []


def test_after_bye_from_the_peer_closing_ends_at_once():
    sender = open_sender()
    sender.receive_data(BYE, 1)
    assert not sender.ready
    sender.close(2)
    assert sender.events() == [Closed(True, "peer", "closed")]


# A wire that is full


def test_a_reader_that_stops_reading_does_not_grow_the_senders_memory():
    sender = open_sender(limits=Limits(queue=50))
    sender.pause_writing()
    for n in range(3000):
        sender.send(media(n), ms(20) * n % seconds(10))
        assert sender.transmits() == ()
    assert len(sender.queue) == 50
    assert sender.stats.dropped == 2950
    sender.resume_writing()
    kept = [unpack(data)[1].seq for data in sender.transmits()]
    assert kept == list(range(2950, 3000))


def test_a_full_wire_gets_the_goodbye_after_what_is_queued():
    sender = open_sender()
    sender.pause_writing()
    sender.send(media(1), 0)
    sender.close(0)
    sender.close(1)
    assert sender.transmits() == ()
    assert not sender.wants_close
    assert not sender.closed
    sender.resume_writing()
    assert sender.transmits() == [pack(media(1)), BYE]
    assert sender.wants_close
    assert sender.events() == [Closed(True, "us", "closed")]


def test_a_wire_that_stays_full_ends_the_wait():
    sender = open_sender()
    sender.pause_writing()
    sender.send(media(1), 0)
    sender.close(seconds(1))
    assert sender.deadline() == seconds(6)
    sender.tick(seconds(6))
    assert sender.events() == [Closed(False, "us", "1 frames could not be sent for 5 s")]


def test_the_end_of_the_stream_while_frames_wait_is_not_clean():
    sender = open_sender()
    sender.pause_writing()
    sender.send(media(1), 0)
    sender.close(0)
    sender.receive_eof(1)
    assert sender.events() == [Closed(False, "peer", "the stream ended with 1 frames unsent")]


def test_signs_of_life_do_not_pile_up_before_a_full_wire():
    sender = open_sender()
    sender.pause_writing()
    receiver = open_receiver()
    receiver.pause_writing()
    for n in range(1, 20):
        sender.receive_data(HELLO, seconds(n))
        receiver.receive_data(DESCRIPTION, seconds(n))
        receiver.tick(seconds(n))
    receiver.resume_writing()
    sender.resume_writing()
    assert receiver.transmits() == [HELLO]
    assert sender.transmits() == []


# What is illegal


def test_sending_too_early_too_late_or_at_the_wrong_end_is_a_local_error():
    waiting = StreamSession(Role.SENDER)
    waiting.tick(0)
    with pytest.raises(LocalProtocolError, match="send MEDIA is illegal in state waiting"):
        waiting.send(media(1), 0)
    closed = StreamSession(Role.SENDER)
    closed.close(0)
    with pytest.raises(LocalProtocolError, match="in state closed"):
        closed.send(media(1), 0)
    with pytest.raises(LocalProtocolError, match="in state open"):
        open_receiver().send(media(1), 0)


@pytest.mark.parametrize("frame", [pack(media(1)), DESCRIPTION], ids=["media", "description"])
def test_a_sender_that_is_sent_media_or_a_description_hangs_up(frame):
    sender = StreamSession(Role.SENDER)
    sender.tick(0)
    sender.receive_data(frame, 0)
    refused, closed = sender.events()
    assert isinstance(refused.error, RemoteProtocolError)
    assert "is illegal in state waiting (legal: receive HELLO" in str(refused.error)
    assert closed == Closed(False, "us", str(refused.error))


def test_media_after_bye_is_a_remote_error():
    receiver = open_receiver()
    receiver.receive_data(BYE + pack(media(1)), 1)
    refused, closed = receiver.events()
    assert isinstance(refused, Refused)
    assert not closed.clean


def test_frames_before_a_wrong_one_still_count():
    receiver = open_receiver()
    receiver.receive_data(pack(media(1)) + b"\xff" * 12, 1)
    received, refused, closed = receiver.events()
    assert received == Received(media(1), 1)
    assert refused.error.field == "ver"
    assert closed == Closed(False, "us", str(refused.error))
    assert receiver.refused == 1
    receiver.receive_data(pack(media(2)), 2)
    assert receiver.events() == []


# The table


@pytest.mark.parametrize("role", Role)
def test_every_state_can_be_reached_and_left_and_only_closed_is_final(role):
    table = TRANSITIONS[role]
    assert set(table) == set(State)
    reached = {state for arrows in table.values() for state in arrows.values()}
    assert reached == set(State) - {State.NEW}
    assert set(table[State.CLOSED].values()) == {State.CLOSED}


def test_a_missing_arrow_names_state_and_cause():
    with pytest.raises(LocalProtocolError) as raised:
        follow(TRANSITIONS[Role.SENDER], State.NEW, Cause.SEND, error=LocalProtocolError)
    assert str(raised.value) == "send MEDIA is illegal in state new (legal: start, close)"


def test_the_drawing_has_one_arrow_for_each_pair_of_states():
    dot = to_dot(TRANSITIONS[Role.RECEIVER])
    assert '"waiting" -> "open" [label="receive DESCRIPTION"];' in dot
    assert '"open" -> "open" [label="receive MEDIA\\nreceive DESCRIPTION"];' in dot
    assert to_text(TRANSITIONS[Role.SENDER]).splitlines()[0] == (
        "new       -- start                 --> waiting"
    )


# Anything


frames = st.sampled_from([HELLO, BYE, DESCRIPTION, pack(media(1))])
calls = st.lists(
    st.one_of(
        st.tuples(st.just("data"), st.one_of(frames, frames.map(lambda f: f[:-1]), st.binary())),
        st.tuples(st.sampled_from(["eof", "pause", "resume", "close", "send", "tick", "drain"])),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(role=st.sampled_from(Role), calls=calls, step=st.sampled_from([1, ms(20), seconds(3)]))
def test_no_order_of_calls_and_no_bytes_break_it(role, calls, step):
    session = StreamSession(role, SDP, limits=Limits(queue=3))
    events = []
    for n, (call, *data) in enumerate(calls):
        now = n * step
        match call:
            case "data":
                session.receive_data(data[0], now)
            case "eof":
                session.receive_eof(now)
            case "pause":
                session.pause_writing()
            case "resume":
                session.resume_writing()
            case "close":
                session.close(now)
            case "send" if session.ready:
                session.send(media(n), now)
            case "tick":
                session.tick(now)
            case "drain":
                session.transmits()
        events += session.events()
        deadline = session.deadline()
        assert (deadline is None) == session.closed
        assert len(session.queue) <= 3
    ends = [event for event in events if isinstance(event, Closed)]
    assert session.closed == bool(ends)
    assert ends == [] or ends == events[-1:]

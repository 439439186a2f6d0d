"""Datagram sessions: two of them with a wire that loses what it is told to lose."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.datagramsession import DatagramSession
from labkit.core.session import Closed, Joined, Limits, Received, Refused, Role
from labkit.wire.framing import Kind
from labkit.wire.minirtp import pack, unpack
from labkit.words.errors import LocalProtocolError, Truncated
from labkit.words.machine import Datagram, DatagramMachine
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32
from labkit.words.units import ms, seconds

LEFT = ("10.0.0.1", 5004)
RIGHT = ("10.0.0.2", 5006)
SDP = "v=0\r\ns=a voice\r\n"
NOTHING = Packet(0, 0, b"")
HELLO = pack(NOTHING, Kind.HELLO)
BYE = pack(NOTHING, Kind.BYE)
DESCRIPTION = pack(Packet(0, 0, SDP.encode()), Kind.DESCRIPTION)


def media(n, first=0):
    return Packet(add16(first, n), add32(0, n * 960), bytes([n % 256]) * 3)


def ends(**kwargs):
    sender = DatagramSession(Role.SENDER, SDP)
    return sender, DatagramSession(Role.RECEIVER, peer=LEFT, **kwargs)


def joined(pair_class, **wire):
    sender, receiver = ends()
    pair = pair_class(sender, receiver, **wire)
    pair.run(ms(100))
    return pair, sender, receiver


def speak(pair, count, first=0):
    for n in range(count):
        pair.left.send(media(n, first), pair.now)
        pair.run(pair.now + ms(20))


def kinds(pair, source):
    return [unpack(data)[0] for _, data, by, _ in pair.arrived if by == source]


# Meeting


def test_a_conversation(datagram_pair):
    pair, sender, receiver = joined(datagram_pair)
    speak(pair, 5)
    sender.close(pair.now)
    pair.run(seconds(1))
    assert pair.events(sender) == [Joined(SDP), Closed(True, "us", "closed")]
    first, *packets, last = pair.events(receiver)
    assert first == Joined(SDP)
    assert packets == [Received(media(n), ms(110 + 20 * n)) for n in range(5)]
    assert last == Closed(True, "peer", "BYE")
    assert kinds(pair, LEFT) == [Kind.DESCRIPTION, *[Kind.MEDIA] * 5, Kind.BYE]
    assert kinds(pair, RIGHT) == [Kind.HELLO, Kind.BYE]
    assert sender.deadline() is receiver.deadline() is None
    assert sender.wants_close
    assert receiver.wants_close


def test_hello_is_repeated_every_200_ms_until_it_is_answered(datagram_pair):
    """Lost: two HELLOs, then an answer."""
    sender, receiver = ends()
    pair = datagram_pair(sender, receiver, lose_right={1, 2}, lose_left={1})
    pair.run(seconds(1))
    assert pair.times(sender, Joined) == [ms(410)]
    assert pair.times(receiver, Joined) == [ms(620)]


def test_nobody_answers_for_five_seconds(datagram_pair):
    sender, receiver = ends()
    pair = datagram_pair(sender, receiver, lose_right=range(1, 100))
    pair.run(seconds(60))
    assert pair.sent["right"] == 25
    assert pair.events(receiver) == [Closed(False, "us", "no answer for 5 s")]
    assert pair.times(receiver, Closed) == [seconds(5)]
    assert sender.deadline() is None


def test_media_that_overtakes_the_description_is_kept_for_it(datagram_pair):
    sender, receiver = ends()
    pair = datagram_pair(sender, receiver, lose_left={1})  # the first description
    pair.run(ms(100))
    speak(pair, 10)
    first, *packets = pair.events(receiver)
    assert first == Joined(SDP)
    assert pair.times(receiver, Joined) == [ms(220)]
    assert packets == [Received(media(n), ms(110 + 20 * n)) for n in range(10)]


def test_media_without_any_description_fills_no_memory():
    receiver = DatagramSession(Role.RECEIVER, peer=LEFT, limits=Limits(queue=3))
    for n in range(100):
        receiver.receive_datagram(pack(media(n)), LEFT, ms(n))
    receiver.receive_datagram(DESCRIPTION, LEFT, ms(100))
    _, *packets = receiver.events()
    assert [event.packet.seq for event in packets] == [97, 98, 99]


# Signs of life


def test_two_silent_ends_keep_each_other_for_an_hour_at_20_percent_loss(datagram_pair):
    lost = range(5, 10_000, 5)
    pair, sender, receiver = joined(datagram_pair, lose_left=lost, lose_right=lost)
    pair.run(seconds(3600))
    assert sender.ready
    assert not receiver.closed


@pytest.mark.parametrize("side", ["left", "right"])
def test_whoever_loses_its_peer_gives_up_after_15_seconds(datagram_pair, side):
    pair, sender, receiver = joined(datagram_pair)
    pair.lost = {side: range(1, 10_000), "left" if side == "right" else "right": ()}
    pair.run(seconds(60))
    machine = receiver if side == "left" else sender
    assert pair.events(machine)[-1] == Closed(False, "us", "nothing heard for 15 s")


# Parting


def test_bye_is_repeated_until_it_is_answered(datagram_pair):
    """Lost: the first BYE, then the answer to the second."""
    pair, sender, receiver = joined(datagram_pair)
    sent, got = pair.sent["left"], pair.sent["right"]
    pair.lost = {"left": {sent + 1}, "right": {got + 1}}
    sender.close(ms(100))
    pair.run(seconds(2))
    assert pair.times(receiver, Closed) == [ms(310)]
    assert pair.times(sender, Closed) == [ms(520)]
    assert pair.events(sender)[-1] == Closed(True, "us", "closed")


def test_three_unanswered_byes_are_enough(datagram_pair):
    pair, sender, _receiver = joined(datagram_pair)
    pair.lost = {"left": range(1, 100), "right": ()}
    sender.close(ms(100))
    assert not sender.ready
    pair.run(seconds(2))
    assert pair.times(sender, Closed) == [ms(700)]
    assert pair.events(sender)[-1] == Closed(True, "us", "closed; the peer did not confirm")


def test_both_close_at_once(datagram_pair):
    pair, sender, receiver = joined(datagram_pair)
    sender.close(ms(100))
    receiver.close(ms(100))
    pair.run(seconds(2))
    assert pair.events(sender)[-1] == pair.events(receiver)[-1] == Closed(True, "us", "closed")
    assert pair.sent["left"] == pair.sent["right"] == 2


def test_a_receiver_that_gives_up_asking_says_so(datagram_pair):
    sender, receiver = ends()
    pair = datagram_pair(sender, receiver, lose_left=range(1, 100))
    pair.run(ms(100))
    receiver.close(ms(100))
    pair.run(seconds(2))
    assert pair.events(sender)[-1] == Closed(True, "peer", "BYE")


def test_closing_before_anybody_came_is_quiet():
    sender = DatagramSession(Role.SENDER)
    sender.close(0)
    sender.close(1)
    assert sender.events() == [Closed(True, "us", "closed before anybody came")]
    assert sender.transmits() == []


# Who may speak


def test_only_the_peer_is_heard(datagram_pair):
    pair, sender, receiver = joined(datagram_pair)
    for machine in (sender, receiver):
        machine.receive_datagram(BYE, ("6.6.6.6", 666), pair.now)
        assert machine.strangers == 1
        assert not machine.closed


@pytest.mark.parametrize("data", [BYE, DESCRIPTION, pack(media(1))])
def test_a_sender_gets_its_peer_from_hello_only(data):
    sender = DatagramSession(Role.SENDER, SDP)
    sender.receive_datagram(data, RIGHT, 0)
    assert sender.peer is None
    sender.receive_datagram(HELLO, RIGHT, 0)
    assert sender.peer == RIGHT
    assert sender.transmits() == [Datagram(DESCRIPTION, RIGHT)]


def test_what_cannot_be_read_is_counted_and_nothing_else(datagram_pair):
    pair, _sender, receiver = joined(datagram_pair)
    receiver.receive_datagram(b"\x01\x00", LEFT, pair.now)
    (refused,) = receiver.events()
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, Truncated)
    assert receiver.refused == 1
    assert not receiver.closed


def test_sending_too_early_too_late_or_at_the_wrong_end_is_a_local_error(datagram_pair):
    early = DatagramSession(Role.SENDER)
    with pytest.raises(LocalProtocolError, match="a sender in phase new cannot send"):
        early.send(media(1), 0)
    _pair, sender, receiver = joined(datagram_pair)
    with pytest.raises(LocalProtocolError, match="a receiver in phase open"):
        receiver.send(media(1), 0)
    sender.close(ms(100))
    with pytest.raises(LocalProtocolError, match="a sender in phase closing"):
        sender.send(media(1), 0)


# What is counted


def test_losses_copies_and_disorder_across_the_wrap(datagram_pair):
    """The first datagram is the description; media 5 is lost, 7 doubled, 9 overtaken by 10."""

    def delay(side, number):
        return ms(45) if (side, number) == ("left", 11) else ms(10)

    wire = {"delay": delay, "lose_left": {7}, "double_left": {9}}
    pair, sender, receiver = joined(datagram_pair, **wire)
    speak(pair, 20, first=65526)
    pair.run(pair.now + ms(100))
    stats = receiver.stats
    assert (stats.expected, stats.received, stats.lost) == (20, 20, 1)
    assert (stats.duplicates, stats.reordered) == (1, 1)
    assert stats.loss == 0.05
    assert sender.stats.sent == 20


def test_a_sender_that_starts_again_is_counted_from_there(datagram_pair):
    pair, _sender, receiver = joined(datagram_pair)
    speak(pair, 10, first=1000)
    speak(pair, 10, first=30_000)
    assert (receiver.stats.expected, receiver.stats.lost) == (10, 0)


# Anything

datagrams = st.one_of(
    st.sampled_from([HELLO, BYE, DESCRIPTION, pack(media(1))]),
    st.binary(max_size=20),
    st.builds(
        lambda kind, seq, timestamp: pack(Packet(seq, timestamp, b""), kind),
        st.sampled_from(Kind),
        st.integers(0, 2**16 - 1),
        st.integers(0, 2**32 - 1),
    ),
)
calls = st.lists(
    st.one_of(
        st.tuples(st.just("data"), datagrams, st.sampled_from([LEFT, RIGHT])),
        st.tuples(st.sampled_from(["tick", "close", "send"])),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(
    role=st.sampled_from(Role),
    peer=st.sampled_from([None, LEFT]),
    calls=calls,
    step=st.sampled_from([1, ms(20), seconds(3)]),
)
def test_no_order_of_calls_and_no_bytes_break_it(role, peer, calls, step):
    session = DatagramSession(role, SDP, peer=peer, limits=Limits(queue=3))
    assert isinstance(session, DatagramMachine)
    events = []
    for n, (call, *arguments) in enumerate(calls):
        now = n * step
        match call:
            case "data":
                session.receive_datagram(*arguments, now)
            case "tick":
                session.tick(now)
            case "close":
                session.close(now)
            case "send" if session.ready:
                session.send(media(n), now)
        assert len(session.transmits()) <= 2
        events += session.events()
        assert not session.closed or session.deadline() is None
    ends = [event for event in events if isinstance(event, Closed)]
    assert session.closed == bool(ends)
    assert ends == [] or ends == events[-1:]

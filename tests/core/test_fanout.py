"""The same bytes for many: what each session has sent stays right."""

from random import Random

import pytest

from labkit.core.datagramsession import DatagramSession
from labkit.core.fanout import Audience, Tally
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.wire import rtcp, rtp
from labkit.wire.framing import Kind
from labkit.wire.minirtp import pack
from labkit.words.machine import Copies
from labkit.words.packet import Packet
from labkit.words.seqnum import ahead32
from labkit.words.units import ms, seconds

ANN, BEN = ("10.0.0.2", 1), ("10.0.0.3", 2)


def packet(number: int, size: int = 80) -> Packet:
    return Packet(number, 960 * number, bytes(size), payload_type=99, ssrc=7)


def rtp_session(peer, ssrc: int | None = 7) -> RtpSession:
    session = RtpSession(Role.SENDER, "v=0", peer=peer, ssrc=ssrc, rng=Random(1))
    session.tick(0)
    session.transmits()
    return session


def test_one_packing_for_all_and_each_knows_what_it_has_sent():
    """Ben comes later; Ann goes on alone when she has left."""
    ann, ben = rtp_session(ANN), rtp_session(BEN)
    ann.send(packet(1), 0)
    (alone,) = ann.transmits()
    audience = Audience(ann.header)
    audience.join("ann", ann)
    assert audience.say(packet(2), ms(20)) == Copies(rtp.pack(packet(2)), (ANN,))
    audience.join("ben", ben)
    copies = audience.say(packet(3, 100), ms(40))
    assert copies == Copies(rtp.pack(packet(3, 100)), (ANN, BEN))
    assert alone.data == rtp.pack(packet(1))
    assert (ann.stats.sent, ann.stats.sent_octets) == (3, 260)
    assert (ben.stats.sent, ben.stats.sent_octets) == (1, 100)
    audience.leave("ann")
    ann.send(packet(4), ms(60))
    audience.say(packet(4), ms(60))
    assert (ann.stats.sent, ben.stats.sent) == (4, 2)


def test_destinations_are_the_same_object_until_somebody_comes_or_goes():
    audience = Audience(rtp_session(ANN).header)
    audience.join("ann", rtp_session(ANN))
    first, second = (audience.say(packet(n), 0).destinations for n in range(2))
    assert first is second
    audience.join("ben", rtp_session(BEN))
    assert audience.say(packet(3), 0).destinations == (ANN, BEN)


def test_a_sender_report_counts_what_the_audience_was_told():
    """Section 6.4.1: packets and octets of this listener, media time and wallclock as ever."""
    ann = rtp_session(ANN)
    audience = Audience(ann.header)
    audience.say(packet(1), 0)  # before her time
    audience.join("ann", ann)
    for number in range(2, 7):
        audience.say(packet(number), ms(20 * number))
    now = ann.deadline()
    while not (reports := ann.transmits()):
        ann.tick(now)
        now = ann.deadline()
    report = rtcp.unpack(reports[0].data)[0]
    assert isinstance(report, rtcp.SenderReport)
    assert (report.packet_count, report.octet_count) == (5, 400)


def listened_to(*names):
    """An audience of sessions, and every report that anybody gets in some seconds of speech."""
    sessions = {name: rtp_session(name) for name in names}
    audience = Audience(rtp_session(ANN).header)
    for name, session in sessions.items():
        audience.join(name, session)
    return audience, sessions


def speak(audience, sessions, first, last, *, silent=False):
    """Every 20 ms of these seconds; what is told to all, and what each says itself."""
    told, said = [], []
    for number in range(first * 50, last * 50):
        now = ms(20 * number)
        if not silent:
            audience.say(packet(number), now)
            if (report := audience.report(now)) is not None:
                told.append((now, report))
        for name, session in sessions.items():
            session.receive_datagram(rtcp.pack(rtcp.ReceiverReport(9, ())), name, now)
            session.tick(now)
            said += [(now, each) for each in session.transmits()]
    return told, said


def test_one_report_for_all_who_get_the_stream():
    """RFC 3550 section 6.2: one participant, and so one report about every five seconds."""
    told, said = speak(*listened_to(ANN, BEN), 0, 100)
    assert 16 < len(told) < 30
    assert {report.destinations for _, report in told} == {(ANN, BEN)}
    assert sorted(each.destination for _, each in said) == [ANN, BEN]  # once, as they began
    for now, report in told:
        sender, name = rtcp.unpack(report.data)
        assert sender.packet_count == now // ms(20) + 1
        assert sender.octet_count == 80 * sender.packet_count
        assert ahead32(sender.rtp_timestamp, 960 * (now // ms(20))) in (960, 0)
        assert name == rtcp.unpack(said[0][1].data)[1]


def test_who_is_told_nothing_any_more_is_told_by_his_session():
    """A microphone that is switched off: nobody speaks, so nobody reports for all."""
    audience, sessions = listened_to(ANN, BEN)
    speak(audience, sessions, 0, 20)
    _, said = speak(audience, sessions, 20, 60, silent=True)
    for name in (ANN, BEN):
        times = [now for now, each in said if each.destination == name]
        assert seconds(22) < times[0] < seconds(35)
        assert 4 < len(times) < 13


def test_who_leaves_an_audience_reports_again():
    audience, sessions = listened_to(ANN, BEN)
    speak(audience, sessions, 0, 20)
    audience.leave(ANN)
    told, said = speak(audience, sessions, 20, 60)
    assert {report.destinations for _, report in told} == {(BEN,)}
    assert sum(each.destination == ANN for _, each in said) > 6


def test_reports_go_where_a_listeners_own_come_from():
    """FFmpeg sends RTCP from the port after RTP's, and wants it there."""
    audience, sessions = listened_to(ANN, BEN)
    beside = (BEN[0], BEN[1] + 1)
    sessions[BEN].receive_datagram(rtcp.pack(rtcp.ReceiverReport(9, ())), beside, 0)
    audience.say(packet(0), 0)
    audience.report(0)
    assert audience.report(seconds(9)).destinations == (ANN, beside)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (rtp_session(ANN), rtp_session(BEN), True),
        (rtp_session(ANN), rtp_session(BEN, ssrc=8), False),
        (DatagramSession(Role.SENDER), DatagramSession(Role.SENDER), True),
        (DatagramSession(Role.SENDER), rtp_session(ANN), False),
    ],
)
def test_equal_headers_make_equal_bytes(one, other, same):
    assert (one.header == other.header) is same
    assert (one.header.pack(packet(1)) == other.header.pack(packet(1))) is same


def test_who_takes_the_first_packets_ssrc_has_no_header_before_it():
    session = rtp_session(ANN, ssrc=None)
    assert session.header is None
    session.send(packet(1), 0)
    assert session.header == rtp_session(ANN).header


def test_our_own_header_is_packed_as_by_the_session():
    session = DatagramSession(Role.SENDER, "v=0", peer=ANN)
    session.receive_datagram(pack(Packet(0, 0, b""), Kind.HELLO), ANN, 0)
    session.transmits()
    session.send(packet(1), 0)
    assert session.transmits()[0].data == session.header.pack(packet(1))


def test_a_packet_lasts_the_least_step_between_two():
    tally = Tally()
    for number in (5, 6, 9, 10):  # a silence between 6 and 9
        tally.count(packet(number), seconds(number))
    assert (tally.packets, tally.packet_ticks, tally.timestamp) == (4, 960, 9600)

"""RTP sessions: two of them and a wire, RFC 3550's formulas, and tshark as a witness."""

import dataclasses
import subprocess
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core.rtpsession import RtpSession
from labkit.core.rtpsource import HELD, MAX_SOURCES
from labkit.core.session import Closed, Joined, Received, Refused, Report, Role
from labkit.wire import rtcp, rtp, sdp
from labkit.wire.pcap import PcapngWriter
from labkit.words.errors import LocalProtocolError
from labkit.words.format import AudioFormat
from labkit.words.machine import DatagramMachine
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32, ahead32
from labkit.words.units import ms, ns_to_ticks, ntp_time, seconds

LEFT = ("10.0.0.1", 5004)
RIGHT = ("10.0.0.2", 5006)
SENDER_SSRC = 0x1111
RECEIVER_SSRC = 0x2222
FIVE_SECONDS = seconds(5)
OPUS = AudioFormat("opus", 48_000, 2, 111)


def media(n, *, first=0, start=0, ticks=960, payload_type=111, ssrc=0):
    return Packet(add16(first, n), add32(start, n * ticks), b"\xff" * 40, False, payload_type, ssrc)


def make_sender(**kwargs):
    return RtpSession(Role.SENDER, **{"ssrc": SENDER_SSRC, "rng": Random(1), **kwargs})


def make_receiver(**kwargs):
    return RtpSession(Role.RECEIVER, **{"ssrc": RECEIVER_SSRC, "rng": Random(2), **kwargs})


@pytest.fixture
def joined(datagram_pair):
    """A pair in which the receiver has joined."""

    def make(sender=None, receiver=None, **wire):
        sender = sender or make_sender()
        receiver = receiver or make_receiver(peer=LEFT)
        pair = datagram_pair(sender, receiver, **wire)
        pair.run(ms(100))
        return pair

    return make


@pytest.fixture
def pushed(datagram_pair):
    """A pair in which the sender pushes to a receiver that only listens."""

    def make(*, clock_rate=48_000, rtcp_interval=FIVE_SECONDS, **wire):
        common = {"clock_rate": clock_rate, "rtcp_interval": rtcp_interval}
        return datagram_pair(make_sender(peer=RIGHT, **common), make_receiver(**common), **wire)

    return make


def speak(pair, count, **kwargs):
    pair.run(pair.now)
    for n in range(count):
        pair.left.send(media(n, **kwargs), pair.now)
        pair.run(pair.now + ms(20))


def compounds(pair, source):
    return [rtcp.unpack(data) for _, data, by, _ in pair.arrived if by == source and data[1] > 191]


def heard(session, packet, now, source=LEFT):
    session.receive_datagram(rtp.pack(packet), source, now)


# Meeting


def test_a_receiver_joins_with_an_empty_report_and_its_name(joined):
    pair = joined(receiver=make_receiver(peer=LEFT, cname="ann@example.org"))
    (first,) = compounds(pair, RIGHT)
    assert first == [
        rtcp.ReceiverReport(RECEIVER_SSRC),
        rtcp.SourceDescription.named(RECEIVER_SSRC, "ann@example.org"),
    ]
    assert pair.events(pair.left) == [Joined("")]
    assert pair.left.peer == RIGHT


def test_media_answers_a_join(joined):
    pair = joined(make_sender(), make_receiver(peer=LEFT))
    speak(pair, 3)
    first, *packets = pair.events(pair.right)
    assert first == Joined("")
    assert packets == [Received(media(n, ssrc=SENDER_SSRC), ms(110 + 20 * n)) for n in range(3)]


def test_a_join_is_repeated_and_its_repetition_answered_when_there_is_no_media(joined):
    """Lost: the first join. The second is heard, the third shows that nothing has answered."""
    pair = joined(lose_right={1})
    pair.run(ms(500))
    assert pair.times(pair.left, Joined) == [ms(210)]
    assert pair.times(pair.right, Joined) == [ms(420)]
    pair.run(seconds(2))
    assert pair.sent["left"] == 1


def test_nobody_answers_for_five_seconds():
    receiver = make_receiver(peer=LEFT)
    for n in range(26):
        assert receiver.deadline() == ms(200 * n) if n < 26 else None
        receiver.tick(ms(200 * n))
    assert len(receiver.transmits()) == 25
    assert receiver.events() == [Closed(False, "us", "no answer for 5 s")]


def test_a_sender_with_a_peer_pushes_at_once_to_a_receiver_that_only_listens(pushed):
    pair = pushed()
    pair.run(0)
    assert pair.events(pair.left) == [Joined("")]
    speak(pair, 3)
    assert pair.right.peer == LEFT
    assert pair.times(pair.right, Joined) == [ms(30)]
    assert [e.now for e in pair.events(pair.right, Received)] == [ms(10), ms(30), ms(50)]


def test_a_listening_receiver_takes_no_stray_datagrams_for_a_stream():
    receiver = make_receiver()
    rng = Random(4)
    for n in range(300):
        heard(receiver, media(0, first=2 * n, ssrc=rng.getrandbits(32)), ms(n))
    receiver.receive_datagram(rtcp.pack(rtcp.ReceiverReport(5)), LEFT, seconds(1))
    assert receiver.peer is None
    assert receiver.events() == []
    assert receiver.strangers == 1


def test_a_goodbye_of_somebody_unknown_is_no_join():
    sender = make_sender()
    sender.receive_datagram(rtcp.pack(rtcp.ReceiverReport(5), rtcp.Bye((5,))), RIGHT, 0)
    assert sender.peer is None
    assert sender.events() == []


# Streams


def test_packets_on_probation_are_delivered_with_their_own_time():
    """The second never comes; the third and fourth follow each other."""
    receiver = make_receiver(peer=LEFT)
    for n in (0, 2, 3, 4):
        heard(receiver, media(n, ssrc=7), ms(n))
    joined, *packets = receiver.events()
    assert joined == Joined("")
    assert packets == [Received(media(n, ssrc=7), ms(n)) for n in (0, 2, 3, 4)]
    assert (receiver.stats.expected, receiver.stats.received, receiver.stats.lost) == (5, 4, 1)


def test_probation_ends_with_the_oldest_forgotten():
    receiver = make_receiver(peer=LEFT)
    for n in range(0, 100, 2):
        heard(receiver, media(n, ssrc=7), ms(n))
    assert receiver.events() == []
    heard(receiver, media(99, ssrc=7), ms(99))
    assert len(receiver.events()) == 1 + HELD


def test_a_jump_is_a_new_start_once_two_packets_follow_each_other():
    receiver = make_receiver(peer=LEFT)
    for n in (0, 1, 2, 30_000, 3, 4, 40_000, 40_001, 40_002):
        heard(receiver, media(n, ssrc=7), 0)
    seqs = [event.packet.seq for event in receiver.events() if isinstance(event, Received)]
    assert seqs == [0, 1, 2, 3, 4, 40_000, 40_001, 40_002]
    assert (receiver.stats.expected, receiver.stats.received) == (3, 3)


def test_a_restarted_sender_is_a_new_stream_with_new_counts(joined):
    pair = joined()
    speak(pair, 5)
    for n in range(3):
        heard(pair.right, media(n, first=9000, ssrc=0x3333), pair.now)
    pair.settle()
    assert [e.packet.ssrc for e in pair.events(pair.right, Received)][-3:] == [0x3333] * 3
    assert (pair.right.stats.expected, pair.right.stats.received) == (3, 3)


def test_forged_sources_fill_no_memory_and_push_no_stream_out(joined):
    pair = joined()
    speak(pair, 3)
    for n in range(1000):
        heard(pair.right, media(0, ssrc=n + 10), pair.now)
        if n % 10 == 0:
            heard(pair.right, media(3 + n // 10, ssrc=SENDER_SSRC), pair.now)
    assert len(pair.right._sources.by_ssrc) == MAX_SOURCES
    assert pair.right.stats.received == 103


def test_sequence_and_timestamp_wrap_without_loss_or_jitter(pushed):
    pair = pushed(rtcp_interval=seconds(1))
    speak(pair, 100, first=65_500, start=2**32 - 20 * 960)
    pair.run(pair.now + ms(10))
    stats = pair.right.stats
    assert (stats.received, stats.expected, stats.lost, stats.jitter) == (100, 100, 0, 0)
    reports = pair.events(pair.left, Report)
    assert 65_536 < reports[-1].highest_seq < 65_600


# Reports


def test_fraction_lost_is_that_since_the_last_report(pushed):
    """A.3. Every fourth packet is lost at first, then none: 1/4, later 0, the sum stays."""
    pair = pushed(lose_left={n for n in range(1, 200) if n % 4 == 0}, rtcp_interval=seconds(2))
    speak(pair, 600)
    pair.run(pair.now + ms(10))
    reports = pair.events(pair.right, Report)
    assert len(reports) >= 4
    assert all(report.ours and report.ssrc == SENDER_SSRC for report in reports)
    assert reports[0].fraction_lost == pytest.approx(0.25, abs=0.02)
    assert reports[-1].fraction_lost == 0
    lost = sum(data[1] < 192 for _, data, by, _ in pair.arrived if by == LEFT)
    assert reports[-1].cumulative_lost == 600 - lost == pair.right.stats.lost
    highest = [report.highest_seq for report in reports]
    assert highest == sorted(highest)


def test_the_sender_is_told_what_the_receiver_reported(pushed):
    pair = pushed(lose_left={3, 5, 7})
    speak(pair, 400)
    ours = pair.events(pair.right, Report)
    theirs = pair.events(pair.left, Report)
    assert len(theirs) >= 1
    for a, b in zip(ours, theirs, strict=False):
        assert (a.ssrc, a.fraction_lost, a.cumulative_lost) == (
            b.ssrc,
            b.fraction_lost,
            b.cumulative_lost,
        )
        assert not b.ours


def test_jitter_is_that_of_the_rfc_in_ticks(pushed):
    """A.8 with its own integers: transit in ticks, sixteenths, rounded."""
    delays = [ms(d) for d in (20, 35, 21, 60, 22, 22, 48, 20, 31, 20)]
    pair = pushed(clock_rate=8000, delay=lambda side, n: delays[n % 10] if side == "left" else 0)
    transit = jitter = None
    speak(pair, 50, ticks=160, payload_type=0)
    pair.run(pair.now + ms(100))
    arrivals = [(now, rtp.unpack(data)) for now, data, _, _ in pair.arrived if data[1] < 192]
    for now, packet in arrivals:
        arrival = ns_to_ticks(now, 8000)
        before, transit = transit, ahead32(arrival, packet.timestamp)
        if before is None:
            jitter = 0
        else:
            jitter += abs(transit - before) - ((jitter + 8) >> 4)
    assert pair.right.stats.jitter / ms(1) == pytest.approx((jitter >> 4) / 8, abs=0.2)
    assert jitter >> 4 > 50


def test_a_sender_report_names_this_moment_in_both_clocks_and_what_was_sent(pushed):
    """The sampling instant (RFC 3550 section 6.4.1): what leaves now was spoken 20 ms ago."""
    pair = pushed()
    speak(pair, 300, start=5000)
    reports = [
        (now - ms(10), rtcp.unpack(data)[0])
        for now, data, by, _ in pair.arrived
        if by == LEFT and data[1] > 191
    ]
    assert reports
    for now, report in reports:
        assert isinstance(report, rtcp.SenderReport)
        assert report.ntp == ntp_time(now)
        assert report.rtp_timestamp == 5000 + ns_to_ticks(now + ms(20), 48_000)
        assert report.packet_count == now // ms(20) + 1
        assert report.octet_count == 40 * report.packet_count


def test_a_sender_that_pauses_is_a_receiver_after_two_reports(pushed):
    pair = pushed()
    speak(pair, 10)
    pair.run(seconds(60))
    kinds = [type(compound[0]) for compound in compounds(pair, LEFT)]
    assert kinds[:3] == [rtcp.SenderReport, rtcp.SenderReport, rtcp.ReceiverReport]
    assert set(kinds[3:]) == {rtcp.ReceiverReport}


def test_the_round_trip_is_known_without_a_common_clock(datagram_pair):
    """30 ms there and 50 ms back, and two wallclocks that are a year apart."""
    sender = make_sender(peer=RIGHT, wallclock_offset=seconds(1_700_000_000))
    receiver = make_receiver(wallclock_offset=seconds(1_731_536_000))
    delays = {"left": ms(30), "right": ms(50)}
    pair = datagram_pair(sender, receiver, delay=lambda side, n: delays[side])
    speak(pair, 1000)
    assert sender.stats.round_trip == pytest.approx(ms(80), abs=3 * seconds(1) // 65_536)
    assert pair.events(sender, Report)[-1].round_trip == sender.round_trip
    assert receiver.stats.round_trip is None


def test_reports_come_every_five_seconds_or_as_told(pushed):
    for interval, least, most in ((seconds(5), 20, 30), (seconds(1), 100, 150)):
        pair = pushed(rtcp_interval=interval)
        speak(pair, 6000)  # two minutes
        assert least <= len(compounds(pair, LEFT)) <= most
        assert least <= len(compounds(pair, RIGHT)) <= most


# Who may speak, and from where


def test_rtcp_may_come_from_the_next_port_and_is_answered_there(datagram_pair):
    """FFmpeg reports from the port after RTP's."""
    sender = make_sender(peer=("10.0.0.2", 5006))
    sender.tick(0)
    join = rtcp.pack(rtcp.ReceiverReport(5))
    sender.receive_datagram(join, ("10.0.0.2", 5007), ms(1))
    sender.receive_datagram(join, ("10.0.0.3", 5007), ms(1))
    assert sender.strangers == 1
    sender.send(media(0), ms(2))
    sender.tick(seconds(5))
    assert [to for _, to in sender.transmits()] == [("10.0.0.2", 5006), ("10.0.0.2", 5007)]


def test_rtcp_goes_where_it_is_told():
    sender = make_sender(peer=RIGHT, rtcp_peer=("10.0.0.9", 99))
    sender.tick(0)
    sender.tick(seconds(5))
    assert [to for _, to in sender.transmits()] == [("10.0.0.9", 99)]
    sender.receive_datagram(rtcp.pack(rtcp.ReceiverReport(5)), ("10.0.0.9", 99), seconds(6))
    assert sender.strangers == 0


def test_media_from_another_port_is_not_taken(joined):
    pair = joined()
    speak(pair, 3)
    heard(pair.right, media(3, ssrc=SENDER_SSRC), pair.now, ("10.0.0.1", 6000))
    assert pair.right.strangers == 1
    assert pair.right.stats.received == 3


def test_what_cannot_be_read_is_counted_and_nothing_else(joined):
    pair = joined()
    for data in (b"", b"\x80", b"\x80\xc9\x00\x05", b"\x40" + bytes(20)):
        pair.right.receive_datagram(data, LEFT, pair.now)
    assert [type(event) for event in pair.right.events()] == [Refused] * 4
    assert pair.right.refused == 4


def test_sending_too_early_too_late_or_at_the_wrong_end_is_a_local_error(joined):
    with pytest.raises(LocalProtocolError, match="a sender in phase new cannot send"):
        make_sender(peer=RIGHT).send(media(1), 0)
    pair = joined()
    with pytest.raises(LocalProtocolError, match="a receiver in phase"):
        pair.right.send(media(1), 0)
    pair.left.close(pair.now)
    with pytest.raises(LocalProtocolError, match="a sender in phase closing"):
        pair.left.send(media(1), 0)


# Whose SSRC


def test_packets_are_stamped_with_the_sessions_ssrc(joined):
    pair = joined()
    pair.left.send(media(0), pair.now)
    pair.left.send(media(1, ssrc=0x9999), pair.now)
    sent = [rtp.unpack(data).ssrc for data, _ in pair.left.transmits()]
    assert sent == [SENDER_SSRC, SENDER_SSRC]


def test_a_session_without_an_ssrc_takes_that_of_its_first_packet(joined):
    pair = joined(make_sender(ssrc=None))
    pair.left.send(media(0, ssrc=0x9999), pair.now)
    pair.left.send(media(1, ssrc=0x8888), pair.now)
    sent = [rtp.unpack(data).ssrc for data, _ in pair.left.transmits()]
    assert sent == [0x9999, 0x9999]
    assert pair.left.ssrc == 0x9999


def test_a_listener_with_our_ssrc_makes_us_take_another(joined):
    pair = joined(make_sender(ssrc=7), make_receiver(ssrc=7, peer=LEFT))
    speak(pair, 20)
    assert pair.left.ssrc != 7
    assert pair.right.ssrc == 7
    assert pair.right.stats.received == 20


def test_when_both_have_spoken_both_take_another_and_the_old_one_says_bye(datagram_pair):
    """Section 8.2. Nobody takes the goodbye for an end."""
    sender = make_sender(ssrc=7, peer=RIGHT)
    receiver = make_receiver(ssrc=7, peer=LEFT)
    pair = datagram_pair(sender, receiver)
    speak(pair, 20)
    assert 7 not in (sender.ssrc, receiver.ssrc)
    assert [compounds(pair, side)[-1][-1] for side in (LEFT, RIGHT)] == [rtcp.Bye((7,))] * 2
    assert sender.ready
    assert not receiver.closed
    assert receiver.stats.received == sender.stats.sent == 19


def test_what_comes_back_to_us_is_a_loop_and_is_ignored():
    """A peer that echoes: the first echo looks like a collision, the others like what they are."""
    sender = make_sender(peer=RIGHT)
    sender.tick(0)
    for n in range(10):
        sender.send(media(n), ms(n))
        for data, _ in sender.transmits():
            sender.receive_datagram(data, RIGHT, ms(n))
    assert sender.ssrc != SENDER_SSRC
    assert sender.loops == 10  # nine packets, and the goodbye of the old SSRC
    assert sender.events() == [Joined("")]


# Parting


def test_bye_is_repeated_until_it_is_answered(joined):
    """Lost: the first BYE, then the answer to the second."""
    pair = joined()
    speak(pair, 5)
    pair.lost = {"left": {pair.sent["left"] + 1}, "right": {pair.sent["right"] + 1}}
    start = pair.now
    pair.left.close(start)
    pair.run(seconds(5))
    assert pair.times(pair.right, Closed) == [start + ms(210)]
    assert pair.times(pair.left, Closed) == [start + ms(420)]
    assert pair.events(pair.right)[-1] == Closed(True, "peer", "BYE")
    assert pair.events(pair.left)[-1] == Closed(True, "us", "closed")
    assert compounds(pair, LEFT)[-1][-1] == rtcp.Bye((SENDER_SSRC,))


def test_a_player_that_never_answers_is_left_after_three_byes(pushed):
    pair = pushed(lose_right=range(1, 1000))
    speak(pair, 5)
    pair.left.close(pair.now)
    pair.run(pair.now + seconds(2))
    assert pair.events(pair.left)[-1] == Closed(True, "us", "closed; the peer did not confirm")


def test_listeners_leave_a_group_and_the_speaker_ends_it(datagram_pair):
    """The pair stands for a group: what a second listener says reaches both of them."""
    sender = make_sender(peer=RIGHT, group=True)
    pair = datagram_pair(sender, make_receiver(peer=LEFT, group=True))
    speak(pair, 5)
    other = rtcp.pack(rtcp.ReceiverReport(0x4444, ())) + rtcp.pack(rtcp.Bye((0x4444,)))
    for session, source in ((pair.left, RIGHT), (pair.right, LEFT)):
        session.receive_datagram(other, source, pair.now)
    pair.run(pair.now + seconds(1))
    assert not pair.left.closed
    assert not pair.right.closed
    pair.left.close(pair.now)
    pair.run(pair.now + seconds(1))
    assert pair.events(pair.right)[-1] == Closed(True, "peer", "BYE")


def test_only_the_stream_heard_last_ends_the_conversation(joined):
    pair = joined()
    speak(pair, 5)
    for n in range(2):
        heard(pair.right, media(n, ssrc=0x3333), pair.now + n)
    old = rtcp.pack(rtcp.ReceiverReport(0x3333), rtcp.Bye((SENDER_SSRC, 0x7777)))
    pair.right.receive_datagram(old, LEFT, pair.now + 2)
    assert not pair.right.closed
    new = rtcp.pack(rtcp.ReceiverReport(0x3333), rtcp.Bye((0x3333,)))
    pair.right.receive_datagram(new, LEFT, pair.now + 3)
    assert pair.right.closed


def test_a_listener_that_vanishes_is_given_up_after_five_intervals(joined):
    """Section 6.3.5."""
    pair = joined()
    pair.lost = {"left": (), "right": range(1, 1000)}
    while pair.left.ready:
        speak(pair, 1)
    pair.run(pair.now + ms(100))
    assert pair.events(pair.left)[-1] == Closed(False, "us", "nothing heard for 25 s")
    assert pair.times(pair.left, Closed) == [ms(10) + seconds(25)]


def test_a_sender_that_vanishes_is_given_up_too_but_never_a_silent_player(pushed):
    pair = pushed(rtcp_interval=seconds(1), lose_right=range(1, 10_000))
    speak(pair, 50)
    pair.lost["left"] = range(1, 10_000)
    pair.run(seconds(3600))
    assert pair.events(pair.right)[-1] == Closed(False, "us", "nothing heard for 25 s")
    assert pair.left.ready


def test_who_reports_often_does_not_give_up_who_reports_as_usual(joined):
    """Section 6.2: a reduced minimum is one's own affair, and nobody is timed out by it."""
    pair = joined(make_sender(rtcp_interval=ms(500)), make_receiver(peer=LEFT))
    pair.run(seconds(600))
    assert pair.events(pair.left, Closed) == []
    assert pair.left.ready


def test_two_silent_ends_keep_each_other_for_an_hour(joined):
    pair = joined()
    pair.run(seconds(3600))
    assert pair.left.ready
    assert not pair.right.closed


# tshark


def call(pair, count, **kwargs):
    """A call with loss, disorder and copies; the receiver's jitter after every packet."""
    jitters = []
    land = pair.land

    def listen(data, source, destination):
        land(data, source, destination)
        if source == LEFT and data[1] < 192:
            jitters.append(pair.right.stats.jitter / ms(1))

    pair.land = listen
    speak(pair, count, **kwargs)
    pair.run(pair.now + ms(300))
    pair.left.close(pair.now)
    pair.run(pair.now + seconds(1))
    return jitters


def wire(seed, count):
    """The same wire each time: about 8 % lost, 3 % doubled, delays that overtake each other."""
    rng = Random(seed)
    draws = [(rng.random(), ms(20) + int(rng.expovariate(1 / ms(9)))) for _ in range(count * 2)]
    return {
        "lose_left": {n for n in range(2, count) if draws[n][0] < 0.08},
        "double_left": {n for n in range(2, count) if draws[n][0] > 0.97},
        "delay": lambda side, n: draws[n][1] if side == "left" else ms(25),
    }


def capture(path, pair, signalling=()):
    with path.open("wb") as file, PcapngWriter(file) as writer:
        for data, source, destination in signalling:
            writer.udp(0, data, source, destination)
        for now, data, source, destination in pair.arrived:
            writer.udp(now, data, source, destination)
    return path


def tshark(path, *arguments):
    heuristics = ["--enable-heuristic", "rtp_udp", "--enable-heuristic", "rtcp_udp"]
    command = ["tshark", "-r", str(path), *heuristics, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stream_line(path):
    """Of `-z rtp,streams`: packets, lost, and least, mean and greatest jitter in ms."""
    lines = tshark(path, "-q", "-z", "rtp,streams").splitlines()
    (line,) = [line.split() for line in lines if f"0x{SENDER_SSRC:08x}" in line]
    after = line[line.index(f"0x{SENDER_SSRC:08x}") + 2 :]
    packets, lost, _, _, _, _, least, mean, most = after[:9]
    return int(packets), int(lost), float(least), float(mean), float(most)


def sip(format_):
    """An INVITE and its answer: the SDP in them tells tshark what the payload type means."""

    def message(start, host, port):
        body = sdp.describe(format_, host=host, port=port).encode()
        head = (
            f"{start}\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK1\r\n"
            "From: <sip:bob@10.0.0.2>;tag=1\r\nTo: <sip:ann@10.0.0.1>;tag=2\r\nCall-ID: 1\r\n"
            "CSeq: 1 INVITE\r\nContact: <sip:ann@10.0.0.1>\r\nMax-Forwards: 70\r\n"
            f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    ann, bob = (LEFT[0], 5060), (RIGHT[0], 5060)
    return [
        (message("INVITE sip:ann@10.0.0.1 SIP/2.0", *RIGHT), bob, ann),
        (message("SIP/2.0 200 OK", *LEFT), ann, bob),
    ]


@pytest.mark.peer
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tshark_counts_what_we_count_at_8_khz(need, pushed, tmp_path, seed):
    need("tshark")
    pair = pushed(clock_rate=8000, **wire(seed, 500))
    jitters = call(pair, 500, first=65_400, start=2**32 - 4000, ticks=160, payload_type=0)
    packets, lost, least, mean, most = stream_line(capture(tmp_path / "a.pcapng", pair))
    stats = pair.right.stats
    assert packets == stats.received
    assert lost == stats.expected - stats.received
    assert stats.duplicates > 5
    assert stats.reordered > 5
    ours = (min(jitters[1:]), sum(jitters[1:]) / len(jitters[1:]), max(jitters[1:]))
    assert ours == pytest.approx((least, mean, most), abs=0.1)


@pytest.mark.peer
def test_tshark_counts_what_we_count_for_opus(need, pushed, tmp_path):
    need("tshark")
    pair = pushed(**wire(4, 500))
    jitters = call(pair, 500, first=100, start=77)
    path = capture(tmp_path / "a.pcapng", pair, sip(OPUS))
    packets, lost, _, mean, most = stream_line(path)
    assert packets == pair.right.stats.received
    assert lost == pair.right.stats.expected - pair.right.stats.received
    assert most > 5
    assert max(jitters) == pytest.approx(most, abs=0.1)
    assert sum(jitters[1:]) / len(jitters[1:]) == pytest.approx(mean, abs=0.1)


@pytest.mark.peer
def test_tshark_reads_every_report_and_finds_nothing_odd(need, joined, tmp_path):
    need("tshark")
    pair = joined(make_sender(clock_rate=8000), make_receiver(clock_rate=8000, peer=LEFT))
    call(pair, 1500, ticks=160, payload_type=0)
    path = capture(tmp_path / "a.pcapng", pair)
    fields = ["rtcp.pt", "rtcp.ssrc.fraction", "rtcp.ssrc.cum_nr", "rtcp.ssrc.ext_high"]
    fields += ["rtcp.ssrc.jitter", "rtcp.sender.packetcount", "rtcp.sdes.text", "_ws.expert"]
    chosen = [argument for field in fields for argument in ("-e", field)]
    table = tshark(path, "-Y", "rtcp", "-T", "fields", *chosen)
    rows = [line.split("\t") for line in table.rstrip("\n").split("\n")]
    ours = [
        packets
        for _, data, _, _ in pair.arrived
        if data[1] > 191
        for packets in [rtcp.unpack(data)]
    ]
    assert len(rows) == len(ours) > 10
    for row, (report, name, *rest) in zip(rows, ours, strict=True):
        kinds = [200 if isinstance(report, rtcp.SenderReport) else 201, 202] + [203] * len(rest)
        blocks = report.reports
        assert row[0] == ",".join(map(str, kinds))
        assert row[1] == ",".join(str(block.fraction_lost) for block in blocks)
        assert row[2] == ",".join(str(block.cumulative_lost) for block in blocks)
        assert row[3] == ",".join(str(block.highest_seq) for block in blocks)
        assert row[4] == ",".join(str(block.jitter) for block in blocks)
        assert row[5] == (str(report.packet_count) if kinds[0] == 200 else "")
        assert row[6] == name.chunks[0].items[0].text
        assert row[7] == ""


@pytest.mark.peer
def test_tshark_finds_the_same_round_trip(need, datagram_pair, tmp_path):
    """Captured at the sender: its reports as they leave, the receiver's as they arrive."""
    need("tshark")
    sender = make_sender(peer=RIGHT, rtcp_interval=seconds(1))
    receiver = make_receiver(rtcp_interval=seconds(1))
    pair = datagram_pair(sender, receiver, delay=ms(40))
    speak(pair, 500)
    at_sender = [(now - ms(40) * (by == LEFT), d, by, to) for now, d, by, to in pair.arrived]
    pair.arrived = sorted(at_sender, key=lambda crossing: crossing[0])
    path = capture(tmp_path / "a.pcapng", pair)
    shown = ["-o", "rtcp.show_roundtrip_calculation:TRUE"]
    fields = ["-T", "fields", "-e", "rtcp.roundtrip-delay", "-Y", "rtcp.roundtrip-delay"]
    delays = tshark(path, *shown, *fields).split()
    assert len(delays) > 3
    assert {int(delay) for delay in delays} <= {79, 80, 81}
    assert sender.round_trip == pytest.approx(ms(80), abs=seconds(1) // 10_000)


# Anything


ssrcs = st.sampled_from([SENDER_SSRC, RECEIVER_SSRC, 5, 6])
blocks = st.builds(
    rtcp.ReportBlock,
    ssrcs,
    st.integers(0, 255),
    st.integers(-(2**23), 2**23 - 1),
    *[st.integers(0, 2**32 - 1)] * 4,
)
reports = st.one_of(
    st.builds(rtcp.ReceiverReport, ssrcs, st.lists(blocks, max_size=3).map(tuple)),
    st.builds(
        rtcp.SenderReport,
        ssrcs,
        st.integers(0, 2**64 - 1),
        *[st.integers(0, 2**32 - 1)] * 3,
        st.lists(blocks, max_size=3).map(tuple),
    ),
)
datagrams = st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda data: b"\x80\xc9" + data),
    st.builds(
        lambda seq, timestamp, ssrc: rtp.pack(Packet(seq, timestamp, b"x", False, 0, ssrc)),
        st.one_of(st.integers(0, 5), st.integers(0, 2**16 - 1)),
        st.integers(0, 2**32 - 1),
        ssrcs,
    ),
    st.builds(rtcp.pack, reports),
    st.builds(lambda report, ssrc: rtcp.pack(report, rtcp.Bye((ssrc,))), reports, ssrcs),
)
calls = st.lists(
    st.one_of(
        st.tuples(st.just("data"), datagrams, st.sampled_from([LEFT, LEFT, RIGHT])),
        st.tuples(st.sampled_from(["tick", "close", "send"])),
    ),
    max_size=50,
)


@settings(max_examples=400, deadline=None)
@given(
    role=st.sampled_from(Role),
    peer=st.sampled_from([None, LEFT]),
    calls=calls,
    step=st.sampled_from([0, 1, ms(20), seconds(3)]),
)
def test_no_order_of_calls_and_no_bytes_break_it(role, peer, calls, step):
    session = RtpSession(role, peer=peer, ssrc=SENDER_SSRC, rng=Random(1))
    assert isinstance(session, DatagramMachine)
    events = []
    for n, (name, *arguments) in enumerate(calls):
        now = n * step
        match name:
            case "data":
                session.receive_datagram(*arguments, now)
            case "tick":
                session.tick(now)
            case "close":
                session.close(now)
            case "send" if session.ready:
                session.send(media(n), now)
        assert len(session.transmits()) <= 4
        events += session.events()
        assert not session.closed or session.deadline() is None
        assert len(session._sources.by_ssrc) <= MAX_SOURCES
        assert session.stats.jitter >= 0
    ends = [event for event in events if isinstance(event, Closed)]
    assert session.closed == bool(ends)
    assert ends == [] or ends == events[-1:]


def test_a_report_that_a_goodbye_has_overtaken_opens_nothing():
    """The listener has left; its last report comes to a session that has sent nothing yet."""
    block = rtcp.ReportBlock(SENDER_SSRC, 0, 0, 7, 0, 0, 0)
    late = rtcp.pack(rtcp.ReceiverReport(9, (block,)), rtcp.SourceDescription.named(9, "ann"))
    session = RtpSession(Role.SENDER, ssrc=SENDER_SSRC, rng=Random(1))
    session.receive_datagram(late, ("10.0.0.2", 5006), 0)
    assert session.events() == []
    assert session.peer is None
    other = dataclasses.replace(block, ssrc=SENDER_SSRC + 1)  # of a server that was here before us
    asks = rtcp.pack(rtcp.ReceiverReport(9, (other,)), rtcp.SourceDescription.named(9, "ann"))
    session.receive_datagram(asks, ("10.0.0.2", 5006), 0)
    assert session.ready

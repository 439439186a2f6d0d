"""SRTP between two sessions: what passes, what is refused, and that refusing changes nothing."""

import copy
from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.codec import Blank
from labkit.core.fanout import SealedAudience
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Closed, Joined, Received, Refused, Role
from labkit.core.source import Clip
from labkit.endpoints.receiver import Finished, Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.server import Server
from labkit.endpoints.srtp import LONGEST, MAX_STREAMS, Reason, Srtp, context, new_key
from labkit.endpoints.voice import Voice
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.wire import rtcp, rtp, sdp
from labkit.wire.sdes import Crypto, MasterKey, Suite
from labkit.words.errors import AuthenticationError, BadInput, LocalProtocolError
from labkit.words.format import AudioFormat
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import Datagram
from labkit.words.packet import Packet
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds

OUT, IN = pylibsrtp.Policy.SSRC_ANY_OUTBOUND, pylibsrtp.Policy.SSRC_ANY_INBOUND
ANN, BEN = ("10.0.1.2", 1), ("10.0.1.3", 2)
ALICE, BOB, EVE = ("10.0.0.1", 5004), ("10.0.0.2", 5006), ("10.0.0.3", 666)
SPOKEN = b"what Alice says to Bob and to nobody else"
ALICES, BOBS = (new_key(rng=Random(name)) for name in ("alice", "bob"))


def keys(suite=Suite.AES_CM_128_HMAC_SHA1_80):
    return (new_key(suite, Random(name)) for name in ("alice", "bob"))


class Pair:
    """Alice speaks, Bob listens; every datagram passes through the test's hands."""

    def __init__(self, suite=Suite.AES_CM_128_HMAC_SHA1_80, **more) -> None:
        alices, bobs = keys(suite)
        sender = RtpSession(Role.SENDER, ssrc=7, rng=Random(1))
        receiver = RtpSession(Role.RECEIVER, peer=ALICE, rng=Random(2))
        self.alice = Srtp(sender, alices, bobs, **more)
        self.bob = Srtp(receiver, bobs, alices)
        self.bob.tick(0)
        for data, _ in self.bob.transmits():
            self.alice.receive_datagram(data, BOB, 0)
        self.say(1, 2)
        self.bob.events()

    def sealed(self, *numbers: int) -> list[bytes]:
        for seq in numbers:
            packet = Packet(seq, seq * 960, SPOKEN, payload_type=111, ssrc=7)
            self.alice.send(packet, ms(20) * seq)
        return [data for data, _ in self.alice.transmits()]

    def say(self, *numbers: int) -> None:
        for data in self.sealed(*numbers):
            self.bob.receive_datagram(data, ALICE, 0)

    def heard(self) -> list[int]:
        return [each.packet.seq for each in self.bob.events() if isinstance(each, Received)]


@pytest.mark.parametrize("suite", Suite)
def test_what_is_said_is_heard_and_nobody_else_can_read_it(suite):
    pair = Pair(suite)
    assert any(isinstance(event, Joined) for event in pair.alice.events())
    (data,) = pair.sealed(3)
    plain = rtp.pack(Packet(3, 2880, SPOKEN, payload_type=111, ssrc=7))
    assert data[:12] == plain[:12]  # the header is in the clear
    assert not any(SPOKEN[at : at + 4] in data for at in range(len(SPOKEN) - 3))
    assert len(data) == len(plain) + suite.tag_size
    pair.bob.receive_datagram(data, ALICE, 0)
    (event,) = pair.bob.events()
    assert event.packet == rtp.unpack(plain)
    assert pair.bob.refused == 0


def test_reports_are_protected_too():
    """SRTCP, RFC 3711 section 3.4: the name in a report is not to be read."""
    pair = Pair()
    pair.alice.inner.cname = "alice@example.org"
    pair.alice.close(seconds(1))
    (datagram,) = pair.alice.transmits()
    assert b"alice" not in datagram.data
    assert rtcp.is_rtcp(datagram.data)
    pair.bob.receive_datagram(datagram.data, ALICE, 0)
    assert any(isinstance(event, Closed) and event.clean for event in pair.bob.events())
    assert pair.bob.closed


def state(session: Srtp) -> tuple:
    return session.stats, session.phase, session.peer, session.deadline(), session.round_trip


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("what", ["changed", "replayed", "plain", "another key", "cut", "noise"])
def test_what_is_not_authentic_is_refused_and_counted(suite, what):
    pair = Pair(suite)
    (data,) = pair.sealed(3)
    reason = Reason.FORGED
    match what:
        case "changed":  # anything but the sequence number, which would make it another packet
            wrong = [
                data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(4, len(data))
            ]
        case "replayed":
            pair.bob.receive_datagram(data, ALICE, 0)
            pair.bob.events()
            wrong, reason = [data, data], Reason.REPLAYED
        case "plain":
            wrong = [rtp.pack(Packet(3, 2880, SPOKEN + bytes(20), payload_type=111, ssrc=7))]
        case "another key":
            other = RtpSession(Role.SENDER, peer=BOB, ssrc=7)
            eve = Srtp(other, new_key(suite, Random("eve")), None)
            eve.tick(0)
            eve.send(Packet(3, 0, SPOKEN, ssrc=7), 0)
            wrong = [eve.transmits()[0].data]
        case "cut":
            wrong, reason = [data[:size] for size in range(len(data))], None
        case "noise":
            wrong, reason = [b"", b"\x80", bytes(1500), b"\x80" * 2000, b"\x80\xc8" * 30], None
    before = state(pair.bob)
    for each in wrong:
        pair.bob.receive_datagram(each, ALICE, ms(1))
        (event,) = pair.bob.events()
        assert isinstance(event, Refused)
        assert isinstance(event.error, AuthenticationError)
    assert state(pair.bob) == before
    assert pair.bob.refused == len(wrong) == pair.bob.refusals.total()
    if reason is not None:
        assert pair.bob.refusals == ({reason: len(wrong)})
    if what != "replayed":
        pair.bob.receive_datagram(data, ALICE, 0)
        assert pair.heard() == [3]  # the true one is still welcome


def test_what_is_too_old_is_not_believed():
    pair = Pair()
    (old,) = pair.sealed(3)
    pair.say(*range(4, 4 + 128))
    pair.bob.events()
    pair.bob.receive_datagram(old, ALICE, 0)
    assert pair.bob.refusals == {Reason.TOO_OLD: 1}


def test_packets_that_overtake_each_other_are_heard_also_across_zero():
    pair = Pair()
    packets = []
    for seq in (*range(3, 60_000, 20_000), 65_533, 65_534, 65_535, 0, 1, 2):
        packets += pair.sealed(seq)
    order = [0, 1, 2, 5, 3, 4, 8, 6, 7]
    for at in order:
        pair.bob.receive_datagram(packets[at], ALICE, 0)
    assert pair.bob.refused == 0
    for at in order:
        pair.bob.receive_datagram(packets[at], ALICE, 0)
    assert pair.bob.refusals.total() == 9
    assert pair.bob.refusals[Reason.REPLAYED] == 6  # of the others nobody knows the turn any more


def test_a_packet_that_comes_back_is_not_the_peers():
    """Each direction has its own key, so what we said is no news to us."""
    pair = Pair()
    (data,) = pair.sealed(3)
    pair.alice.receive_datagram(data, BOB, 0)
    assert pair.alice.refusals == {Reason.FORGED: 1}
    session = RtpSession(Role.SENDER, peer=BOB)
    with pytest.raises(BadInput, match="a key of its own"):
        Srtp(session, ALICES, MasterKey.of(ALICES.suite, ALICES.key + ALICES.salt))


def test_a_peer_cannot_fill_the_memory_with_streams():
    """A replay window must not be forgotten, so their number has an end."""
    pair = Pair()
    for ssrc in range(100, 100 + MAX_STREAMS + 5):
        session = RtpSession(Role.SENDER, peer=BOB, ssrc=ssrc)
        many = Srtp(session, next(keys()), None)
        many.tick(0)
        many.send(Packet(1, 0, b"x", ssrc=ssrc), 0)
        for data, _ in many.transmits():
            pair.bob.receive_datagram(data, ALICE, 0)
    assert pair.bob.refusals == {Reason.CROWDED: 6}
    pair.bob.events()
    pair.say(3)
    assert pair.heard() == [3]


def test_a_number_is_never_used_twice():
    """The same number again would be the same keystream again: such a packet is not sent."""
    pair = Pair()
    (first,) = pair.sealed(3)
    assert pair.sealed(3) == []
    assert pair.alice.unsent == 1
    assert first


def test_without_the_peers_key_nothing_is_believed():
    pushing = Srtp(RtpSession(Role.SENDER, peer=BOB, ssrc=7), ALICES, None)
    pushing.tick(0)
    pushing.receive_datagram(b"\x80\xc9" + bytes(40), BOB, 0)
    assert pushing.refusals == {Reason.NO_KEY: 1}
    pushing.send(Packet(1, 0, SPOKEN, ssrc=7), 0)
    assert len(pushing.transmits()) == 1


def test_a_packet_that_does_not_fit_is_refused_where_it_is_made():
    pair = Pair()
    pair.alice.send(Packet(3, 0, bytes(LONGEST), ssrc=7), 0)
    assert len(pair.alice.transmits()) == 1
    with pytest.raises(LocalProtocolError, match="1301 bytes"):
        pair.alice.send(Packet(4, 0, bytes(LONGEST + 1), ssrc=7), 0)


def test_a_key_is_used_no_longer_than_it_lives():
    """RFC 3711 section 9.2. The last packets are for the goodbye."""
    short = MasterKey.of(ALICES.suite, ALICES.key + ALICES.salt, 20)
    session = RtpSession(Role.SENDER, peer=BOB, ssrc=7, rng=Random(1))
    alice = Srtp(session, short, BOBS)
    alice.tick(0)
    sent = []
    for seq in range(1, 50):
        if not alice.ready:
            break
        alice.send(Packet(seq, seq, SPOKEN, ssrc=7), ms(20) * seq)
        sent += alice.transmits()
    assert 10 <= len(sent) <= 20
    assert rtcp.is_rtcp(sent[-1].data)
    while (due := alice.deadline()) is not None:
        alice.tick(due)
        sent += alice.transmits()
    assert len(sent) <= 20
    assert alice.closed


def test_no_key_is_shown():
    """Not in what a session says of itself, not in an event, not in an error."""
    secret = MasterKey.of(ALICES.suite, b"sixteen secret..fourteen salt.")
    audio = AudioFormat("opus", 48_000, 2, 111)
    line = Crypto.of(1, secret)
    text = sdp.describe(audio, host="127.0.0.1", port=5004, security=(line,))
    session = Srtp(RtpSession(Role.RECEIVER, text), BOBS, secret)
    assert "crypto" not in session.description
    assert sdp.parse(session.description).audio == audio
    session.receive_datagram(b"\x80" * 40, ALICE, 0)
    shown = repr(vars(session)) + repr(session.events()) + repr(session)
    assert "secret" not in shown
    assert "salt." not in shown


@given(st.binary(max_size=200), st.integers(0, 3))
def test_any_bytes_are_refused_without_a_word(data, kind):
    """Also those that look like RTP or RTCP."""
    pair = ANY
    head = (b"", b"\x80\x6f", b"\x80\xc8", b"\x81\xc9")[kind]
    before = pair.bob.refused
    pair.bob.receive_datagram(head + data, EVE, 0)
    assert pair.bob.refused == before + 1
    pair.bob.events()


ANY = Pair()


# In virtual time --------------------------------------------------------------------------------


def silence(frames: int) -> Clip:
    return Clip(np.zeros((frames * 960, 1), np.int16))


def test_a_server_has_keys_for_each_listener():
    """Ann cannot read what is sent to Ben, though it is the same voice with the same numbers."""
    ears = {("10.0.0.2", 1): "ann", ("10.0.0.3", 2): "ben"}
    refusals: Counter[Reason] = Counter()

    def make(address):
        name = ears.get(address, "nobody")
        ours, theirs = (new_key(rng=Random(f"{name} {way}")) for way in ("down", "up"))
        return Srtp(RtpSession(Role.SENDER, rng=Random(1)), ours, theirs, refusals=refusals)

    voice = Voice(Blank(), silence(100), rng=Random(1))
    server = Server(voice, make)
    world = World(1, tap=Tap())
    world.add(server, ALICE)
    found: dict[str, list] = {}
    for address, name in ears.items():
        ours, theirs = (new_key(rng=Random(f"{name} {way}")) for way in ("up", "down"))
        session = Srtp(RtpSession(Role.RECEIVER, peer=ALICE, rng=Random(name)), ours, theirs)
        receiver = Receiver(session, Blank())
        world.add(receiver, address)
        world.connect(receiver, server)
        found[name] = []
        world.on_event(receiver, found[name].append)
    noise = bytes.fromhex("80c90001") + bytes(40)
    for _ in range(3):
        server.receive_datagram(noise, EVE, 0)  # a stranger without a key
    world.run(until=seconds(5))
    for events in found.values():
        assert sum(isinstance(event, Heard) for event in events) >= 100
        assert isinstance(events[-1], Finished)
    assert refusals == {Reason.FORGED: 3}
    assert EVE not in server.clients
    voices: dict[int, set[bytes]] = {}
    for crossing in world.tap.sent:
        if crossing.source == ALICE and not rtcp.is_rtcp(crossing.data):
            voices.setdefault(rtp.unpack(crossing.data).seq, set()).add(crossing.data[12:])
    assert len(voices) >= 99
    assert all(len(each) == 2 for each in voices.values())


def sealing_server(make) -> Server:
    """Ann and Ben listen, and have been answered."""
    voice = Voice(Blank(), silence(100), rng=Random(1))
    server = Server(voice, lambda address: make(address, voice))
    for number, address in enumerate((ANN, BEN)):
        asking = rtcp.pack(rtcp.ReceiverReport(number + 1, ()))
        server.receive_datagram(context(up(address), OUT).protect_rtcp(asking), address, 0)
    server.transmits()
    return server


def up(address) -> MasterKey:
    return new_key(rng=Random(f"{address} up"))


def down(address) -> MasterKey:
    return new_key(rng=Random(f"{address} down"))


def test_what_is_sealed_for_many_is_packed_once_and_read_by_each_alone():
    """One audience, two keys; and what everybody was sent is in each one's figures."""

    def make(address, voice) -> Srtp:
        session = RtpSession(Role.SENDER, ssrc=voice.ssrc, rng=Random(str(address)))
        return Srtp(session, down(address), up(address))

    server = sealing_server(make)
    ann, ben = (server.clients[address] for address in (ANN, BEN))
    assert isinstance(ann.audience, SealedAudience)
    assert ann.audience is ben.audience
    server.tick(ms(20))
    assert server.copies() == []
    (for_ann, to_ann), (for_ben, to_ben) = server.transmits()
    assert (to_ann, to_ben) == (ANN, BEN)
    assert for_ann[:12] == for_ben[:12]
    assert for_ann[12:] != for_ben[12:]
    assert context(down(ANN), IN).unprotect(for_ann) == context(down(BEN), IN).unprotect(for_ben)
    with pytest.raises(pylibsrtp.Error, match="authentication"):
        context(down(ANN), IN).unprotect(for_ben)
    assert {client.sent for client in server.figures(ms(20)).clients} == {1}


def test_a_sealed_number_is_never_used_twice():
    """Not by the audience, and not when its session is alone again."""
    session = Srtp(RtpSession(Role.SENDER, peer=BOB, ssrc=7), ALICES, None)
    session.tick(0)
    packet = Packet(1, 2, b"x", ssrc=7)
    assert len(Srtp.seal([session.sealing], rtp.pack(packet))) == 1
    assert Srtp.seal([session.sealing], rtp.pack(packet)) == []
    session.send(packet, 0)
    assert [data for data, _ in session.transmits() if not rtcp.is_rtcp(data)] == []
    assert session.unsent == 2
    with pytest.raises(LocalProtocolError, match="at most"):
        Srtp.seal([session.sealing], bytes(LONGEST + 13))


def test_who_spends_a_key_or_stands_around_srtp_is_sent_to_alone():
    """A lifetime is counted packet by packet; and another layer has its own idea of the bytes."""

    class Around:
        def __init__(self, inner: Srtp) -> None:
            self.inner = inner

        def __getattr__(self, name: str):
            return getattr(self.inner, name)

        def transmits(self):
            return [Datagram(b"scrambled", to) for _, to in self.inner.transmits()]

    def make(address, voice) -> object:
        session = RtpSession(Role.SENDER, ssrc=voice.ssrc, rng=Random(str(address)))
        if address == ANN:
            return Srtp(session, replace(down(ANN), lifetime=100), up(ANN))
        return Around(Srtp(session, down(BEN), up(BEN)))

    server = sealing_server(make)
    assert [server.clients[each].audience for each in (ANN, BEN)] == [None, None]
    server.tick(ms(20))
    (for_ann, _), (for_ben, _) = server.transmits()
    assert rtp.unpack(context(down(ANN), IN).unprotect(for_ann))
    assert for_ben == b"scrambled"


def test_a_link_that_changes_and_doubles_packets_is_seen_through():
    """Every packet heard is one that was said: the rest is refused, and named."""
    said: list[Packet] = []

    class Noted(RtpSession):
        def send(self, packet, now) -> None:
            said.append(packet)
            super().send(packet, now)

    sender = Sender(
        Srtp(Noted(Role.SENDER, rng=Random(1)), ALICES, BOBS),
        Voice(Blank(), silence(500), rng=Random(1)),
    )
    bob = Srtp(RtpSession(Role.RECEIVER, peer=ALICE, rng=Random(2)), BOBS, ALICES)
    receiver = Receiver(bob, Blank())
    heard: list[Packet] = []
    receiver._receive = lambda packet, now: heard.append(packet)
    world = World(4)
    world.add(sender, ALICE)
    world.add(receiver, BOB)
    bad = LinkSpec(delay=ms(10), corrupt=0.1, duplicate=0.1)
    world.connect(receiver, sender, Profile("bad", "", "", up=bad, down=bad))
    world.run(until=seconds(12))
    assert 400 < len(heard) < 500
    assert len({packet.seq for packet in heard}) == len(heard)
    known = {packet.seq: packet.payload for packet in said}
    assert all(known[packet.seq] == packet.payload for packet in heard)
    assert bob.refusals[Reason.FORGED] > 20
    assert bob.refusals[Reason.REPLAYED] > 20


def test_a_server_and_its_listener_are_copied_by_nobody():
    """A context of libsrtp is state in C: copying a session fails loudly, not halfway."""
    with pytest.raises(TypeError):
        copy.deepcopy(Pair().bob)


def test_a_sender_says_goodbye_and_the_receiver_plays_to_the_end():
    sender = Sender(
        Srtp(RtpSession(Role.SENDER, rng=Random(1)), ALICES, BOBS),
        Voice(Blank(), silence(50), rng=Random(1)),
    )
    receiver = Receiver(
        Srtp(RtpSession(Role.RECEIVER, peer=ALICE, rng=Random(2)), BOBS, ALICES), Blank()
    )
    world = World(1)
    world.add(sender, ALICE)
    world.add(receiver, BOB)
    world.connect(receiver, sender)
    events: list = []
    world.on_event(receiver, events.append)
    world.run(until=seconds(10))
    assert isinstance(events[-1], Finished)
    assert receiver.closed.clean
    assert sum(isinstance(event, Heard) for event in events) >= 50

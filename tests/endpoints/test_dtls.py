"""DTLS-SRTP in virtual time: handshakes that succeed, that get lost, that are refused, floods."""

from random import Random

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import crypto

from labkit.codec import Blank
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Closed, Refused, Role
from labkit.core.source import Clip
from labkit.endpoints import dtlsdoor
from labkit.endpoints.dtls import Handshake, Stage
from labkit.endpoints.dtlscontext import (
    fingerprint,
    is_client_hello,
    is_dtls,
    make_connection,
    make_context,
)
from labkit.endpoints.dtlsdoor import DtlsDoor
from labkit.endpoints.dtlssrtp import DtlsSrtp
from labkit.endpoints.receiver import Finished, Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.server import Server
from labkit.endpoints.srtp import Reason
from labkit.endpoints.voice import Voice
from labkit.live.certs import Authority
from labkit.sim.world import World
from labkit.wire.sdes import Suite
from labkit.wire.sdpdtls import Fingerprint, Setup
from labkit.words.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds

ALICE, BOB, EVE = ("10.0.0.1", 5004), ("10.0.0.2", 5006), ("10.0.0.3", 666)
AUTHORITY = Authority.make()
ALICES, BOBS, EVES = (AUTHORITY.server([name]) for name in ("alice", "bob", "eve"))
PIN_ALICE, PIN_BOB, PIN_EVE = ([fingerprint(who.certificate)] for who in (ALICES, BOBS, EVES))


def silence(frames: int) -> Clip:
    return Clip(np.zeros((frames * 960, 1), np.int16))


def handshakes(**more) -> tuple[Handshake, Handshake]:
    """Bob, who begins, and Alice."""
    bob = Handshake(BOBS, Setup.ACTIVE, PIN_ALICE, **more)
    return bob, Handshake(ALICES, Setup.PASSIVE, PIN_BOB)


def exchange(one: Handshake, other: Handshake, now: int = 0) -> None:
    """Carry everything across until nobody has more to say."""
    one.tick(now)
    for _ in range(20):
        for source, target in ((one, other), (other, one)):
            for data in source.transmits():
                assert is_dtls(data)
                assert len(data) <= 1200
                target.receive(data, now)


@pytest.mark.parametrize("suite", Suite)
def test_both_sides_have_the_same_keys(suite):
    bob, alice = handshakes(suites=[suite])
    if suite not in (Suite.AEAD_AES_128_GCM, Suite.AES_CM_128_HMAC_SHA1_80):
        alice = Handshake(ALICES, Setup.PASSIVE, PIN_BOB, suites=[suite])
    exchange(bob, alice)
    assert bob.stage is alice.stage is Stage.DONE
    assert (bob.ours, bob.theirs) == (alice.theirs, alice.ours)
    assert bob.ours.key != bob.theirs.key
    assert bob.ours.suite is suite
    assert bob.deadline() is alice.deadline() is None


@pytest.mark.parametrize(
    ("bob_expects", "alice_expects"), [(PIN_EVE, PIN_BOB), (PIN_ALICE, PIN_EVE)]
)
def test_a_wrong_fingerprint_ends_it_and_both_hear_of_it(bob_expects, alice_expects):
    bob = Handshake(BOBS, Setup.ACTIVE, bob_expects)
    alice = Handshake(ALICES, Setup.PASSIVE, alice_expects)
    exchange(bob, alice)
    assert bob.stage is alice.stage is Stage.FAILED
    wronged = bob if bob_expects is PIN_EVE else alice
    assert str(wronged.error) == "the certificate is not the one that SDP promised"
    assert isinstance(bob.error, AuthenticationError)
    assert isinstance(alice.error, AuthenticationError)
    assert bob.ours is alice.ours is None


def test_a_weak_hash_is_not_believed():
    """SHA-1 can be forged; a fingerprint by it alone pins nobody."""
    weak = [Fingerprint("sha-1", bytes(20))]
    bob, alice = Handshake(BOBS, Setup.ACTIVE, weak), Handshake(ALICES, Setup.PASSIVE, None)
    exchange(bob, alice)
    assert bob.stage is Stage.FAILED
    strong = [*weak, fingerprint(ALICES.certificate, "sha-512")]
    bob, alice = Handshake(BOBS, Setup.ACTIVE, strong), Handshake(ALICES, Setup.PASSIVE, None)
    exchange(bob, alice)
    assert bob.stage is alice.stage is Stage.DONE


@pytest.mark.parametrize("version", [1, 5, 0x80])
def test_a_certificate_that_only_openssl_can_read_raises_nothing(version):
    """Its version is none that there is. OpenSSL does not mind; stricter parsers raise."""
    der = x509.load_pem_x509_certificate(BOBS.certificate).public_bytes(Encoding.DER)
    field = bytes.fromhex("a003020102")
    odd = der.replace(field, field[:-1] + bytes([version]), 1)
    assert odd != der
    context = make_context(BOBS, PIN_ALICE)
    with pytest.warns(DeprecationWarning, match="X509"):
        context.use_certificate(crypto.load_certificate(crypto.FILETYPE_ASN1, odd))
    bob = Handshake(BOBS, Setup.ACTIVE, None, connection=make_connection(context, Setup.ACTIVE))
    alice = Handshake(ALICES, Setup.PASSIVE, PIN_BOB)
    exchange(bob, alice)
    assert str(alice.error) == "the certificate is not the one that SDP promised"
    assert bob.stage is Stage.FAILED


def test_no_suite_in_common():
    bob = Handshake(BOBS, Setup.ACTIVE, PIN_ALICE, suites=[Suite.AES_CM_128_HMAC_SHA1_32])
    alice = Handshake(ALICES, Setup.PASSIVE, PIN_BOB, suites=[Suite.AEAD_AES_256_GCM])
    exchange(bob, alice)
    assert "suite" in str(alice.error)
    assert isinstance(alice.error, RemoteProtocolError)


@pytest.mark.parametrize("lost", range(6))
def test_whichever_datagram_is_lost_the_handshake_is_done(lost):
    """The flight is repeated when its time has come, by our clock and by no other."""
    bob, alice = handshakes()
    ends = {Setup.ACTIVE: (bob, alice), Setup.PASSIVE: (alice, bob)}
    now, sent = 0, 0
    while not bob.stage is alice.stage is Stage.DONE:
        bob.tick(now)
        alice.tick(now)
        moved = True
        while moved:
            moved = False
            for source, target in ends.values():
                for data in source.transmits():
                    moved = True
                    if sent != lost:
                        target.receive(data, now)
                    sent += 1
        due = [d for d in (bob.deadline(), alice.deadline()) if d is not None]
        if due:
            now = min(due)
    assert bob.ours == alice.theirs
    assert now <= ms(600)
    assert sent < 20


def test_patience_ends():
    bob, _ = handshakes()
    sent = []
    while (due := bob.deadline()) is not None:
        bob.tick(due)
        sent += [due] * len(bob.transmits())
    assert bob.stage is Stage.FAILED
    assert str(bob.error) == "no DTLS handshake within 5 s"
    assert [each // ms(1) for each in sent] == [0, 200, 600, 1400, 3000]


@given(st.binary(min_size=14, max_size=100), st.sampled_from([20, 21, 22, 23, 25, 63]))
def test_any_bytes_do_no_harm(data, content):
    """Before, during and after; the handshake goes on if it can."""
    noise = bytes([content]) + b"\xfe\xfd\0\0" + data
    for stage in range(3):
        bob, alice = NOISY if stage == 2 else handshakes()
        if stage == 1:
            bob.tick(0)
            alice.receive(bob.transmits()[0], 0)
        for each in (bob, alice):
            each.receive(noise, 0)
            each.transmits()
            assert each.stage in (Stage.UNDER_WAY, Stage.FAILED, Stage.DONE)


NOISY = handshakes()
exchange(*NOISY)


@pytest.mark.parametrize("seed", range(60))
def test_a_spoiled_handshake_raises_nothing(seed):
    """One byte of each datagram is another, or the datagram is cut."""
    rng = Random(seed)
    bob, alice = handshakes()
    bob.tick(0)
    for _ in range(4):
        for source, target in ((bob, alice), (alice, bob)):
            for data in source.transmits():
                at = rng.randrange(13, len(data))
                wrong = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
                target.receive(wrong if rng.random() < 0.7 else data[: max(at, 14)], 0)
                target.receive(data, 0)
    assert {bob.stage, alice.stage} <= set(Stage)
    if bob.stage is alice.stage is Stage.DONE:
        assert bob.ours == alice.theirs


def test_a_handshake_is_active_or_passive():
    with pytest.raises(LocalProtocolError, match="actpass"):
        Handshake(BOBS, Setup.ACTPASS, None)
    with pytest.raises(LocalProtocolError, match="with whom"):
        DtlsSrtp(RtpSession(Role.RECEIVER), Handshake(BOBS, Setup.ACTIVE, None))


# Two, in virtual time ---------------------------------------------------------------------------


class Talk:
    """A sender, a receiver, a link between them, and what happened."""

    def __init__(
        self, *, bob_pins=PIN_ALICE, alice_pins=PIN_BOB, link=None, seed=1, active=Role.RECEIVER
    ) -> None:
        speaks = RtpSession(Role.SENDER, peer=BOB if active is Role.SENDER else None, rng=Random(1))
        listens = RtpSession(Role.RECEIVER, peer=ALICE, rng=Random(2))
        roles = {active: Setup.ACTIVE}
        self.alice = DtlsSrtp(
            speaks, Handshake(ALICES, roles.get(Role.SENDER, Setup.PASSIVE), alice_pins)
        )
        self.bob = DtlsSrtp(
            listens, Handshake(BOBS, roles.get(Role.RECEIVER, Setup.PASSIVE), bob_pins)
        )
        self.sender = Sender(self.alice, Voice(Blank(), silence(50), rng=Random(1)))
        self.receiver = Receiver(self.bob, Blank())
        self.world = World(seed)
        self.world.add(self.sender, ALICE)
        self.world.add(self.receiver, BOB)
        profile = Profile("test", "", "", up=link, down=link) if link else None
        self.world.connect(self.receiver, self.sender, profile)
        self.told: list = []
        self.events: list = []
        self.world.on_event(self.sender, self.told.append)
        self.world.on_event(self.receiver, self.events.append)
        self.world.run(until=seconds(30))

    def heard(self) -> int:
        return sum(isinstance(event, Heard) for event in self.events)


@pytest.mark.parametrize("active", Role)
def test_a_voice_over_dtls_srtp(active):
    talk = Talk(active=active)
    assert talk.heard() >= 50
    assert isinstance(talk.events[-1], Finished)
    assert talk.receiver.closed.clean
    assert talk.alice.refused == talk.bob.refused == 0


def test_a_third_of_all_datagrams_lost():
    done = [Talk(link=LinkSpec(delay=ms(20), loss=0.3), seed=seed) for seed in range(5)]
    assert sum(talk.heard() >= 40 for talk in done) >= 4
    assert all(talk.bob.handshake.stage is Stage.DONE for talk in done)


def test_what_comes_before_the_keys_is_counted_and_changes_nothing():
    bob, alice = handshakes()
    session = DtlsSrtp(RtpSession(Role.RECEIVER, peer=ALICE), bob)
    session.receive_datagram(b"\x80\x6f" + bytes(40), ALICE, 0)
    (event,) = session.events()
    assert isinstance(event.error, AuthenticationError)
    exchange(bob, alice)
    session.tick(0)
    assert (session.refused, session.refusals) == (1, {Reason.NO_KEY: 1})
    session.receive_datagram(b"\x80\x6f" + bytes(40), ALICE, 0)
    assert (session.refused, session.refusals[Reason.FORGED]) == (2, 1)


def test_who_closes_before_the_keys_are_there_is_done():
    bob, _ = handshakes()
    session = DtlsSrtp(RtpSession(Role.RECEIVER, peer=ALICE), bob)
    session.tick(0)
    assert len(session.transmits()) == 1
    session.close(ms(1))
    assert session.closed
    assert session.deadline() is None
    session.tick(seconds(1))
    assert not session.transmits()


def test_the_wrong_server_is_refused_and_heard_of():
    talk = Talk(bob_pins=PIN_EVE)
    assert talk.heard() == 0
    refused, closed = [e for e in talk.events if isinstance(e, Refused | Closed)]
    assert isinstance(refused.error, AuthenticationError)
    assert "not the one that SDP promised" in closed.why
    assert not closed.clean
    assert talk.bob.refused == 1
    assert talk.bob.closed


# Many, through one door -------------------------------------------------------------------------


class House:
    """A server behind its door, and listeners before it."""

    def __init__(self, pins=None, frames=100) -> None:
        self.door = DtlsDoor(ALICES, pins, rng=Random(1))
        voice = Voice(Blank(), silence(frames), rng=Random(1))
        self.server = Server(
            voice,
            lambda address: self.door.protect(RtpSession(Role.SENDER, rng=Random(1)), address),
        )
        self.door.open_to(self.server)
        self.world = World(1)
        self.world.add(self.door, ALICE)
        self.told: list = []
        self.world.on_event(self.door, self.told.append)

    def listener(self, address, identity=BOBS, pins=PIN_ALICE) -> list:
        session = RtpSession(Role.RECEIVER, peer=ALICE, rng=Random(str(address)))
        receiver = Receiver(DtlsSrtp(session, Handshake(identity, Setup.ACTIVE, pins)), Blank())
        self.world.add(receiver, address)
        self.world.connect(receiver, self.door)
        events: list = []
        self.world.on_event(receiver, events.append)
        return events


def test_each_listener_of_a_server_shakes_hands():
    house = House()
    found = [house.listener((f"10.0.1.{n}", 5006)) for n in range(5)]
    house.world.run(until=seconds(8))
    for events in found:
        assert sum(isinstance(event, Heard) for event in events) >= 95
        assert isinstance(events[-1], Finished)
    assert house.door.failed_handshakes == house.door.turned_away == 0
    assert house.door.refusals.total() == 0


def test_who_is_not_pinned_does_not_get_in():
    house = House(pins=PIN_BOB)
    bob, eve = house.listener(BOB), house.listener(EVE, identity=EVES)
    house.world.run(until=seconds(8))
    assert sum(isinstance(event, Heard) for event in bob) >= 95
    assert not any(isinstance(event, Heard) for event in eve)
    assert house.door.failed_handshakes == 1
    assert any(isinstance(event, Refused) for event in house.told)


def test_who_did_not_shake_hands_is_refused():
    house = House()
    house.door.receive_datagram(b"\x80\xc9" + bytes(40), EVE, 0)
    assert house.door.refusals == {Reason.NO_KEY: 1}
    assert house.server.clients == {}


def hello() -> bytes:
    each = Handshake(BOBS, Setup.ACTIVE, None)
    each.tick(0)
    (data,) = each.transmits()
    assert is_client_hello(data)
    return data


def test_a_flood_of_forged_hellos_costs_no_memory():
    """Each is answered by a cookie, in fewer bytes than it had; nothing is remembered."""
    house, data = House(), hello()
    for n in range(2000):
        house.door.receive_datagram(data, (f"10.9.{n // 250}.{n}", n), 0)
        (answer,) = house.door.transmits()
        assert len(answer.data) < len(data)
    assert not house.door._half_open
    assert not house.door._done


def test_a_flood_of_real_addresses_is_bounded_and_who_is_inside_goes_on():
    house = House()
    bob = house.listener(BOB)
    house.world.run(until=seconds(1))
    for n in range(100):
        address = (f"10.8.0.{n}", n)
        each = Handshake(BOBS, Setup.ACTIVE, None)
        each.tick(0)
        for _ in range(2):  # the hello, then the hello with the cookie; and then silence
            for data in each.transmits():
                house.door.receive_datagram(data, address, house.world.now)
            for data, to in house.door.transmits():
                if to == address and is_dtls(data):
                    each.receive(data, 0)
    assert len(house.door._half_open) == dtlsdoor.MOST_HALF_OPEN
    assert house.door.turned_away == 100 - dtlsdoor.MOST_HALF_OPEN
    house.world.wake(house.door)
    house.world.run(until=seconds(8))
    assert not house.door._half_open
    assert house.door.failed_handshakes == dtlsdoor.MOST_HALF_OPEN
    assert sum(isinstance(event, Heard) for event in bob) >= 95


def test_a_cookie_is_of_one_address_and_of_a_short_time():
    def with_cookie(asked_from, shown_from, later):
        door = House().door
        bob = Handshake(BOBS, Setup.ACTIVE, None)
        bob.tick(0)
        door.receive_datagram(bob.transmits()[0], asked_from, 0)
        bob.receive(door.transmits()[0].data, 0)
        door.receive_datagram(bob.transmits()[0], shown_from, later)
        return bool(door._half_open)

    assert with_cookie(BOB, BOB, 0)
    assert with_cookie(BOB, BOB, dtlsdoor.COOKIE_LIFE)
    assert not with_cookie(BOB, EVE, 0)
    assert not with_cookie(BOB, BOB, 3 * dtlsdoor.COOKIE_LIFE)


def test_a_hello_in_a_call_changes_nothing_until_its_handshake_is_done():
    """Forged, it is worth a cookie. True, from a listener who began anew, it brings new keys."""
    house = House(frames=200)
    bob = house.listener(BOB)
    house.world.run(until=seconds(1))
    keys = house.door._done[BOB][0].ours
    house.door.receive_datagram(hello(), BOB, house.world.now)
    house.door.transmits()
    house.world.run(until=seconds(2))
    assert house.door._done[BOB][0].ours == keys
    anew = Handshake(BOBS, Setup.ACTIVE, PIN_ALICE)
    anew.tick(0)
    for _ in range(4):
        for data in anew.transmits():
            house.door.receive_datagram(data, BOB, house.world.now)
        for data, _ in house.door.transmits():
            if is_dtls(data):
                anew.receive(data, 0)
    assert anew.stage is Stage.DONE
    assert house.door._done[BOB][0].theirs == anew.ours
    assert BOB not in house.server.clients
    assert sum(isinstance(event, Heard) for event in bob) >= 45

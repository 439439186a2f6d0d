"""A conversation over QUIC in virtual time."""

import io
from datetime import UTC, datetime

import pytest
from quicparts import (
    ALICE,
    BOB,
    NAME,
    Identity,
    Pair,
    authority,
    clean,
    client_identity,
    cut,
    identity,
    listening,
    lossy,
    mend,
    receiver,
    sender,
    server_identity,
    serving,
)

from labkit.core.session import Closed, Joined, Limits, Received, Refused
from labkit.core.token import Gate, issue
from labkit.endpoints.quic import CONTROL, QuicSession
from labkit.endpoints.quicconnection import float_seconds, not_before
from labkit.endpoints.quicmedia import Carriage
from labkit.endpoints.quictls import (
    ALPN,
    CONTROL_WINDOW,
    ClientCredentials,
    ServerCredentials,
    fingerprint,
    pins,
)
from labkit.endpoints.quicwhy import plain
from labkit.wire.framing import HEADER, Kind, pack
from labkit.words.errors import (
    AuthenticationError,
    BadInput,
    LocalProtocolError,
    RemoteProtocolError,
    WireError,
)
from labkit.words.linkspec import LinkSpec
from labkit.words.packet import Packet
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds

EVERY = list(Carriage)
SECRET = b"sixteen bytes or more"


def sequence(pair: Pair) -> list[int]:
    return [event.packet.seq for event in pair.of(pair.client, Received)]


def ends(pair: Pair) -> tuple[Closed, Closed]:
    (first,), (second,) = pair.of(pair.server, Closed), pair.of(pair.client, Closed)
    return first, second


# Meeting, speaking, parting -----------------------------------------------------------------------


@pytest.mark.parametrize("carriage", EVERY)
def test_a_conversation_from_the_handshake_to_the_goodbye(carriage):
    pair = Pair(sender("v=0\r\n", carriage=carriage), receiver())
    pair.speak(50, start=seconds(1))
    pair.close(pair.server, at=seconds(3))
    pair.run(seconds(10))

    assert pair.of(pair.client, Joined) == [Joined("v=0\r\n")]
    assert sequence(pair) == list(range(50))
    assert pair.of(pair.client, Received)[7].packet.payload == bytes([7]) * 80
    assert ends(pair) == (Closed(True, "us", "closed"), Closed(True, "peer", "BYE"))
    assert pair.server.stats.sent == pair.client.stats.received == 50
    assert pair.server.stats.round_trip == pytest.approx(ms(20), abs=ms(2))
    assert pair.server.over
    assert pair.client.over
    assert pair.client.deadline() is None


def test_each_frame_takes_one_trip_over_a_clean_link():
    """20 ms of delay and nothing else: no carriage adds any."""
    for carriage in EVERY:
        pair = Pair(sender(carriage=carriage), receiver(), clean(20))
        pair.speak(50, start=seconds(1))
        pair.run(seconds(3))
        delays = [
            e.now - seconds(1) - e.packet.seq * ms(20) for e in pair.of(pair.client, Received)
        ]
        assert delays == [ms(20)] * 50


def test_the_receiver_may_leave_first():
    pair = Pair(sender(), receiver())
    pair.speak(50, start=seconds(1))
    pair.close(pair.client, at=ms(1500))
    pair.run(seconds(5))
    assert ends(pair) == (Closed(True, "peer", "BYE"), Closed(True, "us", "closed"))
    assert len(sequence(pair)) == pytest.approx(25, abs=3)


def test_a_signal_of_life_keeps_a_silent_conversation_open():
    pair = Pair(sender(), receiver())
    pair.run(seconds(120))
    assert pair.server.ready
    assert not pair.client.closed


def test_a_peer_that_falls_silent_is_given_up():
    pair = Pair(sender(), receiver())
    pair.run(seconds(2))
    cut(pair.link.up, pair.link.down)
    pair.run(seconds(60))
    why = "nothing heard for 15 s"
    assert ends(pair) == (Closed(False, "us", why), Closed(False, "us", why))


def test_nobody_is_there():
    pair = Pair(sender(), receiver(), lossy(100))
    pair.run(seconds(10))
    assert pair.of(pair.client, Closed) == [Closed(False, "us", "no answer for 5 s")]
    assert pair.of(pair.server) == []


@pytest.mark.parametrize("carriage", EVERY)
@pytest.mark.parametrize("seed", range(4))
def test_one_datagram_in_ten_is_lost(carriage, seed):
    """The handshake, the goodbye, and what is sent again survive; datagrams are gone."""
    pair = Pair(sender(carriage=carriage), receiver(), lossy(10), seed=seed)
    pair.speak(500, start=seconds(2))
    pair.close(pair.server, at=seconds(13))
    pair.run(seconds(30))
    assert pair.of(pair.client, Joined) == [Joined("v=0")]
    assert [event.clean for event in ends(pair)] == [True, True]
    heard = sequence(pair)
    if carriage is Carriage.STREAM:
        assert heard == list(range(500))
    elif carriage is Carriage.STREAMS:
        assert sorted(heard) == list(range(500))
        assert heard != list(range(500))
    else:
        assert 500 - len(heard) == pytest.approx(50, abs=25)
        assert pair.client.stats.lost == pytest.approx(500 - len(heard), abs=2)


def test_virtual_time_gives_the_same_every_time():
    """The bytes are random, as TLS wants them; their number and their times are not."""

    def run() -> list[tuple[int, int, str]]:
        pair = Pair(sender(carriage=Carriage.STREAMS), receiver(), lossy(10), seed=5)
        pair.speak(200, start=seconds(1))
        pair.close(pair.server, at=seconds(6))
        pair.run(seconds(12))
        return [(c.now, len(c.data), c.verdict) for c in pair.tap.sent]

    assert run() == run()


# Time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [0, 10**9, 3 * 10**14, 10**17 + 12_345])
def test_a_deadline_is_never_early(base):
    for step in range(0, 100_000, 977):
        instant = float_seconds(base + step) + 1e-7
        now = not_before(instant)
        assert float_seconds(now) >= instant
        assert float_seconds(now - 32) < instant  # nor late by more than a float can tell


# Tokens -------------------------------------------------------------------------------------------


def admission(token: str) -> tuple[Pair, Gate]:
    """What becomes of a client with this token, in the year 0 of a wallclock at 1000 s."""
    gate = Gate(SECRET, wallclock_offset=seconds(1000))
    pair = Pair(sender(gate=gate), receiver(token=token))
    pair.speak(10, start=seconds(1))
    pair.run(seconds(5))
    return pair, gate


def test_a_good_token():
    pair, gate = admission(issue(SECRET, "bob", 2000))
    assert sequence(pair) == list(range(10))
    assert (gate.admitted, pair.server.subject) == (1, "bob")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "missing"),
        ("let me in", "malformed"),
        (issue(b"another sixteen bytes", "bob", 2000), "wrong"),
        (issue(SECRET, "bob", 999), "expired"),
        ("x" * 1000, "malformed"),
        ("x" * 10_000, "malformed"),
    ],
)
def test_a_token_that_is_not_good_is_refused_at_both_ends(token, reason):
    pair, gate = admission(token)
    assert gate.refused == {reason: 1}
    for end, by in ((pair.server, "us"), (pair.client, "peer")):
        (refused,) = pair.of(end, Refused)
        assert isinstance(refused.error, AuthenticationError)
        assert refused.error.reason in (reason, "authentication")
        assert end.refused == 1
        (closed,) = pair.of(end, Closed)
        assert (closed.clean, closed.by) == (False, by)
        assert str(refused.error) in closed.why
        assert len(token) < 10 or token not in closed.why
    assert sequence(pair) == []


def test_a_megabyte_where_a_token_belongs_is_not_even_sent():
    """Flow control lets a client send `CONTROL_WINDOW` bytes; what it says is judged before."""
    pair = Pair(sender(gate=Gate(SECRET)), client := receiver())
    client._token = "x" * 60_000
    pair.world.run(until=seconds(10))
    from_client = sum(len(c.data) for c in pair.tap.sent if c.source == BOB)
    assert from_client < CONTROL_WINDOW + 8_000
    (refused,) = pair.of(pair.server, Refused)
    assert isinstance(refused.error, AuthenticationError)


def test_no_token_in_any_words():
    token = issue(SECRET, "bob", 999)
    pair, _ = admission(token)
    assert token not in repr([pair.server, pair.client, pair.told, serving(), listening()])


# Certificates -------------------------------------------------------------------------------------


def refusals(server: QuicSession, client: QuicSession) -> tuple[Refused, Refused]:
    pair = Pair(server, client)
    pair.run(seconds(8))
    (first,), (second,) = pair.of(server, Refused), pair.of(client, Refused)
    assert [event.clean for event in ends(pair)] == [False, False]
    assert isinstance(first.error, AuthenticationError)
    assert isinstance(second.error, AuthenticationError)
    return first, second


def test_a_certificate_for_another_name():
    first, second = refusals(sender(), receiver(credentials=listening("bank.example")))
    assert "hostname 'bank.example' doesn't match streamer.lab" in str(second.error)
    assert "refused our certificate" in str(first.error)


def test_addresses_in_a_certificate_are_told_as_people_write_them():
    """What aioquic says of a certificate as `labkit certs make` makes them."""
    said = (
        "hostname 'bank.example' doesn't match either of DNSPattern(pattern=b'localhost'), "
        "IPAddressPattern(pattern=IPv4Address('127.0.0.1')), "
        "IPAddressPattern(pattern=IPv6Address('::1'))"
    )
    names = "hostname 'bank.example' doesn't match either of localhost, 127.0.0.1, ::1"
    assert plain(said) == names


def test_a_certificate_of_an_authority_that_nobody_knows():
    stranger = identity("Another Authority")
    client = receiver(credentials=ClientCredentials(stranger.certificate, NAME))
    _, second = refusals(sender(), client)
    assert "local issuer certificate" in str(second.error)


def test_a_certificate_that_has_expired():
    old = identity(NAME, authority(), until=datetime(2021, 1, 1, tzinfo=UTC))
    server = sender(credentials=ServerCredentials(old.certificate, old.key))
    _, second = refusals(server, receiver())
    assert "no longer valid" in str(second.error)


def pinned(*who: Identity) -> ServerCredentials:
    return serving(pins=frozenset(fingerprint(one.certificate) for one in who))


def test_a_client_whose_certificate_is_pinned():
    bob = client_identity()
    server = sender(credentials=pinned(bob))
    pair = Pair(server, receiver(credentials=listening(shown=bob)))
    pair.run(seconds(2))
    assert pair.of(pair.client, Joined)


@pytest.mark.parametrize("shown", [None, server_identity()])
def test_a_client_that_is_not_pinned(shown):
    server = sender(credentials=pinned(client_identity()))
    first, second = refusals(server, receiver(credentials=listening(shown=shown)))
    assert str(first.error).startswith("the client shows ")
    assert "does not know our certificate" in str(second.error)
    assert first.error.reason == second.error.reason == "certificate"


def test_a_client_with_a_copied_certificate_lacks_the_key():
    """The certificate is public: the handshake proves the key (RFC 8446 section 4.4.3)."""
    bob, thief = client_identity(), identity("thief", authority())
    client = receiver(
        credentials=ClientCredentials(authority().certificate, NAME, bob.certificate, thief.key)
    )
    pair = Pair(sender(credentials=pinned(bob)), client)
    pair.run(seconds(8))
    assert not pair.server.ready
    assert pair.of(pair.server, Joined) == []
    assert "decrypt error" in str(pair.of(pair.server, Refused)[0].error)


def test_a_server_without_pins_asks_for_nothing():
    pair = Pair(sender(), receiver(credentials=listening(shown=client_identity())))
    pair.run(seconds(2))
    assert pair.of(pair.client, Joined)
    assert pair.server._connection.peer_fingerprint is None


def test_fingerprints_as_openssl_prints_them():
    (same,) = pins(["AB:" * 31 + "cd"])
    assert same == "ab" * 31 + "cd"
    with pytest.raises(BadInput, match="no SHA-256"):
        pins(["abcd"])


def test_what_is_no_certificate_is_bad_input():
    with pytest.raises(BadInput, match="no certificate"):
        sender(credentials=ServerCredentials(b"nonsense", server_identity().key))
    with pytest.raises(BadInput, match="no private key"):
        sender(credentials=ServerCredentials(server_identity().certificate, b"nonsense"))
    with pytest.raises(BadInput, match="no certificate"):
        receiver(credentials=ClientCredentials(b"nonsense", NAME))


def test_the_key_is_in_no_repr():
    assert b"PRIVATE" not in repr(serving()).encode()
    assert "PRIVATE" not in repr(listening(shown=client_identity()))


# Bounds -------------------------------------------------------------------------------------------


def narrow(rate: int) -> Profile:
    """So many bits a second towards the listener, and a queue of ten packets."""
    fast = LinkSpec(delay=ms(20))
    return Profile("narrow", "a test", "chosen", fast, LinkSpec(delay=ms(20), rate=rate, limit=10))


@pytest.mark.parametrize("carriage", EVERY)
def test_a_full_wire_fills_no_memory(carriage):
    """800 kbit/s of sound into 64 kbit/s: the oldest goes, and what is kept stays bounded."""
    limits = Limits(queue=20)
    pair = Pair(sender(carriage=carriage, limits=limits), receiver(limits=limits), narrow(64_000))
    pair.speak(1000, start=seconds(1), every=ms(10), size=1000)
    most = 0

    def look(now: int) -> None:
        nonlocal most
        connection = pair.server._connection
        held = sum(len(s.sender._buffer) for s in connection._streams.values())
        most = max(most, held + sum(map(len, connection._datagrams_pending)))
        assert len(pair.server.queue) <= 20
        assert len(connection._streams) <= 2 * 20
        pair.world.at(now + ms(50), lambda: look(now + ms(50)))

    pair.world.at(seconds(1), lambda: look(seconds(1)))
    pair.run(seconds(13))
    assert pair.server.stats.dropped > 500
    assert most < 100_000
    assert sequence(pair)[-1] > 900  # the newest is what is heard


def test_a_stale_frame_is_given_up():
    pair = Pair(sender(carriage=Carriage.STREAMS), receiver())
    pair.speak(5, start=seconds(1))
    pair.run(seconds(2))
    cut(pair.link.down)
    pair.speak(5, start=seconds(2))
    pair.run(ms(4500))
    mend(pair.link.down)
    pair.speak(5, start=ms(4500))
    pair.run(seconds(9))
    assert pair.server.abandoned == 5
    assert len(sequence(pair)) == 10


def test_a_packet_that_fits_into_no_datagram():
    pair = Pair(sender(), receiver())
    pair.run(seconds(1))
    with pytest.raises(LocalProtocolError, match="over a stream"):
        pair.server.send(Packet(0, 0, bytes(1200)), pair.world.now)
    pair.server.send(Packet(0, 0, bytes(1100)), pair.world.now)
    pair.world.wake(pair.server)
    pair.run(seconds(2))
    assert len(pair.of(pair.client, Received)) == 1


def test_a_large_packet_over_a_stream():
    pair = Pair(sender(carriage=Carriage.STREAM), receiver())
    pair.run(seconds(1))
    pair.server.send(Packet(0, 0, bytes(3840)), pair.world.now)
    pair.world.wake(pair.server)
    pair.run(seconds(2))
    (received,) = pair.of(pair.client, Received)
    assert len(received.packet.payload) == 3840


def test_send_before_anybody_came():
    with pytest.raises(LocalProtocolError, match="cannot send"):
        sender().send(Packet(0, 0, b""), 0)


def test_credentials_of_the_other_end():
    with pytest.raises(LocalProtocolError, match="ServerCredentials"):
        sender(credentials=listening())


# A peer that breaks the rules ---------------------------------------------------------------------


def say(pair: Pair, who: QuicSession, what: str, *arguments: object, **more: object) -> None:
    """Let one end's QUIC do what our session never would."""
    pair.run(seconds(1))
    getattr(who._connection, what)(*arguments, **more)
    who._change(pair.world.now)
    pair.world.wake(who)
    pair.run(seconds(3))


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("send_datagram_frame", (b"sound",)),
        ("send_stream_data", (2, b"sound")),
        ("send_stream_data", (4, b"another control stream")),
        ("send_stream_data", (CONTROL, pack(Packet(0, 0, b"v=0"), Kind.DESCRIPTION))),
        ("send_stream_data", (CONTROL, pack(Packet(0, 0, b"sound"), Kind.MEDIA))),
        ("reset_stream", (CONTROL, 1)),
    ],
)
def test_a_client_at_a_wrong_moment_is_refused(what, arguments):
    pair = Pair(sender(), receiver())
    say(pair, pair.client, what, *arguments)
    (refused,) = pair.of(pair.server, Refused)
    assert isinstance(refused.error, RemoteProtocolError)
    assert [end.by for end in ends(pair)] == ["us", "peer"]
    assert pair.of(pair.client, Refused)


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("send_datagram_frame", (b"short",)),
        ("send_datagram_frame", (pack(Packet(0, 0, b""), Kind.BYE),)),
        ("send_stream_data", (3, b"\xff" * HEADER.size)),
        ("send_stream_data", (CONTROL, b"\xff" * HEADER.size)),
    ],
)
def test_bytes_that_cannot_be_read_end_it(what, arguments):
    pair = Pair(sender(), receiver())
    say(pair, pair.server, what, *arguments)
    (refused,) = pair.of(pair.client, Refused)
    assert isinstance(refused.error, WireError)
    assert [end.by for end in ends(pair)] == ["peer", "us"]


def test_a_reader_that_stops_reading():
    pair = Pair(sender(carriage=Carriage.STREAM), receiver())
    pair.speak(5, start=ms(500))
    say(pair, pair.client, "stop_stream", 3, 7)
    pair.speak(5, start=seconds(4))
    pair.run(seconds(5))
    assert "will not read" in pair.of(pair.server, Closed)[0].why


def test_bytes_behind_a_gap_are_bounded():
    """A sender that leaves the first byte out and fills the window, again and again."""
    pair = Pair(sender(carriage=Carriage.STREAM), receiver())
    pair.run(seconds(1))
    connection = pair.server._connection
    connection.send_stream_data(3, bytes(3_000_000))
    stream = connection._streams[3]
    stream.sender._pending.subtract(0, 1)
    pair.server._change(pair.world.now)
    pair.world.wake(pair.server)
    most = 0

    def look() -> None:
        nonlocal most
        kept = pair.client._connection._streams.get(3)
        most = max(most, 0 if kept is None else len(kept.receiver._buffer))
        if not pair.client.closed:
            pair.world.at(pair.world.now + ms(5), look)

    pair.world.at(pair.world.now, look)
    pair.run(seconds(30))
    (refused,) = pair.of(pair.client, Refused)
    assert "behind gaps" in str(refused.error)
    assert most < 300_000


def test_a_goodbye_that_is_lost_is_said_again():
    """Whoever closed answers those who still speak (RFC 9000 section 10.2.1)."""
    pair = Pair(sender(), receiver())
    pair.run(seconds(1))
    pair.client._hang_up(0, "", pair.world.now)
    pair.client._end(clean=True, by="us", why="gone")
    lost = pair.client.transmits()
    assert lost
    pair.speak(20, start=ms(1100))
    pair.run(seconds(3))
    assert pair.of(pair.server, Closed) == [Closed(True, "peer", "BYE")]


def test_the_key_log_and_the_name_of_the_protocol():
    log = io.StringIO()
    pair = Pair(sender(), receiver(key_log=log))
    pair.run(seconds(1))
    assert {line.split()[0] for line in log.getvalue().splitlines()} >= {
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_TRAFFIC_SECRET_0",
    }
    assert pair.client._connection.tls.alpn_negotiated == ALPN == "labkit-voice/1"
    assert pair.client.peer == ALICE


def test_a_fault_in_the_parser_of_others_ends_one_conversation(monkeypatch):
    """aioquic has raised on strange bytes before; the server and all others go on."""
    pair = Pair(sender(), receiver())
    pair.run(seconds(1))

    def broken(*_: object, **__: object) -> None:
        raise IndexError("a fault of its own")

    monkeypatch.setattr(pair.server._connection, "_payload_received", broken)
    pair.run(seconds(4))
    (refused,) = pair.of(pair.server, Refused)
    assert "IndexError" in str(refused.error)
    assert "of its own" not in str(refused.error)  # the peer is told this too
    assert [end.clean for end in ends(pair)] == [False, False]

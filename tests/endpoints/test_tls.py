"""TLS as a layer, alone and under WebSocket: who is let in, what is told, what is cut."""

import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layerparts import (
    PACKETS,
    SDP,
    TOKEN,
    Conversation,
    assert_all_is_said,
    carry,
    folders,
    gate,
    receiver,
    refusals,
    sender,
)

from labkit.core.session import Closed, Joined, Limits, Received, Refused
from labkit.endpoints.layer import MAX_HELD, Stage
from labkit.endpoints.tls import MAX_HANDSHAKE, Tls, plain_fingerprint
from labkit.endpoints.websocket import WebSocket
from labkit.live.certs import client_context, fingerprint, pinned_context, server_context
from labkit.words.errors import (
    AuthenticationError,
    BadInput,
    LocalProtocolError,
    RemoteProtocolError,
)
from labkit.words.machine import StreamMachine
from labkit.words.units import ms, seconds


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    return folders(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def theirs(at):
    """The context of a client that trusts our authority."""
    return client_context(at("ours") / "ca.pem")


def server_of(folder, **options) -> ssl.SSLContext:
    return server_context(folder / "server.pem", folder / "server-key.pem", **options)


@pytest.fixture(scope="module")
def ours(at):
    return server_of(at("ours"))


@pytest.fixture(scope="module")
def strict(at):
    """The context of a server that asks for the client's certificate."""
    return server_of(at("ours"), clients=at("ours") / "ca.pem")


def of_client(at, folder, name):
    """The context of a client that shows a certificate."""
    certificate, key = at(folder) / f"{name}.pem", at(folder) / f"{name}-key.pem"
    return client_context(at("ours") / "ca.pem", certificate=certificate, key=key)


def pin(at, name):
    return fingerprint((at("ours") / f"{name}.pem").read_bytes())


def server(context, **options) -> Tls:
    return Tls(sender(), context, **options)


def client(context, server_name="localhost", **options) -> Tls:
    return Tls(receiver(), context, server_name=server_name, **options)


# Those who may


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_a_conversation_under_each_name_of_the_server(ours, theirs, name):
    left, right = server(ours), client(theirs, name)
    assert isinstance(left, StreamMachine)
    talk = Conversation(left, right)
    talk.run(ms(100))
    assert left._tls.version() == right._tls.version() == "TLSv1.3"
    talk.speak()
    assert_all_is_said(talk)


def test_under_websocket_with_a_token(ours, theirs):
    left = Tls(WebSocket(sender(), gate=gate()), ours)
    right = Tls(WebSocket(receiver(), token=TOKEN), theirs, server_name="localhost")
    talk = Conversation(left, right)
    talk.run(ms(100))
    talk.speak()
    assert_all_is_said(talk)


@pytest.mark.parametrize("cut", [1, 5, 1000])
def test_however_the_bytes_are_cut(ours, theirs, cut):
    left, right = server(ours), client(theirs)
    for end in (left, right):
        end.tick(0)
    carry(left, right, cut=cut)
    for packet in PACKETS:
        left.send(packet, 0)
    carry(left, right, cut=cut)
    assert [e.packet for e in right.events() if isinstance(e, Received)] == PACKETS


def test_nothing_of_it_can_be_read_on_the_way(ours, theirs):
    left, right = server(ours), client(theirs)
    for end in (left, right):
        end.tick(0)
    carry(left, right)
    left.send(PACKETS[7], 0)
    (record,) = left.transmits()
    assert PACKETS[7].payload[:8] not in record
    assert record[:3] == b"\x17\x03\x03"  # application data: RFC 8446 section 5.2


def test_a_pinned_client_and_a_pinned_server(at, strict):
    left = server(strict, pins=[pin(at, "alice"), pin(at, "bob")])
    certificate, key = at("ours") / "alice.pem", at("ours") / "alice-key.pem"
    context = pinned_context(certificate=certificate, key=key)
    right = client(context, None, pins=[pin(at, "server").upper()])
    talk = Conversation(left, right)
    talk.run(ms(100))
    assert left.fingerprint == pin(at, "alice")
    assert right.fingerprint == pin(at, "server")
    talk.speak()
    assert_all_is_said(talk)


# Those who may not


@pytest.mark.parametrize(
    ("folder", "name", "mine", "told"),
    [
        ("ours", "example.org", "does not accept our certificate", "is for another name"),
        ("ours", "10.1.2.3", "does not accept our certificate", "is for another address"),
        ("theirs", "localhost", "does not trust the authority", "authority that is not trusted"),
    ],
)
def test_a_server_that_is_not_who_it_should_be(at, theirs, folder, name, mine, told):
    here, there = refusals(server(server_of(at(folder))), client(theirs, name))
    for error, words in ((here, mine), (there, told)):
        assert isinstance(error, AuthenticationError)
        assert error.reason == "certificate"
        assert words in str(error)
    assert f"the server {name} is refused" in str(there)


def test_a_certificate_of_yesterday(at):
    here, there = refusals(
        server(server_of(at("past"))), client(client_context(at("past") / "ca.pem"))
    )
    assert str(here) == "the other end says that our certificate has expired"
    assert str(there) == "the server localhost is refused: its certificate has expired"


def test_a_client_without_a_certificate(strict, theirs):
    here, there = refusals(server(strict), client(theirs))
    assert str(here) == "the client has no certificate"
    assert str(there) == "the server wants a certificate of ours"
    assert here.reason == there.reason == "certificate"


@pytest.mark.parametrize(
    ("folder", "name", "mine", "told"),
    [
        ("theirs", "eve", "authority that is not trusted", "does not trust the authority of our"),
        ("ours", "server", "is for another purpose", "our certificate is for another purpose"),
    ],
)
def test_a_client_with_a_certificate_of_no_use(at, strict, folder, name, mine, told):
    here, there = refusals(server(strict), client(of_client(at, folder, name)))
    assert mine in str(here)
    assert told in str(there)
    assert isinstance(there, AuthenticationError)


def test_an_unpinned_client(at, strict):
    """It is from our authority, and still not one of those that were named."""
    here, there = refusals(
        server(strict, pins=[pin(at, "bob")]), client(of_client(at, "ours", "alice"))
    )
    assert str(here) == "the client's certificate is not pinned"
    assert here.reason == "pin"
    assert "perhaps it does not know us" in str(there)
    assert isinstance(there, AuthenticationError)


def test_a_server_with_another_fingerprint(at, ours):
    here, there = refusals(server(ours), client(pinned_context(), None, pins=[pin(at, "bob")]))
    assert here is None  # all that it sees is a client that leaves
    assert (str(there), there.reason) == ("the server's certificate is not pinned", "pin")


def test_who_speaks_no_tls_is_told_apart(ours, theirs):
    for data, words in [
        (b"GET / HTTP/1.1\r\n\r\n", "the client speaks HTTP without TLS"),
        (b"\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00", "the other end speaks no TLS"),
    ]:
        machine = server(ours)
        machine.receive_data(data, 0)
        assert machine.events()[-1].why == words
    machine = client(theirs)
    machine.tick(0)
    machine.receive_data(b"HTTP/1.1 400 Bad Request\r\n", 1)
    assert isinstance(machine.events()[0].error, RemoteProtocolError)


def test_a_client_of_tls_1_2_is_refused(ours, at):
    old = client_context(at("ours") / "ca.pem")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    other = old.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        other.do_handshake()
    machine = server(ours)
    machine.receive_data(outgoing.read(), 0)
    incoming.write(b"".join(machine.transmits()))
    assert machine.events()[-1].why == "the other end speaks no TLS 1.3"
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        other.do_handshake()


def test_a_context_that_would_let_anybody_in_is_a_mistake_of_ours(ours, theirs):
    for make in [
        lambda: client(pinned_context(), None),
        lambda: client(theirs, None),
        lambda: server(ours, pins=["0" * 64]),
        lambda: server(ours, pins=["beef"]),
        lambda: server(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)),
    ]:
        with pytest.raises(LocalProtocolError):
            make()
    with pytest.raises(BadInput, match="no name of a server"):
        client(theirs, ".example.org")
    assert plain_fingerprint("AB:" * 31 + "AB") == "ab" * 32


# The end, and those who mean no good


def open_pair(ours, theirs, **options) -> tuple[Tls, Tls]:
    left = Tls(sender(**options), ours)
    right = client(theirs)
    for end in (left, right):
        end.tick(0)
    carry(left, right)
    assert left.events() == right.events() == [Joined(SDP)]
    return left, right


def test_a_cut_is_told_from_an_end(ours, theirs):
    """Who can cut the wire could otherwise end a sentence early, unseen: section 6.1."""
    left, right = open_pair(ours, theirs)
    left.send(PACKETS[0], 1)
    carry(left, right)
    right.receive_eof(2)
    words = "cut off: the connection ended without a close_notify of TLS"
    assert right.events()[-1] == Closed(False, "peer", words)
    left, right = open_pair(ours, theirs)
    left._goodbye()
    for data in left.transmits():
        right.receive_data(data, 2)
    assert right.events() == [Closed(False, "peer", "the stream ended without BYE")]
    assert len(right.transmits()) == 1  # its own close_notify
    assert right.wants_close


def test_bye_is_as_good_as_close_notify(ours, theirs):
    left, right = open_pair(ours, theirs)
    left.inner.close(1)
    data = b"".join(left.inner.transmits())
    left._wrap([data])
    for record in left._out:
        right.receive_data(record, 1)
    right.receive_eof(2)
    assert right.events() == [Closed(True, "peer", "BYE, and the stream ended")]


def test_a_record_that_was_changed_is_refused(ours, theirs):
    left, right = open_pair(ours, theirs)
    left.send(PACKETS[0], 1)
    record = bytearray(b"".join(left.transmits()))
    record[-1] ^= 1
    right.receive_data(bytes(record), 1)
    refused, closed = right.events()
    assert str(refused.error) == "a record was changed on its way" == closed.why
    assert right.refused == 1


def test_a_handshake_that_stays_half_open_is_dropped(ours, theirs):
    for machine in (server(ours), client(theirs)):
        machine.tick(0)
        machine.transmits()
        assert machine.deadline() == seconds(5)
        machine.tick(seconds(5))
        refused, closed = machine.events()
        assert closed.why == str(refused.error) == "no handshake of TLS for 5 s"
        assert machine.wants_close


def test_a_handshake_without_end_is_dropped(ours):
    """Bytes that stay incomplete for ever: a certificate of a megabyte, say."""
    machine = server(ours)
    machine.tick(0)
    for _ in range(200):
        machine.receive_data(b"\x16\x03\x01\x40\x00" + b"\x01\x00\xff\xff" + bytes(16380), 0)
    assert machine.stage is Stage.DONE
    assert machine.refused == 1
    assert machine._taken <= MAX_HANDSHAKE + 20_000


def test_a_full_wire_holds_media_back_and_nothing_grows(ours, theirs):
    left, right = open_pair(ours, theirs, limits=Limits(queue=3))
    left.pause_writing()
    for n in range(5000):
        left.send(PACKETS[n % 10], n)
        assert left.transmits() == ()
    assert (len(left.queue), left.stats.dropped) == (3, 4997)
    assert left._outgoing.pending == left._incoming.pending == left._held == 0
    left.resume_writing()
    carry(left, right)
    assert len([e for e in right.events() if isinstance(e, Received)]) == 3
    assert left._held < MAX_HELD


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=100), st.sampled_from(["tick", "eof", "close"])), max_size=8
    ),
    st.booleans(),
)
def test_it_survives_whatever_comes(ours, theirs, steps, is_open):
    machine = open_pair(ours, theirs)[0] if is_open else server(ours)
    told = []
    for now, step in enumerate(steps):
        match step:
            case "tick":
                machine.tick(seconds(now))
            case "eof":
                machine.receive_eof(seconds(now))
            case "close":
                machine.close(seconds(now))
            case data:
                machine.receive_data(data, seconds(now))
        machine.transmits()
        told += machine.events()
    kinds = [type(event) for event in told]
    assert kinds.count(Closed) == int(machine.closed)
    assert kinds.count(Refused) == machine.refused <= 1


# Virtual time


def test_with_even_signatures_every_run_has_as_many_bytes(at):
    """Keys are drawn by chance, lengths are not: so a seed decides when each byte arrives."""
    even = server_of(at("even"))
    theirs = client_context(at("even") / "ca.pem")
    lengths = set()
    for _ in range(10):
        left, right = server(even), client(theirs)
        for end in (left, right):
            end.tick(0)
        left.tick(0)
        sizes = []
        for _ in range(4):
            for one, other in ((right, left), (left, right)):
                for data in one.transmits():
                    sizes.append(len(data))
                    other.receive_data(data, 0)
        lengths.add(tuple(sizes))
    assert len(lengths) == 1

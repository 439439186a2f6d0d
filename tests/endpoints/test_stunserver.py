"""STUN servers: what they answer, what they do not, and that they amplify nothing."""

import asyncio

import pytest
from aioice import stun as aioice
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.stunclient import Answered, StunClient
from labkit.endpoints.stunserver import BehaviourServer, StunServer
from labkit.live.clock import now
from labkit.live.udp import open_udp
from labkit.wire.stun import Attribute, Change, Class, ErrorCode, Message, pack, unpack
from labkit.words.machine import DatagramMachine
from labkit.words.routed import RoutedMachine

CLIENT, CLIENT6 = ("198.51.100.1", 5004), ("2001:db8::1", 5004)
ID = bytes(range(12))
IP_UDP = 20 + 8
"""Bytes of headers around a datagram."""


def ask(*attributes, kind: Class = Class.REQUEST, **options) -> bytes:
    return pack(Message(kind, ID, attributes, **options))


def test_it_is_a_machine_without_a_clock():
    server = StunServer()
    assert isinstance(server, DatagramMachine)
    server.tick(1)
    assert server.deadline() is None
    assert server.events() == []


@pytest.mark.parametrize("source", [CLIENT, CLIENT6])
def test_it_says_where_the_request_came_from(source):
    server = StunServer()
    server.receive_datagram(ask(), source, 0)
    ((data, destination),) = server.transmits()
    assert destination == source
    assert unpack(data) == Message(Class.SUCCESS, ID, ((Attribute.XOR_MAPPED_ADDRESS, source),))
    assert server.transmits() == []
    assert (server.answered, server.refused) == (1, 0)


def test_what_it_must_understand_and_does_not_it_names():
    """Section 6.3.1: error 420, and the list."""
    server = StunServer()
    server.receive_datagram(ask((0x0024, b"\x6e\0\1\xff"), (0x0025, b""), (0x8029, b"")), CLIENT, 0)
    message = unpack(server.transmits()[0].data)
    assert message.kind is Class.ERROR
    assert message.get(Attribute.ERROR_CODE) == ErrorCode(420)
    assert message.get(Attribute.UNKNOWN_ATTRIBUTES) == (0x0024, 0x0025)


def test_credentials_and_optional_attributes_do_no_harm():
    server = StunServer()
    said = ((Attribute.USERNAME, "ann"), (Attribute.SOFTWARE, "labkit"))
    server.receive_datagram(pack(Message(Class.REQUEST, ID, said), key=b"key"), CLIENT, 0)
    assert unpack(server.transmits()[0].data).mapped == CLIENT


def test_a_fingerprint_is_answered_by_a_fingerprint():
    server = StunServer()
    server.receive_datagram(ask(fingerprint=True), CLIENT, 0)
    assert unpack(server.transmits()[0].data).fingerprint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"noise",
        ask(kind=Class.INDICATION),
        ask((Attribute.XOR_MAPPED_ADDRESS, CLIENT), kind=Class.SUCCESS),
        ask((Attribute.ERROR_CODE, ErrorCode(420)), kind=Class.ERROR),
        ask(method=3),
        ask()[:-1],
        ask(fingerprint=True)[:-1] + b"!",
    ],
)
def test_what_is_no_request_is_never_answered(data):
    """So two servers whose addresses are forged into one another's requests fall silent."""
    server = StunServer()
    server.receive_datagram(data, CLIENT, 0)
    assert server.transmits() == []
    assert (server.answered, server.refused) == (0, 1)


def test_an_address_that_stun_cannot_write_is_not_answered():
    server = StunServer()
    server.receive_datagram(ask(), "alice", 0)
    assert server.transmits() == []
    assert server.refused == 1


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=5)), max_size=12))
def test_an_answer_is_hardly_larger_than_its_request(attributes):
    """With its headers at most a quarter larger: for a forged source not worth the trouble."""
    request = pack(Message(Class.REQUEST, ID))
    for number, value in attributes:
        request += number.to_bytes(2) + len(value).to_bytes(2) + value + bytes(-len(value) % 4)
    request = request[:2] + (len(request) - 20).to_bytes(2) + request[4:]
    server = StunServer()
    server.receive_datagram(request, CLIENT, 0)
    out = server.transmits()
    assert sum(len(d.data) + IP_UDP for d in out) <= 1.25 * (len(request) + IP_UDP)


@given(st.binary(max_size=80))
def test_any_bytes_are_harmless(data):
    for server in (StunServer(), BehaviourServer(("203.0.113.1", "203.0.113.2"))):
        if isinstance(server, StunServer):
            server.receive_datagram(data, CLIENT, 0)
        else:
            server.receive_routed(data, CLIENT, ("203.0.113.1", 3478), 0)
        server.transmits()


# RFC 5780 --------------------------------------------------------------------------------------

HOSTS, PORTS = ("203.0.113.1", "203.0.113.2"), (3478, 3479)


@pytest.mark.parametrize(
    ("change", "origin"),
    [
        (Change.NOTHING, (HOSTS[0], 3478)),
        (Change.PORT, (HOSTS[0], 3479)),
        (Change.ADDRESS, (HOSTS[1], 3478)),
        (Change.ADDRESS | Change.PORT, (HOSTS[1], 3479)),
    ],
)
def test_the_answer_comes_from_where_it_was_asked_to(change, origin):
    server = BehaviourServer(HOSTS)
    assert isinstance(server, RoutedMachine)
    server.receive_routed(ask((Attribute.CHANGE_REQUEST, change)), CLIENT, (HOSTS[0], 3478), 0)
    ((data, source, destination),) = server.transmits()
    assert (source, destination) == (origin, CLIENT)
    message = unpack(data)
    assert message.mapped == CLIENT
    assert message.get(Attribute.RESPONSE_ORIGIN) == origin
    assert message.get(Attribute.OTHER_ADDRESS) == (HOSTS[1], 3479)


def test_each_of_its_addresses_has_an_opposite():
    server = BehaviourServer(HOSTS)
    for host in (0, 1):
        for port in (0, 1):
            server.receive_routed(ask(), CLIENT, (HOSTS[host], PORTS[port]), 0)
            ((data, source, _),) = server.transmits()
            assert source == (HOSTS[host], PORTS[port])
            opposite = (HOSTS[1 - host], PORTS[1 - port])
            assert unpack(data).get(Attribute.OTHER_ADDRESS) == opposite


def test_what_is_not_for_it_is_not_answered():
    server = BehaviourServer(HOSTS)
    server.receive_routed(ask(), CLIENT, ("203.0.113.9", 3478), 0)
    server.receive_routed(ask(), CLIENT, (HOSTS[0], 80), 0)
    assert server.transmits() == []


def test_without_the_other_addresses_a_change_cannot_be_asked_for():
    server = StunServer()
    server.receive_datagram(ask((Attribute.CHANGE_REQUEST, Change.PORT)), CLIENT, 0)
    assert unpack(server.transmits()[0].data).get(Attribute.UNKNOWN_ATTRIBUTES) == (3,)


# On real sockets -------------------------------------------------------------------------------


@pytest.mark.live
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_client_and_server_on_loopback(host):
    """The client learns the address of its own socket."""

    async def main():
        server = await open_udp(StunServer(), host=host)
        client, answered = StunClient(), asyncio.get_running_loop().create_future()
        endpoint = await open_udp(client, host=host, on_event=answered.set_result)
        client.ask(server.address, now())
        endpoint.turn()
        event = await asyncio.wait_for(answered, 5)
        assert isinstance(event, Answered)
        assert event.mapped == endpoint.address
        endpoint.close()
        server.close()

    try:
        asyncio.run(main())
    except Exception as error:
        if host == "::1" and "cannot receive" in str(error):
            pytest.skip("no IPv6 here")
        raise


@pytest.mark.live
def test_aioice_learns_its_address_from_our_server():
    """A client that we did not write."""

    class Client(asyncio.DatagramProtocol):
        def __init__(self):
            self.came = asyncio.get_running_loop().create_future()

        def datagram_received(self, data, addr):
            self.came.set_result(aioice.parse_message(data))

    async def main():
        server = await open_udp(StunServer())
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            Client, remote_addr=server.address
        )
        request = aioice.Message(aioice.Method.BINDING, aioice.Class.REQUEST)
        transport.sendto(bytes(request))
        response = await asyncio.wait_for(protocol.came, 5)
        assert response.message_class is aioice.Class.RESPONSE
        assert response.transaction_id == request.transaction_id
        assert response.attributes["XOR-MAPPED-ADDRESS"] == transport.get_extra_info("sockname")
        transport.close()
        server.close()

    asyncio.run(main())

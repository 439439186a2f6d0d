"""Our own datagram header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.wire import minirtp
from labkit.wire.framing import Kind
from labkit.words.errors import LocalProtocolError, Malformed, Truncated
from labkit.words.packet import Packet


def test_the_bytes_are_those_of_the_diagram():
    packet = Packet(seq=0x0102, timestamp=0x03040506, payload=b"abc")
    data = bytes.fromhex("01 03 0102 03040506 616263")
    assert minirtp.pack(packet, Kind.BYE) == data
    assert minirtp.unpack(data) == (Kind.BYE, packet)


@given(
    st.sampled_from(Kind), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.binary(max_size=9)
)
def test_every_legal_datagram_comes_back(kind, seq, timestamp, payload):
    packet = Packet(seq, timestamp, payload)
    assert minirtp.unpack(minirtp.pack(packet, kind)) == (kind, packet)


@pytest.mark.parametrize(
    ("data", "error", "field", "offset"),
    [
        ("", Truncated, "header", 0),
        ("01 00 0000 000000", Truncated, "header", 0),
        ("80 00 0000 00000000", Malformed, "ver", 0),
        ("01 04 0000 00000000", Malformed, "kind", 1),
    ],
)
def test_an_illegal_datagram_is_refused_by_the_name_of_the_field(data, error, field, offset):
    with pytest.raises(error) as caught:
        minirtp.unpack(bytes.fromhex(data))
    assert (caught.value.field, caught.value.offset) == (field, offset)


@pytest.mark.parametrize("packet", [Packet(65_536, 0, b""), Packet(0, -1, b"")])
def test_a_packet_that_does_not_fit_is_the_callers_mistake(packet):
    with pytest.raises(LocalProtocolError):
        minirtp.pack(packet)

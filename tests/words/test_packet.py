"""A packet prints itself, and is a value."""

import pytest

from labkit.words.packet import Packet


def test_it_says_what_one_looks_for_in_a_log():
    packet = Packet(7, 960, bytes.fromhex("deadbeef00"), True, 111, 1)
    assert str(packet) == "#7 ts=960 pt=111 M [5 bytes: de ad be ef …]"


def test_a_short_payload_is_shown_whole():
    assert str(Packet(0, 0, b"\x01")) == "#0 ts=0 pt=0 [1 bytes: 01]"


def test_it_is_a_value():
    packet = Packet(1, 2, b"three")
    assert packet == Packet(1, 2, b"three", marker=False, payload_type=0, ssrc=0)
    assert packet._replace(seq=2).payload is packet.payload
    with pytest.raises(AttributeError):
        packet.seq = 2

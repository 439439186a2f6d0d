"""A header of our own in a real call: with the kit's functions nothing changes."""

import struct

import pytest

from labkit.codec import Pcmu
from labkit.lab.call import Call
from labkit.lab.ownheader import OwnHeader
from labkit.lab.sources import speech
from labkit.wire import rtp
from labkit.words.errors import Malformed
from labkit.words.packet import Packet
from labkit.words.units import seconds

KIT = OwnHeader(rtp.pack, rtp.parse)


def call(**more):
    return Call(speech(2), codec=Pcmu(), link="voip-5", seed=3, **more).simulate(capture=True)


def test_with_the_kits_own_functions_every_byte_is_the_same():
    plain, mine = call(), call(header=KIT)
    assert mine.tap.sent == plain.tap.sent
    assert (mine.audio == plain.audio).all()


def test_another_header_goes_on_the_wire_and_comes_back():
    def pack(packet):
        return struct.pack("!IHIB", 7, packet.seq, packet.timestamp, 0) + packet.payload

    def unpack(data):
        _, seq, timestamp, _ = struct.unpack("!IHIB", data[:11])
        return (Packet(seq, timestamp, data[11:], ssrc=7),)

    mine = call(header=OwnHeader(pack, unpack))
    media = [each.data for each in mine.tap.sent if each.data[:4] == b"\0\0\0\7"]
    assert len(media) == 100
    assert mine.stoi > 0.8


def test_what_it_refuses_is_counted_and_what_is_a_mistake_is_raised():
    def refuses(data):
        raise Malformed("V", 0, "no")

    assert call(header=OwnHeader(rtp.pack, refuses)).unheard == 1
    with pytest.raises(KeyError):
        call(header=OwnHeader(rtp.pack, {}.__getitem__))


def test_reports_as_often_as_asked():
    often = call(rtcp_interval=seconds(0.5)).reports
    assert len([each for each in often if each.ours]) > len(call().reports)

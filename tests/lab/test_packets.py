"""Packets that are made by hand: cut by IP, made by somebody else, moved by sliders, side by side.

How a datagram is cut is held against scapy's `fragment`, and a capture of the kernel's.
"""

import os

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP, fragment
from scapy.packet import Raw

from labkit.codec.pcm import Pcm
from labkit.core.delaypolicy import Fixed
from labkit.core.packetizer import MAX_PAYLOAD
from labkit.core.timeline import Fate
from labkit.lab.call import Call
from labkit.lab.captures import capture
from labkit.lab.fragments import MOST, Fragmented, chance, cut, pieces, sizes
from labkit.lab.links import link
from labkit.lab.packetlab import PacketLab
from labkit.lab.packets import PacketCall, SamplePacketizer
from labkit.lab.sidebyside import side_by_side
from labkit.lab.sources import speech
from labkit.live.link import LabNetwork
from labkit.words.errors import BadInput, MissingCapability
from labkit.words.machine import Datagram
from labkit.words.units import ms

VOICE = speech(3.3)


# Fragments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mtu", [68, 576, 1280, 1500])
@pytest.mark.parametrize("size", [1, 160, 968, 1472, 1473, 4808])
def test_a_datagram_is_cut_as_scapy_cuts_it(size, mtu):
    packet = IP() / UDP(sport=5000, dport=5004) / Raw(bytes(size))
    theirs = fragment(packet, fragsize=mtu - 20)
    ours = cut(8 + size, mtu)
    assert [(f.offset, f.more) for f in ours] == [(8 * f.frag, bool(f.flags.MF)) for f in theirs]
    assert sizes(ours) == [len(bytes(f)) for f in theirs]


def test_a_datagram_is_cut_as_linux_cut_it():
    first, second = capture("05_fragments")[3], capture("05_fragments")[4]
    body = first.found["UDP"]["length"]
    assert sizes(cut(body, 576)) == [first.size, second.size]


def test_a_link_that_takes_nothing_is_refused():
    with pytest.raises(BadInput, match="at least 28"):
        cut(100, 27)


class Mailbox:
    """A session that sends what it is given, and keeps what comes."""

    def __init__(self, *out):
        self.out = list(out)
        self.came = []

    def transmits(self):
        out, self.out = self.out, []
        return out

    def receive_datagram(self, data, source, now):
        self.came.append(data)


def carried(data, mtu=576):
    """The fragments of one datagram."""
    return [d.data for d in Fragmented(Mailbox(Datagram(data, "bob")), mtu).transmits()]


def test_fragments_come_together_in_any_order_and_twice():
    data = bytes(range(256)) * 8
    found = carried(data)
    assert len(found) == 4
    ear = Fragmented(Mailbox(), 576)
    for piece in [found[2], found[0], found[0], found[3], found[1]]:
        ear.receive_datagram(piece, "alice", 0)
    assert ear.inner.came == [data]


def test_without_one_fragment_nothing_comes_and_memory_is_bounded():
    box = Mailbox(*(Datagram(bytes(1200), "bob") for _ in range(3 * MOST)))
    ear = Fragmented(Mailbox(), 576)
    for number, datagram in enumerate(Fragmented(box, 576).transmits()):
        if number % 3:
            ear.receive_datagram(datagram.data, "alice", 0)
    assert ear.inner.came == []
    assert ear.abandoned == 2 * MOST


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\1\xff", b"\0\1\x20\0", b"\0\1\x20\x01xx"])
def test_nothing_that_comes_brings_it_down(data):
    Fragmented(Mailbox(), 576).receive_datagram(data, "alice", 0)


def test_the_picture_says_the_sizes():
    assert "572, 572, 572, 300 bytes" in pieces(1928, 576).alt
    assert pieces(100, 1500).png().startswith(b"\x89PNG")


# Packets ------------------------------------------------------------------------------------------


def call(**words):
    words = {"codec": Pcm(), "link": "voip-5", "transport": "udp", "seed": 5} | words
    return PacketCall(VOICE, policy=Fixed(ms(120)), **words)


def test_somebodys_own_packetizer_takes_the_place_of_ours():
    """The kit's own, put in as a student's is, makes the same call."""
    plain, own = call().simulate(), call(packetizer=SamplePacketizer).simulate()
    assert own.timeline.size.max() <= MAX_PAYLOAD
    assert np.array_equal(own.audio, plain.audio)


def test_what_is_no_packet_is_named():
    class Bytes:
        def __init__(self, *numbers):
            pass

        def push(self, samples):
            return [samples.tobytes()]

    with pytest.raises(BadInput, match="the packetizer Bytes: push gave"):
        call(packetizer=Bytes).simulate()


@pytest.mark.parametrize("cuts", [[960], [1, 2, 957, 961], [5000]])
def test_however_sound_comes_the_packets_are_the_same(cuts):
    whole = SamplePacketizer(first_seq=65535, first_timestamp=2**32 - 100)
    wanted = whole.push(VOICE.samples[:9600])
    packetizer, packets, at = SamplePacketizer(1200, 65535, 2**32 - 100), [], 0
    while at < 9600:
        for size in cuts:
            packets += packetizer.push(VOICE.samples[at : min(at + size, 9600)])
            at += size
    assert packets == wanted
    assert [p.seq for p in packets[:3]] == [65535, 0, 1]
    assert SamplePacketizer().push(VOICE.samples[:100]) == []


def test_a_datagram_is_lost_with_any_of_its_fragments():
    """Two fragments, 5 % each: within three standard deviations of what arithmetic says."""
    line = link("loses 5 %", delay="20ms", loss="5%")
    found = call(link=line, codec=Pcm(24_000), mtu=576).simulate()
    wanted, count = chance(2, 0.05), len(found.timeline)
    assert abs(found.timeline.lost - wanted) < 3 * (wanted * (1 - wanted) / count) ** 0.5
    assert found.timeline.count(Fate.LATE) == 0


def test_a_stream_is_not_cut():
    with pytest.raises(BadInput, match="over tcp no datagram is cut"):
        call(transport="tcp", mtu=576)


def test_sliders_change_what_is_heard():
    lab = PacketLab(VOICE)
    before, sound = lab.result.timeline.lost, lab.sound.value
    assert "one IP packet" in lab.summary()
    lab.length.value, lab.loss.value = 100, 10
    assert "4 fragments" in lab.words.value
    assert lab.result.timeline.lost > before
    assert lab.sound.value != sound


# Side by side -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net():
    """A lab network; skips at home where there can be none, fails in CI."""
    try:
        with LabNetwork("voip-5", seed=5) as net:
            yield net
    except MissingCapability as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.mark.live
@pytest.mark.net
def test_on_one_real_line_datagrams_are_sooner_and_never_stop(net):
    """The kernel's TCP repairs what is lost, and the voice waits; over UDP it is a gap."""
    voice = {
        "source": speech(2.0),
        "codec": Pcm(24_000),
        "policy": Fixed(ms(120)),
        "link": "voip-5",
    }
    tcp, udp = side_by_side(net, Call(**voice, transport="tcp"), Call(**voice, transport="udp"))
    print(tcp, udp, sep="\n")
    assert tcp.timeline.lost == 0
    assert udp.timeline.lost > 0
    assert udp.timeline.network_delay_ms().max() < tcp.timeline.network_delay_ms().max()
    assert udp.timeline.held <= 2
    assert tcp.timeline.held > 3


def test_side_by_side_says_what_it_cannot_do():
    with pytest.raises(BadInput, match="goes over rtp"):
        side_by_side(LabNetwork(), Call(VOICE))
    own = Call(VOICE, transport="udp", jitter_buffer=lambda: None)
    with pytest.raises(BadInput, match="cannot leave the notebook"):
        side_by_side(LabNetwork(), own)

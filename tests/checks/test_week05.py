"""What week 5 expects, held against scapy, Linux and the kit's own counters and packetizer."""

from random import Random

import pytest
from scapy.layers.inet import IP, defrag, fragment
from scapy.packet import Raw
from scapy.utils import rdpcap

from labkit.checks.datagrams import (
    BEFELL,
    arrivals_of,
    befallen,
    bursts_of,
    figures_of,
    incomplete_of,
    pieces_of,
)
from labkit.checks.exercise import find
from labkit.checks.subject import InProcess
from labkit.checks.week05 import _captured
from labkit.codec.pcm import Pcm
from labkit.core.impairment import Impairment
from labkit.core.meters import StreamStats
from labkit.lab.answers import ANSWERS
from labkit.lab.captures import capture, describe
from labkit.lab.fragments import cut
from labkit.lab.packets import SamplePacketizer
from labkit.words.linkspec import LinkSpec, Reorder
from labkit.words.seqnum import add16
from labkit.words.units import ms


@pytest.mark.parametrize("mtu", [576, 1006, 1500])
@pytest.mark.parametrize("size", [1, 968, 1472, 1473, 5999])
def test_a_datagram_is_cut_as_scapy_cuts_it(size, mtu):
    theirs = fragment(IP(proto=17) / Raw(bytes(8 + size)), fragsize=mtu - 20)
    assert pieces_of(size, mtu) == [
        (8 * each.frag, len(each.payload), bool(each.flags.MF)) for each in theirs
    ]


def test_a_rest_that_fits_is_not_cut_again():
    """As Linux cuts them; scapy cuts a rest of 553 to 556 bytes once more."""
    assert pieces_of(552 + 556 - 8, 576) == [(0, 552, True), (552, 556, False)]
    longer = [(0, 552, True), (552, 552, True), (1104, 5, False)]
    assert pieces_of(552 + 557 - 8, 576) == longer
    assert [tuple(each) for each in cut(552 + 557, 576)] == longer
    for size in range(1, 2000):
        assert [tuple(each) for each in cut(8 + size, 576)] == pieces_of(size, 576)


def left_over(packets):
    """Identifications of what was cut and what scapy cannot put together.

    It gives up when the last fragment has come, so each datagram is put in order before.
    """
    ordered = sorted(packets, key=lambda packet: (packet.id, packet.frag))
    _, whole, _ = defrag(ordered)
    cut = {packet.id for packet in packets if packet.frag or packet.flags.MF}
    return cut - {packet.id for packet in whole}


def test_scapy_misses_the_same_fragments_of_the_capture():
    fragments, _ = _captured()
    missing = left_over([p for p in rdpcap(str(describe("05_fragments").path)) if IP in p])
    assert set(incomplete_of(fragments)) == missing
    assert len(missing) == ANSWERS["incomplete"](capture("05_fragments")).value > 0


@pytest.mark.parametrize("seed", range(5))
def test_scapy_misses_the_same_of_what_was_made_up(seed):
    """Copies aside, of which scapy makes nothing."""
    kinds = [kind for kinds in BEFELL.values() for kind in kinds if "twice" not in kind]
    packets = befallen(Random(seed), kinds)
    sent = [
        IP(id=each, frag=offset // 8, flags="MF" if more else 0, proto=17) / Raw(bytes(length))
        for each, offset, length, more in packets
    ]
    assert left_over(sent) == set(incomplete_of(packets))


def test_what_was_lost_is_what_the_capture_answers():
    _, places = _captured()
    bursts = bursts_of(65_500, places)
    traffic = capture("05_loss")
    assert sum(count for _, count in bursts) == ANSWERS["voice_lost"](traffic).value
    assert max(count for _, count in bursts) == ANSWERS["longest_burst"](traffic).value


@pytest.mark.parametrize("seed", range(5))
def test_the_kits_counters_count_the_same(seed):
    spec = LinkSpec(delay=ms(50), jitter=ms(8), loss=0.06, duplicate=0.05, reorder=Reorder(0.04))
    places = arrivals_of(Impairment(spec, seed), 400)
    stats = StreamStats()
    for place in places:
        stats.add(add16(65_400, place))
    counted = stats.expected, stats.missing, stats.duplicates, stats.reordered
    assert counted == figures_of(places)
    assert min(counted) > 0


class Kits(SamplePacketizer):
    """The kit's own, for sound of one channel or two."""

    def __init__(self, limit, first_seq, first_timestamp):
        self.numbers = limit, first_seq, first_timestamp

    def push(self, samples):
        if not hasattr(self, "_framer"):
            super().__init__(*self.numbers, codec=Pcm(channels=samples.shape[1]))
        return super().push(samples)


@pytest.mark.parametrize("exercise", ["05.1", "05.4"])
def test_the_kits_own_packetizer_has_full_marks(exercise):
    """Nobody is asked for what the kit does not do."""
    parts = [p.name for p in find(exercise).parts if p.name != "counts"]
    for name in parts:
        report = find(exercise).run(InProcess({"MyPacketizer": Kits}), 3, only=name)
        assert report.passed, str(report)

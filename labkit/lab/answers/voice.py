"""Weeks 2 and 5 to 8: clocks, datagrams that are lost, late or cut, RTP and its reports, Opus."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from labkit.lab.answers.registry import Answer, answers, the_voice
from labkit.lab.conversations import VoicePacket, VoiceStream
from labkit.lab.dissection import dissect
from labkit.lab.plots import clock_rate, jitters, relative_delays
from labkit.lab.seen import Seen
from labkit.lab.traffic import Traffic
from labkit.words.units import NS_PER_S, SAMPLE_RATE

# Week 2: clocks ------------------------------------------------------------------------------


@answers
def drift_ppm(traffic: Traffic) -> Answer:
    """How much faster the sender's clock runs than the receiver's, in parts per million."""
    stream = the_voice(traffic)
    came = np.array([p.now for p in stream.packets], float) / NS_PER_S
    said = np.array([p.timestamp for p in stream.packets], float) / clock_rate(stream)
    slope = float(np.polyfit(came - came[0], said - said[0], 1)[0])
    ppm = (slope - 1) * 1e6
    return Answer(ppm, ((-ppm, "More media time than arrival time: which of the clocks is fast?"),))


@answers
def drift_hour(traffic: Traffic) -> Answer:
    """Milliseconds by which a buffer grows in an hour at that drift."""
    ppm = drift_ppm(traffic).value
    assert isinstance(ppm, float)
    return Answer(ppm * 3.6, ((ppm * 0.06, "That is a minute."), (ppm / 1000, "That is a second.")))


# Week 5 and 6: datagrams ---------------------------------------------------------------------


def _lost(stream: VoiceStream) -> tuple[int, list[int]]:
    """How many were sent, by their numbers, and the lengths of the gaps."""
    seqs = sorted({p.seq for p in stream.arrived})
    bursts = [b - a - 1 for a, b in pairwise(seqs) if b - a > 1]
    return seqs[-1] - seqs[0] + 1, bursts


@answers
def voice_lost(traffic: Traffic) -> Answer:
    """Packets of voice that were sent, by their numbers, and did not come."""
    _, bursts = _lost(the_voice(traffic))
    return Answer(
        sum(bursts), ((len(bursts), "Those are the gaps; some are longer than one packet."),)
    )


@answers
def voice_loss(traffic: Traffic) -> Answer:
    """The share of packets lost, in percent of those sent."""
    sent, bursts = _lost(the_voice(traffic))
    lost = sum(bursts)
    came = 100 * lost / (sent - lost)
    return Answer(
        100 * lost / sent, ((came, "In percent of those that were sent, not that came."),)
    )


@answers
def longest_burst(traffic: Traffic) -> Answer:
    """Packets of voice lost in a row, at most."""
    _, bursts = _lost(the_voice(traffic))
    return Answer(max(bursts), ((max(bursts) + 1, "5 and 8 are three apart: two are missing."),))


def _datagrams(traffic: Traffic) -> dict[tuple[str, int], list[tuple[int, int, bool]]]:
    """The fragments of each datagram that was cut: (offset, size, more follow)."""
    found: dict[tuple[str, int], list[tuple[int, int, bool]]] = {}
    for packet in traffic:
        host = packet.found["IP"]
        more, offset = bool(host.get("more fragments")), 8 * (host.get("fragment offset") or 0)
        if more or offset:
            size = host["total length"] - 4 * host["header length"]
            key = host.text("source"), host["identification"]
            found.setdefault(key, []).append((offset, size, more))
    return found


def _whole(fragments: list[tuple[int, int, bool]]) -> bool:
    fragments = sorted(fragments)
    ends = [0, *(offset + size for offset, size, _ in fragments)]
    return ends[:-1] == [offset for offset, _, _ in fragments] and not fragments[-1][2]


@answers
def fragments_each(traffic: Traffic) -> Answer:
    """Into how many fragments a datagram is cut."""
    sizes = Counter(len(parts) for parts in _datagrams(traffic).values() if _whole(parts))
    return Answer(sizes.most_common(1)[0][0])


@answers
def second_offset(traffic: Traffic) -> Answer:
    """Where in the datagram the second fragment begins, in bytes."""
    offsets = Counter(o for parts in _datagrams(traffic).values() for o, _, _ in parts if o)
    offset = min(offsets)
    return Answer(offset, ((offset // 8, "The field counts in units of 8 bytes."),))


@answers
def incomplete(traffic: Traffic) -> Answer:
    """Datagrams of which some fragment came, but not every one."""
    found = _datagrams(traffic)
    return Answer(sum(not _whole(parts) for parts in found.values()))


def _behind(stream: VoiceStream) -> Iterator[tuple[VoicePacket, int]]:
    """Packets that came after one with a higher number, and how many places too late."""
    highest = stream.arrived[0].seq
    for packet in stream.arrived:
        if packet.seq < highest:
            yield packet, highest - packet.seq
        highest = max(highest, packet.seq)


@answers
def reordered(traffic: Traffic) -> Answer:
    """Packets that came after one with a higher number: RFC 4737's reordered packets."""
    stream = the_voice(traffic)
    seqs = [p.seq for p in stream.arrived]
    ahead = sum(b - a > 1 for a, b in pairwise(seqs))
    early = "Those are the ones that overtook; RFC 4737 counts those that were overtaken."
    return Answer(len(list(_behind(stream))), ((ahead, early),))


@answers
def reorder_extent(traffic: Traffic) -> Answer:
    """By how many places a packet came too late, at most."""
    return Answer(max(places for _, places in _behind(the_voice(traffic))))


@answers
def delay_range(traffic: Traffic) -> Answer:
    """Milliseconds between the quickest packet and the slowest."""
    return Answer(float(relative_delays(the_voice(traffic))[1].max()))


@answers
def buffer_99(traffic: Traffic) -> Answer:
    """Milliseconds that a packet as quick as the quickest must wait so that 1 % come too late."""
    late = relative_delays(the_voice(traffic))[1]
    return Answer(
        float(np.percentile(late, 99)),
        (
            (float(np.percentile(late, 50)), "At the median half of the packets come too late."),
            (float(late.max()), "With that none comes too late; one in a hundred may."),
        ),
    )


@answers
def last_jitter(traffic: Traffic) -> Answer:
    """RFC 3550's interarrival jitter after the last packet, in milliseconds."""
    jitter = jitters(the_voice(traffic))[-1]
    return Answer(jitter, ((jitter * 48, "That is in ticks of 1/48000 s."),))


# Week 7 and 8: RTP ---------------------------------------------------------------------------


def _reports(traffic: Traffic, name: str) -> list[tuple[int, dict[str, int]]]:
    """Packets of RTCP of one type: when, and its fields."""
    return [
        (packet.now, {part.name: part.value for part in layer.parts})
        for packet in traffic
        for layer in packet.found.layers
        if layer.name == f"RTCP {name}"
    ]


@answers
def sender_reports(traffic: Traffic) -> Answer:
    """How many sender reports came."""
    own = len(_reports(traffic, "SR"))
    quoted = sum(_quotes(packet, "RTCP SR") for packet in traffic)
    return Answer(
        own,
        (
            (
                own + quoted,
                "An ICMP error quotes a packet that was there already.",
            ),
            (len(_reports(traffic, "RR")), "Type 201 is RR, the receiver's."),
        ),
    )


def _quotes(packet: Seen, name: str) -> bool:
    """Whether this is an ICMP error that quotes a packet with such a layer."""
    icmp = packet.found.get("ICMP")
    if icmp is None:
        return False
    quoted = packet.data[icmp.parts[0].start // 8 + 8 :]
    return dissect(quoted).get(name) is not None


def _last_block(traffic: Traffic) -> dict[str, int]:
    return [fields for _, fields in _reports(traffic, "RR") if "jitter" in fields][-1]


@answers
def reported_lost(traffic: Traffic) -> Answer:
    """What the last receiver report says of packets lost since the beginning."""
    block = _last_block(traffic)
    return Answer(
        block["packets lost"], ((block["fraction lost"], "That is the fraction, in 1/256."),)
    )


@answers
def reported_jitter(traffic: Traffic) -> Answer:
    """The jitter in the last receiver report, in milliseconds."""
    ticks = _last_block(traffic)["jitter"]
    return Answer(
        ticks * 1000 / SAMPLE_RATE, ((ticks, "The field counts ticks, 48 to a millisecond."),)
    )


@answers
def rtcp_share(traffic: Traffic) -> Answer:
    """Of all bytes in the capture, the share of RTCP, in percent."""
    whole = sum(packet.size for packet in traffic)
    names = [(packet.size, [layer.name for layer in packet.found.layers]) for packet in traffic]
    share = sum(size for size, layers in names if any(n.startswith("RTCP") for n in layers))
    return Answer(100 * share / whole)


@answers
def pause_in_speech(traffic: Traffic) -> Answer:
    """Milliseconds of the longest stretch of media time for which nothing was sent."""
    packets = the_voice(traffic).arrived
    steps = [b.timestamp - a.timestamp for a, b in pairwise(packets) if b.seq == a.seq + 1]
    frame, longest = min(steps), max(steps)
    ticks = SAMPLE_RATE // 1000
    return Answer(
        (longest - frame) / ticks,
        (
            (longest / ticks, "The packet before the pause holds sound too: one frame of it."),
            (longest - frame, "Timestamps count samples, 48 to a millisecond."),
            (longest, "Timestamps count samples, 48 to a millisecond."),
        ),
    )


@answers
def talk_spurts(traffic: Traffic) -> Answer:
    """How often the marker says that speech begins."""
    return Answer(sum(packet.marker for packet in the_voice(traffic).arrived))


def _rate(stream: VoiceStream, extra: int = 0) -> float:
    """Kilobits a second of payload, and of `extra` bytes with each packet, in media time."""
    packets = stream.arrived[:-1]
    ticks = stream.arrived[-1].timestamp - packets[0].timestamp
    return sum(p.size + extra for p in packets) * 8 * clock_rate(stream) / ticks / 1000


@answers
def payload_bitrate(traffic: Traffic) -> Answer:
    """Kilobits a second of payload, over the whole stream."""
    stream = the_voice(traffic)
    return Answer(_rate(stream), ((_rate(stream, 40), "The headers are no payload."),))


def _pair(traffic: Traffic) -> tuple[VoiceStream, VoiceStream]:
    """PCM and Opus, of two streams."""
    first, second = sorted((the_voice(traffic, 0), the_voice(traffic, 1)), key=_rate, reverse=True)
    return first, second


@answers
def codec_saves(traffic: Traffic) -> Answer:
    """How many times more payload PCM needs than Opus."""
    pcm, opus = _pair(traffic)
    return Answer(
        _rate(pcm) / _rate(opus),
        ((_rate(pcm, 40) / _rate(opus, 40), "Compare the payloads alone."),),
    )


@answers
def codec_saves_on_the_wire(traffic: Traffic) -> Answer:
    """How many times more bits PCM needs than Opus, IP, UDP and RTP headers included."""
    pcm, opus = _pair(traffic)
    return Answer(
        _rate(pcm, 40) / _rate(opus, 40),
        (
            (
                _rate(pcm) / _rate(opus),
                "Each packet has 40 bytes of headers as well: IP, UDP and RTP.",
            ),
        ),
    )

"""What the captures answer: one function for each kind of question, from the packets alone.

Each takes the `Traffic` of a capture and gives an `Answer`: the value, and values that people get
who made a known mistake, each with the idea that is missing. Nothing is stored; who takes a capture
again gets new answers, and a capture of one's own can be asked the same.

The manifest of the captures names these functions. Times are in milliseconds, rates in kbit/s.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from labkit.lab.headers import dissect
from labkit.lab.plots import clock_rate, jitters, relative_delays
from labkit.lab.traffic import Connection, Seen, Segment, Traffic, VoicePacket, VoiceStream
from labkit.wire.framing import FrameDecoder, Kind
from labkit.words.errors import BadInput
from labkit.words.packet import Packet
from labkit.words.units import NS_PER_S, SAMPLE_RATE, to_ms


class Answer(NamedTuple):
    """What is right. Of several values any is; `mistakes` are wrong values with what to say."""

    value: float | str | frozenset[int]
    mistakes: tuple[tuple[float, str], ...] = ()


Answerer = Callable[[Traffic], Answer]
ANSWERS: Final[dict[str, Answerer]] = {}


def answers(function: Answerer) -> Answerer:
    """Register a function under its name."""
    ANSWERS[function.__name__] = function
    return function


# Looking things up ---------------------------------------------------------------------------


def _connection(traffic: Traffic) -> Connection:
    if not traffic.connections:
        raise BadInput(f"{traffic!r} has no TCP connection", "a capture of week 3 or 4")
    return traffic.connections[0]


def _voice(traffic: Traffic, which: int = 0) -> VoiceStream:
    if len(traffic.voices) <= which:
        raise BadInput(f"{traffic!r} has no stream of voice", "a capture of week 5 or later")
    return traffic.voices[which]


def _from_server(traffic: Traffic) -> list[Segment]:
    """Segments with new data from the server."""
    return [s for s in _connection(traffic).sent(by_client=False) if not s.repeated]


def _frames(traffic: Traffic) -> list[tuple[Kind, Packet]]:
    """The frames that the server sent."""
    return FrameDecoder().receive(_connection(traffic).stream(by_client=False))


def _media(traffic: Traffic) -> list[Packet]:
    return [packet for kind, packet in _frames(traffic) if kind == Kind.MEDIA]


# Week 1: frames ------------------------------------------------------------------------------


@answers
def media_frames(traffic: Traffic) -> Answer:
    """Frames of sound that the server sent."""
    every = len(_frames(traffic))
    return Answer(
        len(_media(traffic)),
        (
            (every, "DESCRIPTION and BYE are frames too, but there is no sound in them."),
            (
                len(_from_server(traffic)),
                "A segment is not a frame: one may carry several, or a part.",
            ),
        ),
    )


@answers
def frame_payload(traffic: Traffic) -> Answer:
    """Bytes of sound in a frame."""
    size = Counter(len(packet.payload) for packet in _media(traffic)).most_common(1)[0][0]
    return Answer(
        size, ((size + 12, "The header of 12 bytes is no sound: `len` does not count it."),)
    )


@answers
def frame_duration(traffic: Traffic) -> Answer:
    """Milliseconds of sound in a frame, by its timestamps."""
    times = [packet.timestamp for packet in _media(traffic)]
    step = Counter(b - a for a, b in pairwise(times)).most_common(1)[0][0]
    return Answer(
        step * 1000 / SAMPLE_RATE, ((step, "Timestamps count samples, 48 to a millisecond."),)
    )


@answers
def sound_bitrate(traffic: Traffic) -> Answer:
    """Kilobits of sound a second, by sizes and timestamps."""
    duration, size = frame_duration(traffic).value, frame_payload(traffic).value
    assert isinstance(duration, float)
    assert isinstance(size, int)
    rate = size * 8 / duration
    return Answer(
        rate, ((rate / 8, "A byte has eight bits."), ((size + 12) * 8 / duration, _HEADER))
    )


_HEADER: Final = "Count the sound alone, not the header of the frame."


# Week 2: clocks ------------------------------------------------------------------------------


@answers
def drift_ppm(traffic: Traffic) -> Answer:
    """How much faster the sender's clock runs than the receiver's, in parts per million."""
    stream = _voice(traffic)
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


# Week 3: Nagle -------------------------------------------------------------------------------


@answers
def data_segments(traffic: Traffic) -> Answer:
    """Segments with data that the server sent."""
    every = sum(not s.from_client for s in _connection(traffic).segments)
    return Answer(
        len(_from_server(traffic)),
        ((every, "Segments without data only acknowledge: tcp.len > 0."),),
    )


@answers
def frames_per_segment(traffic: Traffic) -> Answer:
    """Frames of sound in a segment, on average."""
    return Answer(len(_media(traffic)) / len(_from_server(traffic)))


@answers
def segment_gap(traffic: Traffic) -> Answer:
    """The median time from one segment with data to the next, in milliseconds."""
    gaps = np.diff([s.now for s in _from_server(traffic)])
    return Answer(to_ms(float(np.median(gaps))), ((to_ms(float(np.mean(gaps))), _MEDIAN),))


_MEDIAN: Final = "That is the mean; the median is the one in the middle, and no outlier moves it."


@answers
def header_share(traffic: Traffic) -> Answer:
    """The share of IP's and TCP's headers in the server's segments with data, in percent."""
    sent = _from_server(traffic)
    whole, data = sum(s.packet.size for s in sent), sum(s.size for s in sent)
    return Answer(
        100 * (whole - data) / whole, ((100 * data / whole, "That is the share of the data."),)
    )


# Week 4: TCP ---------------------------------------------------------------------------------


def _zero_windows(connection: Connection) -> list[Segment]:
    return [s for s in connection.segments if s.window == 0 and "RST" not in s.flags]


@answers
def zero_window_packet(traffic: Traffic) -> Answer:
    """The number of the first packet that says: no room."""
    zeros = _zero_windows(_connection(traffic))
    later = "That one says it again: look for the first."
    return Answer(zeros[0].packet.number, tuple((s.packet.number, later) for s in zeros[1:]))


@answers
def closed_for(traffic: Traffic) -> Answer:
    """Milliseconds from the first zero window to the one that opens it again."""
    connection = _connection(traffic)
    zeros = _zero_windows(connection)
    side, begin, last = zeros[0].from_client, zeros[0].now, zeros[-1].now
    opened = next(
        s.now for s in connection.segments if s.from_client == side and s.now > last and s.window
    )
    again = "Between two zero windows it stays closed: count from the first to the update."
    return Answer(
        to_ms(opened - begin), ((to_ms(last - begin), again), (to_ms(opened - last), again))
    )


@answers
def probes(traffic: Traffic) -> Answer:
    """How often the sender asked whether there is room again."""
    connection = _connection(traffic)
    zeros = _zero_windows(connection)
    side = not zeros[0].from_client
    asked = [s for s in connection.segments if s.probe and s.from_client == side]
    return Answer(
        len(asked), ((len(zeros), "Those are the answers; and not every one was answered."),)
    )


def _again(connection: Connection) -> list[Segment]:
    return [s for s in connection.segments if s.repeated and s.size]


@answers
def retransmissions(traffic: Traffic) -> Answer:
    """Segments with data that were sent again."""
    connection = _connection(traffic)
    again = _again(connection)
    once = len({s.seq for s in again})
    lost = sum(s.packet.lost for s in connection.segments)
    return Answer(
        len(again),
        (
            (once, "One was sent again twice: each time counts."),
            (lost, "Those are the losses; some were acknowledgments, which nobody repeats."),
        ),
    )


@answers
def longest_repair(traffic: Traffic) -> Answer:
    """Milliseconds from the first copy of a segment to its last, in the worst case."""
    connection = _connection(traffic)
    first: dict[int, int] = {}
    for segment in connection.sent(by_client=False):
        first.setdefault(segment.seq, segment.now)
    waits = sorted(s.now - first[s.seq] for s in _again(connection) if s.seq in first)
    others = "Longer: one segment was lost twice."
    return Answer(to_ms(waits[-1]), tuple((to_ms(wait), others) for wait in waits[:-1]))


@answers
def lost_twice(traffic: Traffic) -> Answer:
    """The relative sequence number of the segment that needed three copies."""
    counts = Counter(s.seq for s in _connection(traffic).sent(by_client=False))
    return Answer(frozenset(seq for seq, copies in counts.items() if copies >= 3))


@answers
def first_fin(traffic: Traffic) -> Answer:
    """The number of the packet with the first FIN."""
    fins = [s.packet.number for s in _connection(traffic).segments if "FIN" in s.flags]
    return Answer(fins[0], tuple((number, "That is the other side's FIN.") for number in fins[1:]))


@answers
def who_ends(traffic: Traffic) -> Answer:
    """Who says first, by FIN, that it will send no more."""
    fin = next(s for s in _connection(traffic).segments if "FIN" in s.flags)
    return Answer("client" if fin.from_client else "server")


@answers
def rst_packet(traffic: Traffic) -> Answer:
    """The number of a packet with RST."""
    resets = [s.packet.number for s in _connection(traffic).segments if "RST" in s.flags]
    return Answer(frozenset(resets))


@answers
def said_goodbye(traffic: Traffic) -> Answer:
    """Whether the receiver sent a BYE before it was gone."""
    frames = FrameDecoder().receive(_connection(traffic).stream(by_client=True))
    return Answer("yes" if any(kind == Kind.BYE for kind, _ in frames) else "no")


def _refused(traffic: Traffic) -> list[Connection]:
    """Connections that were answered with RST at once."""
    return [c for c in traffic.connections if any("RST" in s.flags for s in c.segments[:2])]


@answers
def refused(traffic: Traffic) -> Answer:
    """Attempts to connect that were refused."""
    every = len(traffic.connections)
    return Answer(
        len(_refused(traffic)),
        ((every, "The first and the last were accepted: SYN, then SYN ACK."),),
    )


@answers
def longest_pause(traffic: Traffic) -> Answer:
    """Milliseconds of the longest pause between two attempts to connect."""
    starts = [c.segments[0].now for c in traffic.connections[1:]]
    pauses = [to_ms(b - a) for a, b in pairwise(starts)]
    return Answer(max(pauses), tuple((p, "There is a longer one.") for p in sorted(pauses)[:-1]))


# Week 5 and 6: datagrams ---------------------------------------------------------------------


def _lost(stream: VoiceStream) -> tuple[int, list[int]]:
    """How many were sent, by their numbers, and the lengths of the gaps."""
    seqs = sorted({p.seq for p in stream.arrived})
    bursts = [b - a - 1 for a, b in pairwise(seqs) if b - a > 1]
    return seqs[-1] - seqs[0] + 1, bursts


@answers
def voice_lost(traffic: Traffic) -> Answer:
    """Packets of voice that were sent, by their numbers, and did not come."""
    _, bursts = _lost(_voice(traffic))
    return Answer(
        sum(bursts), ((len(bursts), "Those are the gaps; some are longer than one packet."),)
    )


@answers
def voice_loss(traffic: Traffic) -> Answer:
    """The share of packets lost, in percent of those sent."""
    sent, bursts = _lost(_voice(traffic))
    lost = sum(bursts)
    came = 100 * lost / (sent - lost)
    return Answer(
        100 * lost / sent, ((came, "In percent of those that were sent, not that came."),)
    )


@answers
def longest_burst(traffic: Traffic) -> Answer:
    """Packets of voice lost in a row, at most."""
    _, bursts = _lost(_voice(traffic))
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
    stream = _voice(traffic)
    seqs = [p.seq for p in stream.arrived]
    ahead = sum(b - a > 1 for a, b in pairwise(seqs))
    early = "Those are the ones that overtook; RFC 4737 counts those that were overtaken."
    return Answer(len(list(_behind(stream))), ((ahead, early),))


@answers
def reorder_extent(traffic: Traffic) -> Answer:
    """By how many places a packet came too late, at most."""
    return Answer(max(places for _, places in _behind(_voice(traffic))))


@answers
def delay_range(traffic: Traffic) -> Answer:
    """Milliseconds between the quickest packet and the slowest."""
    return Answer(float(relative_delays(_voice(traffic))[1].max()))


@answers
def buffer_99(traffic: Traffic) -> Answer:
    """Milliseconds that a packet as quick as the quickest must wait so that 1 % come too late."""
    late = relative_delays(_voice(traffic))[1]
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
    jitter = jitters(_voice(traffic))[-1]
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
    packets = _voice(traffic).arrived
    steps = [
        (b.timestamp - a.timestamp) * 1000 / SAMPLE_RATE
        for a, b in pairwise(packets)
        if b.seq == a.seq + 1
    ]
    longest, ticks = max(steps), max(steps) * 48
    return Answer(longest, ((ticks, "Timestamps count samples, 48 to a millisecond."),))


@answers
def talk_spurts(traffic: Traffic) -> Answer:
    """How often the marker says that speech begins."""
    return Answer(sum(packet.marker for packet in _voice(traffic).arrived))


def _rate(stream: VoiceStream, extra: int = 0) -> float:
    """Kilobits a second of payload, and of `extra` bytes with each packet, in media time."""
    packets = stream.arrived[:-1]
    ticks = stream.arrived[-1].timestamp - packets[0].timestamp
    return sum(p.size + extra for p in packets) * 8 * clock_rate(stream) / ticks / 1000


@answers
def payload_bitrate(traffic: Traffic) -> Answer:
    """Kilobits a second of payload, over the whole stream."""
    stream = _voice(traffic)
    return Answer(_rate(stream), ((_rate(stream, 40), "The headers are no payload."),))


def _pair(traffic: Traffic) -> tuple[VoiceStream, VoiceStream]:
    """PCM and Opus, of two streams."""
    first, second = sorted((_voice(traffic, 0), _voice(traffic, 1)), key=_rate, reverse=True)
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

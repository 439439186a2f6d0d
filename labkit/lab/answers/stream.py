"""Weeks 1, 3 and 4: our frames in a TCP stream, Nagle's algorithm, windows, repairs, ends."""

from collections import Counter
from itertools import pairwise
from typing import Final

import numpy as np

from labkit.lab.answers.registry import Answer, answers, from_server, the_connection
from labkit.lab.conversations import Connection, Segment
from labkit.lab.traffic import Traffic
from labkit.wire.framing import FrameDecoder, Kind
from labkit.words.packet import Packet
from labkit.words.units import SAMPLE_RATE, to_ms


def _frames(traffic: Traffic) -> list[tuple[Kind, Packet]]:
    """The frames that the server sent."""
    return FrameDecoder().receive(the_connection(traffic).stream(by_client=False))


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
                len(from_server(traffic)),
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


# Week 3: Nagle -------------------------------------------------------------------------------


@answers
def data_segments(traffic: Traffic) -> Answer:
    """Segments with data that the server sent."""
    every = sum(not s.from_client for s in the_connection(traffic).segments)
    return Answer(
        len(from_server(traffic)),
        ((every, "Segments without data only acknowledge: tcp.len > 0."),),
    )


@answers
def frames_per_segment(traffic: Traffic) -> Answer:
    """Frames of sound in a segment, on average."""
    return Answer(len(_media(traffic)) / len(from_server(traffic)))


@answers
def segment_gap(traffic: Traffic) -> Answer:
    """The median time from one segment with data to the next, in milliseconds."""
    gaps = np.diff([s.now for s in from_server(traffic)])
    return Answer(to_ms(float(np.median(gaps))), ((to_ms(float(np.mean(gaps))), _MEDIAN),))


_MEDIAN: Final = "That is the mean; the median is the one in the middle, and no outlier moves it."


@answers
def header_share(traffic: Traffic) -> Answer:
    """The share of IP's and TCP's headers in the server's segments with data, in percent."""
    sent = from_server(traffic)
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
    zeros = _zero_windows(the_connection(traffic))
    later = "That one says it again: look for the first."
    return Answer(zeros[0].packet.number, tuple((s.packet.number, later) for s in zeros[1:]))


@answers
def closed_for(traffic: Traffic) -> Answer:
    """Milliseconds from the first zero window to the one that opens it again."""
    connection = the_connection(traffic)
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
    connection = the_connection(traffic)
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
    connection = the_connection(traffic)
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
    connection = the_connection(traffic)
    first: dict[int, int] = {}
    for segment in connection.sent(by_client=False):
        first.setdefault(segment.seq, segment.now)
    waits = sorted(s.now - first[s.seq] for s in _again(connection) if s.seq in first)
    others = "Longer: one segment was lost twice."
    return Answer(to_ms(waits[-1]), tuple((to_ms(wait), others) for wait in waits[:-1]))


@answers
def lost_twice(traffic: Traffic) -> Answer:
    """The relative sequence number of the segment that needed three copies."""
    counts = Counter(s.seq for s in the_connection(traffic).sent(by_client=False))
    return Answer(frozenset(seq for seq, copies in counts.items() if copies >= 3))


@answers
def first_fin(traffic: Traffic) -> Answer:
    """The number of the packet with the first FIN."""
    fins = [s.packet.number for s in the_connection(traffic).segments if "FIN" in s.flags]
    return Answer(fins[0], tuple((number, "That is the other side's FIN.") for number in fins[1:]))


@answers
def who_ends(traffic: Traffic) -> Answer:
    """Who says first, by FIN, that it will send no more."""
    fin = next(s for s in the_connection(traffic).segments if "FIN" in s.flags)
    return Answer("client" if fin.from_client else "server")


@answers
def rst_packet(traffic: Traffic) -> Answer:
    """The number of a packet with RST."""
    resets = [s.packet.number for s in the_connection(traffic).segments if "RST" in s.flags]
    return Answer(frozenset(resets))


@answers
def said_goodbye(traffic: Traffic) -> Answer:
    """Whether the receiver sent a BYE before it was gone."""
    frames = FrameDecoder().receive(the_connection(traffic).stream(by_client=True))
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

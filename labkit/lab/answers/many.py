"""Weeks 10 and 11: to many listeners at once, and who goes first on a full line."""

from collections import Counter
from typing import Final

import numpy as np

from labkit.lab.answers.registry import Answer, answers, the_voice
from labkit.lab.seen import Seen
from labkit.lab.traffic import Traffic
from labkit.wire.ip import Endpoint
from labkit.words.units import to_ms

# Week 10: multicast ---------------------------------------------------------------------------


def _is_group(endpoint: Endpoint) -> bool:
    return 224 <= int(endpoint[0].split(".")[0]) < 240


@answers
def copies(traffic: Traffic) -> Answer:
    """How often the same sound crosses the link while all listen by unicast."""
    sound = Counter(
        packet.timestamp
        for voice in traffic.voices
        if not _is_group(voice.destination)
        for packet in voice.arrived
    )
    packets = sum(sound.values())
    return Answer(
        max(sound.values()), ((packets, "Those are packets; how many have the same timestamp?"),)
    )


def _reports(traffic: Traffic, host: str | None = None) -> int:
    return sum(
        packet.found.get("IGMP") is not None and host in (None, packet.source[0])
        for packet in traffic
    )


@answers
def membership_reports(traffic: Traffic) -> Answer:
    """IGMP reports of the host that listens."""
    listener = next(v for v in traffic.voices if not _is_group(v.destination)).destination[0]
    every = _reports(traffic)
    programs = len({v.destination for v in traffic.voices if not _is_group(v.destination)})
    return Answer(
        _reports(traffic, listener),
        (
            (every, "Those of the sender are among them: it has joined too."),
            (programs, "It is the host that reports, not each program; once more, to be sure."),
        ),
    )


@answers
def multicast_ttl(traffic: Traffic) -> Answer:
    """The time to live of what the group gets."""
    lives = {p.found["IP"]["time to live"] for p in traffic if _is_group(p.destination)}
    own = {p.found["IP"]["time to live"] for p in traffic if not _is_group(p.destination)}
    return Answer(min(lives), ((max(own), "That is what has one receiver."),))


@answers
def members_heard(traffic: Traffic) -> Answer:
    """Receivers that report to the group."""
    found = {
        layer["SSRC"]
        for packet in traffic
        if _is_group(packet.destination)
        for layer in packet.found.layers
        if layer.name == "RTCP RR" and layer.get("SSRC") is not None
    }
    return Answer(len(found), ((len(found) + 1, "The sender sends SR, not RR."),))


# Week 11: at a full line ----------------------------------------------------------------------

DATE: Final = 8
"""Bytes at the start of the voice's payload that say when it was sent, in nanoseconds."""


def _voice_packets(traffic: Traffic) -> list[Seen]:
    return [packet.packet for packet in the_voice(traffic).arrived]


@answers
def voice_mark(traffic: Traffic) -> Answer:
    """The DSCP of the voice."""
    mark = _voice_packets(traffic)[0].found["IP"]["DSCP"]
    return Answer(mark, ((mark << 2, "That is the whole byte: the mark is its upper six bits."),))


@answers
def voice_p99(traffic: Traffic) -> Answer:
    """Milliseconds that 99 of 100 packets of the voice do not exceed, one way."""
    delays = []
    for packet in _voice_packets(traffic):
        payload = next(p for p in packet.found["RTP"].parts if p.name == "payload").start // 8
        delays.append(packet.now - int.from_bytes(packet.data[payload : payload + DATE]))
    p99, p50 = (to_ms(int(np.percentile(delays, p, method="inverted_cdf"))) for p in (99, 50))
    return Answer(
        p99,
        (
            (p50, "That is the median: half are later."),
            (to_ms(max(delays)), "That is the latest of all; one in a hundred may be later."),
        ),
    )


@answers
def bulk_share(traffic: Traffic) -> Answer:
    """Of the bytes that came from the speaker's side, the share of TCP, in percent."""
    speaker = the_voice(traffic).source[0]
    sent = [packet for packet in traffic if packet.source[0] == speaker]
    bulk = [packet for packet in sent if packet.found.get("TCP") is not None]
    kept = 100 * sum(len(p.data) for p in bulk) / sum(len(p.data) for p in sent)
    number = 100 * len(bulk) / len(sent)
    return Answer(
        100 * sum(p.size for p in bulk) / sum(p.size for p in sent),
        (
            (number, "That is the share of packets; they differ in size."),
            (
                kept,
                "Of each packet only the beginning is in the file: ip.len says how long it was.",
            ),
        ),
    )

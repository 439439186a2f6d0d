"""Weeks 10 to 12: to many at once, who goes first at a full line, and voices that nobody reads."""

from collections import Counter
from typing import Final

import numpy as np

from labkit.lab.answers.registry import Answer, answers, the_voice
from labkit.lab.conversations import VoiceStream
from labkit.lab.seen import Seen
from labkit.lab.traffic import Traffic
from labkit.wire.ip import Endpoint
from labkit.words.errors import BadInput
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


# Week 12: SRTP --------------------------------------------------------------------------------

HEADERS: Final = 20 + 8 + 12
"""Bytes of IP, UDP and RTP."""


def _twice(traffic: Traffic) -> list[VoiceStream]:
    """The voice in the clear, and protected: by their ports."""
    return sorted((the_voice(traffic, which) for which in (0, 1)), key=lambda each: each.source)


def _grown(traffic: Traffic, kind: str) -> list[int]:
    """How much longer packets of the second stream are than those of the first; RTP or RTCP."""
    first, second = _twice(traffic)
    if kind == "RTP":
        plain = {packet.seq: packet.size for packet in first.arrived}
        return [p.size - plain[p.seq] for p in second.arrived if p.seq in plain]
    ports = first.source[1], second.source[1]
    sizes = [
        [p.size for p in traffic if _is_report(p) and p.destination[1] == port] for port in ports
    ]
    return [sizes[1][0] - sizes[0][0]]


def _is_report(packet: Seen) -> bool:
    return any(layer.name.startswith("RTCP") for layer in packet.found.layers)


@answers
def srtp_grows(traffic: Traffic) -> Answer:
    """Bytes by which a packet of sound is longer as SRTP."""
    (grown,) = set(_grown(traffic, "RTP"))
    (reports,) = _grown(traffic, "RTCP")
    return Answer(grown, ((reports, "So much grows a report: it has its index in it as well."),))


@answers
def srtcp_grows(traffic: Traffic) -> Answer:
    """Bytes by which a report is longer as SRTCP: section 3.4."""
    (reports,) = _grown(traffic, "RTCP")
    (grown,) = set(_grown(traffic, "RTP"))
    return Answer(
        reports, ((grown, "So much grows a packet of sound; a report has an index too."),)
    )


@answers
def first_payload_bytes(traffic: Traffic) -> Answer:
    """How many values the first byte of the payload takes in the protected stream."""
    plain, protected = (
        len({p.packet.data[HEADERS] for p in voice.arrived}) for voice in _twice(traffic)
    )
    return Answer(
        protected, ((plain, "That is the stream in the clear, where it says how Opus works."),)
    )


def _handshake(traffic: Traffic) -> list[Seen]:
    found = [packet for packet in traffic if packet.found.get("DTLS") is not None]
    if not found:
        raise BadInput(f"{traffic!r} has no DTLS", "a capture of DTLS-SRTP")
    return found


@answers
def cookie_shorter(traffic: Traffic) -> Answer:
    """Bytes by which the first answer of the server is shorter than the question."""
    question, answer = _handshake(traffic)[:2]
    return Answer(question.size - answer.size)


@answers
def handshake_datagrams(traffic: Traffic) -> Answer:
    """Datagrams of the handshake, both ways."""
    found = _handshake(traffic)
    records = sum(layer.name == "DTLS" for packet in found for layer in packet.found.layers)
    return Answer(len(found), ((records, "Those are records: a datagram has several."),))


@answers
def first_sound(traffic: Traffic) -> Answer:
    """Milliseconds from the first ClientHello to the first packet of sound."""
    hello = _handshake(traffic)[0]
    last = _handshake(traffic)[-1]
    sound = the_voice(traffic).arrived[0]
    return Answer(
        to_ms(sound.now - hello.now),
        (
            (
                to_ms(last.now - hello.now),
                "That is the end of the handshake; RTP's greeting follows.",
            ),
        ),
    )

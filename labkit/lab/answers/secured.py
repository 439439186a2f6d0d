"""Week 12: SRTP (RFC 3711) beside RTP, and keys by a handshake (RFC 5764)."""

from typing import Final

from labkit.lab.answers.registry import Answer, answers, the_voice
from labkit.lab.conversations import VoiceStream
from labkit.lab.seen import Seen
from labkit.lab.traffic import Traffic
from labkit.words.errors import BadInput
from labkit.words.units import to_ms

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
    return any(layer.name.startswith(("RTCP", "SRTCP")) for layer in packet.found.layers)


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

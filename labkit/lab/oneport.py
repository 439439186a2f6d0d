"""Two voices to one port, and a player that tells them apart or does not (week 7).

    both = arrivals(speech(3.3), deeper(speech(3.3)))     packets of two streams, as they come
    play(both)                                            all of them as one stream
    play(both, by=lambda packet: packet.ssrc)             one stream for each SSRC, added up
    heard(both)                                           both ways, by their names
    mix(both, mixer)                                      through a mixer, which makes one of two

Packets hold PCM, so that any of them can be played by itself, and adding up samples mixes them.
Nothing is lost and nothing comes late here: that is week 6.

This module knows no header and no network.
"""

from collections.abc import Callable, Hashable, Sequence
from random import Random
from typing import Final, NamedTuple

import numpy as np

from labkit.codec.face import Codec
from labkit.codec.pcm import Pcm
from labkit.core.source import Clip
from labkit.endpoints.voice import Voice
from labkit.lab.sources import converted
from labkit.live.wav import resample
from labkit.words.format import Samples
from labkit.words.packet import Packet
from labkit.words.seqnum import ahead32
from labkit.words.units import FRAME_MS, ms

RATE: Final = 16_000
"""Samples a second: 20 ms are 640 bytes, which fit into a datagram."""
CODEC: Final = Pcm(RATE)
FRAME_NS: Final = ms(FRAME_MS)
APART: Final = ms(7)
"""How long after a packet of the first voice one of the second comes."""


class Arrival(NamedTuple):
    """One packet as it comes."""

    now: int
    packet: Packet


def deeper(clip: Clip, factor: float = 1.2) -> Clip:
    """The same voice as another person's: lower, and slower."""
    slower = resample(clip.samples, clip.sample_rate, round(clip.sample_rate * factor))
    return Clip(slower, clip.sample_rate)


def arrivals(*clips: Clip, seed: int = 7) -> list[Arrival]:
    """The packets of several voices in the order in which they come to one port."""
    found = []
    for number, clip in enumerate(clips):
        voice = Voice(CODEC, converted(clip, RATE, 1).rewound(), rng=Random(f"{seed} {number}"))
        voice.start(number * APART)
        while (due := voice.deadline()) is not None:
            found += [Arrival(due, packet) for packet in voice.tick(due)]
    return sorted(found)


def one(packet: Packet) -> Hashable:
    """Whoever it is from: all packets are one stream."""
    del packet
    return None


def play(arrivals: Sequence[Arrival], by: Callable[[Packet], Hashable] = one) -> Clip:
    """What is heard when `by` says to which stream a packet belongs; streams are added up.

    A stream of one SSRC is put in its place by the timestamps. Packets of several, taken as one
    stream, have no common time: they are played one after the other.
    """
    streams: dict[Hashable, list[Packet]] = {}
    for arrival in arrivals:
        streams.setdefault(by(arrival.packet), []).append(arrival.packet)
    return Clip(_sum([_sound(packets) for packets in streams.values()]), RATE)


def heard(arrivals: Sequence[Arrival]) -> dict[str, Samples]:
    """What two players make of them: one that looks at no SSRC, and one that does."""
    return {
        "as one stream": play(arrivals).samples,
        "told apart by SSRC": play(arrivals, by=lambda packet: packet.ssrc).samples,
    }


def encoded(clip: Clip, codec: Codec) -> bytes:
    """All the payloads of a voice, one behind the other."""
    voice = Voice(codec, converted(clip, codec.sample_rate, codec.channels).rewound())
    voice.start(0)
    packets = voice.tick(ms(1000 * (len(clip) / clip.sample_rate + 1)))
    return b"".join(packet.payload for packet in packets)


def mix(
    arrivals: Sequence[Arrival], mixer: Callable[[list[Packet]], Packet]
) -> tuple[Clip, list[Packet]]:
    """What `mixer` makes of the packets of each 20 ms: the sound, and the packets."""
    turns: dict[int, list[Packet]] = {}
    for now, packet in arrivals:
        turns.setdefault(now // FRAME_NS, []).append(packet)
    mixed = [mixer(packets) for _, packets in sorted(turns.items())]
    return Clip(_in_turn(mixed), RATE), mixed


def _sound(packets: Sequence[Packet]) -> Samples:
    """One stream: by its timestamps if it is one, else packet after packet."""
    if len({packet.ssrc for packet in packets}) > 1:
        return _in_turn(packets)
    first = packets[0].timestamp
    last = max(ahead32(packet.timestamp, first) for packet in packets)
    out = np.zeros((last + CODEC.frame_samples, 1), np.int16)
    for packet in packets:
        at = ahead32(packet.timestamp, first)
        samples = _decoded(packet)
        out[at : at + len(samples)] = samples[: len(out) - at]
    return out


def _in_turn(packets: Sequence[Packet]) -> Samples:
    return np.concatenate([_decoded(packet) for packet in packets])


def _decoded(packet: Packet) -> Samples:
    return CODEC.decoder().decode(packet.payload)


def _sum(sounds: Sequence[Samples]) -> Samples:
    """Samples added up, and clipped rather than wrapped."""
    out = np.zeros((max(map(len, sounds)), 1), np.int32)
    for sound in sounds:
        out[: len(sound)] += sound
    clipped: Samples = np.clip(out, -32768, 32767).astype(np.int16)
    return clipped

"""Calls in which the making of packets can be watched and changed (week 5).

    PacketCall(voice, codec=Pcm(24_000, frame_ms=100), limit=65_000, mtu=1500, transport="udp")
    PacketCall(voice, codec=Pcm(), packetizer=MyPacketizer, transport="udp")

`limit` is the largest payload that the packetizer makes, and `mtu` the longest IP packet that the
path takes: what is longer is cut, and lost with any of its fragments (`labkit.lab.fragments`).

A packetizer of somebody's own is made by `packetizer(limit, first_seq, first_timestamp)` and has
`push(samples)`, which gives packets. `SamplePacketizer` is the kit's, with the same two verbs.
Samples go on the wire as they are (L16), so it goes with `Pcm`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from labkit.codec.face import Codec
from labkit.codec.pcm import Pcm, PcmEncoder
from labkit.core.framer import Framer
from labkit.core.packetizer import MAX_PAYLOAD, Packetizer
from labkit.core.session import Role
from labkit.core.source import Clip
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Source, Voice
from labkit.lab.call import Call
from labkit.lab.fragments import Fragmented
from labkit.words.errors import BadInput
from labkit.words.format import Samples
from labkit.words.packet import Packet

DATAGRAMS = ("udp", "rtp")
"""Transports that fragments are made of."""


class SamplePacketizer:
    """Samples in, packets out: frames of 20 ms, cut where they are too long for one packet."""

    def __init__(
        self,
        limit: int = MAX_PAYLOAD,
        first_seq: int = 0,
        first_timestamp: int = 0,
        codec: Pcm | None = None,
    ) -> None:
        codec = codec or Pcm()
        self._encoder = PcmEncoder(codec.channels)
        self._framer = Framer(codec.frame_samples, codec.channels)
        self._packetizer = Packetizer(
            codec.format, limit=limit, first_seq=first_seq, first_timestamp=first_timestamp
        )

    def push(self, samples: Samples) -> list[Packet]:
        """The packets that these samples, of any number, complete."""
        return [packet for frame in self._framer.push(samples) for packet in self._pack(frame)]

    def flush(self) -> list[Packet]:
        """The end: the last frame, filled up with silence."""
        return [packet for frame in self._framer.flush() for packet in self._pack(frame)]

    def _pack(self, frame: Any) -> list[Packet]:
        return self._packetizer.packetize(self._encoder.encode(frame.samples), frame.timestamp)


class OwnVoice(Voice):
    """A voice whose packets somebody else makes."""

    def __init__(
        self,
        codec: Codec,
        source: Source | None,
        packetizer: Callable[[int, int, int], Any],
        *,
        rng: Random,
        limit: int,
    ) -> None:
        super().__init__(codec, source, rng=rng, limit=limit)
        self._own = packetizer(limit, self._packetizer.next_seq, self.first_timestamp)

    def _make(self, samples: Samples) -> list[Packet]:
        packets = self._own.push(samples)
        if not isinstance(packets, list) or not all(isinstance(p, Packet) for p in packets):
            raise BadInput(
                f"the packetizer {type(self._own).__name__}: push gave {packets!r:.60}",
                "a list of Packet(seq, timestamp, payload), or an empty one",
            )
        return packets


@dataclass
class PacketCall(Call):
    """A call over datagrams that says how its packets are made, and how long a path takes them."""

    packetizer: Callable[[int, int, int], Any] | None = None
    limit: int = MAX_PAYLOAD
    mtu: int = 0
    """Of the path, in bytes; 0: nothing is too long for it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mtu and self.transport not in DATAGRAMS:
            raise BadInput(f"over {self.transport} no datagram is cut", " or ".join(DATAGRAMS))

    def sender(self, wallclock_offset: int = 0) -> Sender:
        """The end that speaks, with the packets as they are wanted."""
        clip = self.source.rewound() if isinstance(self.source, Clip) else None
        rng = Random(f"{self.seed} voice")
        if self.packetizer is None:
            voice = Voice(self.codec, clip, rng=rng, limit=self.limit)
        else:
            voice = OwnVoice(self.codec, clip, self.packetizer, rng=rng, limit=self.limit)
        return Sender(self._session(Role.SENDER, None, wallclock_offset, voice.ssrc), voice)

    def _session(
        self, role: Role, peer: Any, wallclock_offset: int, ssrc: int | None = None
    ) -> Any:
        session = super()._session(role, peer, wallclock_offset, ssrc)
        return Fragmented(session, self.mtu) if self.mtu else session

"""The half of a sender that makes packets: source, frames, codec, packets.

A voice encodes each frame once, whoever listens. It is fed in one of two ways. A *paced* source (a
file, the spoken sample, a tone) is read frame by frame as its time comes: `start`, `deadline`,
`tick`. A *live* source (a microphone) pushes its samples as they are captured: `push_audio`.
Either way a frame leaves when its last sample exists, so a packet is one frame old when it is
sent. That is the packetization delay of the latency budget.

This module knows no header, no session and no network.
"""

from random import Random
from typing import Protocol

from labkit.codec.face import Codec
from labkit.core.framer import Frame, Framer
from labkit.core.packetizer import MAX_PAYLOAD, Packetizer
from labkit.words.format import Samples
from labkit.words.packet import Packet
from labkit.words.seqnum import Unwrapper, add32, ahead32
from labkit.words.trace import Did, Trace
from labkit.words.units import ticks_to_ns


class Source(Protocol):
    """Sound that can be read at any pace."""

    @property
    def sample_rate(self) -> int:
        """Samples a second."""

    @property
    def channels(self) -> int:
        """1 or 2."""

    def read(self, samples: int) -> Samples | None:
        """The next samples, fewer at the end, None after it."""


class Voice:
    """Makes the packets of one stream.

    Sequence numbers start below 2**15, so that whoever misses the first packets of a stream still
    counts its wraps right; timestamps start anywhere (RFC 3550 section 5.1). Both come from `rng`.
    """

    def __init__(
        self,
        codec: Codec,
        source: Source | None = None,
        *,
        rng: Random | None = None,
        trace: Trace | None = None,
        limit: int = MAX_PAYLOAD,
    ) -> None:
        rng = rng or Random()
        self.codec = codec
        self.source = source
        self.first_timestamp = rng.getrandbits(32)
        self.trace = trace if trace is not None else Trace()
        self.started: int | None = None
        """When the first sample was captured."""
        self.finished = False
        """The source has ended and its last frame is sent."""
        self.frame_ns = ticks_to_ns(codec.frame_samples, codec.sample_rate)
        self._encoder = codec.encoder()
        self._frame_ticks = codec.frame_samples * codec.format.clock_rate // codec.sample_rate
        self._timestamp = self.first_timestamp
        self._ticks = 0  # media time since the start, which does not wrap
        self._framer = Framer(codec.frame_samples, codec.channels)
        self._packetizer = Packetizer(
            codec.format,
            limit=limit,
            ssrc=rng.getrandbits(32) or 1,
            first_seq=rng.getrandbits(15),
        )
        self._unwrap = Unwrapper(16)
        self._due: int | None = None

    @property
    def ssrc(self) -> int:
        """The synchronisation source of this stream."""
        return self._packetizer.ssrc

    @property
    def adapts(self) -> bool:
        """Whether the codec can change its bitrate while it speaks."""
        return hasattr(self._encoder, "bitrate")

    def adapt(self, bitrate: int) -> None:
        """From the next frame on, `bitrate` bits of payload a second, if the codec can do that."""
        if self.adapts:
            self._encoder.bitrate = bitrate  # type: ignore[attr-defined]

    def start(self, now: int) -> None:
        """Begin to read a paced source: its first sample is captured now."""
        if self.source is not None and self.started is None:
            self.started = now
            self._due = now + self.frame_ns

    def deadline(self) -> int | None:
        """When the next frame of a paced source is complete."""
        return self._due

    def tick(self, now: int) -> list[Packet]:
        """Read, encode and pack every frame that is complete by now."""
        packets: list[Packet] = []
        while self._due is not None and self._due <= now:
            assert self.source is not None
            instant = self._due
            self._due += self.frame_ns
            samples = self.source.read(self.codec.frame_samples)
            if samples is None:
                self._due = None
                self.finished = True
                packets += self._pack(self._framer.flush(), instant)
            else:
                packets += self._pack(self._framer.push(samples), instant)
        return packets

    def push_audio(self, samples: Samples, now: int) -> list[Packet]:
        """Take captured samples of any number, the last of them captured now."""
        if self.started is None:
            self.started = now - ticks_to_ns(len(samples), self.codec.sample_rate)
        return self._pack(self._framer.push(samples), now)

    def _captured(self, ticks: int) -> int:
        """When the sample so many ticks after the first was captured."""
        assert self.started is not None
        return self.started + ticks_to_ns(ticks, self.codec.format.clock_rate)

    def _pack(self, frames: list[Frame], now: int) -> list[Packet]:
        packets: list[Packet] = []
        for frame in frames:
            pieces = self._make(frame.samples)
            for packet in pieces:
                seq = self._unwrap(packet.seq)
                ticks = self._ticks + ahead32(packet.timestamp, self._timestamp)
                self.trace.add((self._captured(ticks), Did.CAPTURED, seq, 0))
                self.trace.add((now, Did.SENT, seq, len(packet.payload)))
            packets += pieces
            self._ticks += self._frame_ticks
            self._timestamp = add32(self._timestamp, self._frame_ticks)
        return packets

    def _make(self, samples: Samples) -> list[Packet]:
        """The packets of one frame."""
        return self._packetizer.packetize(self._encoder.encode(samples), self._timestamp)

"""Who speaks with whom in a capture: TCP connections and streams of voice.

Packets go in, in the order of the capture, and are counted as people count: sequence numbers of
TCP from 0 in both directions, windows in bytes; numbers and timestamps of voice without wraps.

This module judges nothing but what TCP itself repeats.
"""

from dataclasses import dataclass, field

from labkit.lab.dissection import Layer
from labkit.lab.seen import Seen
from labkit.wire.ip import Endpoint
from labkit.words.seqnum import SEQ_BITS, TIMESTAMP_BITS, Unwrapper, ahead32

# TCP -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment. Numbers are relative: the SYN has 0, the first byte of data 1."""

    packet: Seen
    from_client: bool
    seq: int
    ack: int
    size: int
    """Bytes of data."""
    flags: str
    """Such as "SYN ACK"."""
    window: int
    """What the sender of this segment has room for, in bytes, scale applied."""
    repeated: bool
    """It begins with something that was sent before."""
    probe: bool
    """A keep-alive or a probe of a closed window: the byte before what is due, or nothing."""

    @property
    def now(self) -> int:
        """When it passed the capture."""
        return self.packet.now

    @property
    def end(self) -> int:
        """The number after its last byte; SYN and FIN count as one."""
        return self.seq + self.size + ("SYN" in self.flags) + ("FIN" in self.flags)

    def __str__(self) -> str:
        parts = [self.flags or "no flags", f"seq {self.seq}"]
        parts += [f"ack {self.ack}"] if "ACK" in self.flags else []
        parts += [f"{self.size} bytes"] if self.size else [f"window {self.window}"]
        return ", ".join(parts)


class Connection:
    """One TCP connection: who opened it, and every segment in the order of the capture."""

    def __init__(self, client: Endpoint, server: Endpoint) -> None:
        self.client = client
        self.server = server
        self.segments: list[Segment] = []
        self._first: dict[bool, int] = {}
        self._sent: dict[bool, int] = {}
        self._shift: dict[bool, int] = {}
        self._pieces: dict[bool, dict[int, bytes]] = {True: {}, False: {}}

    def add(self, packet: Seen) -> Segment:
        """The next packet of this connection."""
        from_client = packet.source == self.client
        tcp = packet.found["TCP"]
        begin = tcp.parts[0].start // 8 + 4 * tcp["data offset"]
        end = begin + self._size(packet, tcp)
        flags = [name for name in ("SYN", "FIN", "RST", "PSH", "ACK") if tcp.get(name)]
        if "SYN" in flags:
            self._first[from_client] = tcp["sequence number"]
            self._shift[from_client] = tcp.get("shift") or 0
        seq = ahead32(tcp["sequence number"], self._zero(from_client, tcp["sequence number"] - 1))
        ack = ahead32(tcp["acknowledgment"], self._zero(not from_client, tcp["acknowledgment"] - 1))
        scaled = len(self._shift) == 2 and "SYN" not in flags
        sent = self._sent.get(from_client, 0)
        probe = end - begin <= 1 and seq == sent - 1 and not {"SYN", "FIN", "RST"} & {*flags}
        size = end - begin
        repeated = seq < sent and not probe and (size > 0 or bool({"SYN", "FIN"} & {*flags}))
        segment = Segment(
            packet,
            from_client,
            seq,
            ack if "ACK" in flags else 0,
            size,
            " ".join(flags),
            tcp["window"] << (self._shift[from_client] if scaled else 0),
            repeated,
            probe,
        )
        self._sent[from_client] = max(sent, segment.end)
        if size and not packet.lost:
            self._pieces[from_client].setdefault(seq, packet.data[begin:end])
        self.segments.append(segment)
        return segment

    def _zero(self, side: bool, otherwise: int) -> int:
        """The number of the SYN, or of what would have been it."""
        return self._first.setdefault(side, otherwise)

    @staticmethod
    def _size(packet: Seen, tcp: Layer) -> int:
        """Bytes of data on the wire: the packet may have been cut off in the capture."""
        host = packet.found["IP"]
        start = host.parts[0].start // 8
        total = host.get("total length") or 40 + (host.get("payload length") or 0)
        return start + total - tcp.parts[0].start // 8 - 4 * tcp["data offset"]

    def sent(self, *, by_client: bool) -> list[Segment]:
        """The segments of one side that carry data."""
        return [s for s in self.segments if s.from_client == by_client and s.size and not s.probe]

    def stream(self, *, by_client: bool) -> bytes:
        """The bytes that one side sent, in order, each once, up to the first gap."""
        out = bytearray()
        for seq, piece in sorted(self._pieces[by_client].items()):
            at = seq - 1
            if at > len(out):
                break
            out += piece[len(out) - at :]
        return bytes(out)

    def __repr__(self) -> str:
        ends = [":".join(map(str, end)) for end in (self.client, self.server)]
        return f"<Connection {' → '.join(ends)}: {len(self.segments)} segments>"


# Voice ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VoicePacket:
    """A packet of voice. Sequence number and timestamp do not wrap."""

    packet: Seen
    seq: int
    timestamp: int
    size: int
    """Bytes of payload."""
    marker: bool
    payload_type: int

    @property
    def now(self) -> int:
        """When it passed the capture."""
        return self.packet.now


@dataclass
class VoiceStream:
    """One stream of voice: what one source sends to one place."""

    header: str
    """"RTP", or "minirtp": ours of week 5."""
    source: Endpoint
    destination: Endpoint
    ssrc: int
    packets: list[VoicePacket] = field(default_factory=list)
    _seqs: Unwrapper = field(default_factory=lambda: Unwrapper(SEQ_BITS), repr=False)
    _times: Unwrapper = field(default_factory=lambda: Unwrapper(TIMESTAMP_BITS), repr=False)

    def add(self, packet: Seen, layer: Layer) -> None:
        """The next packet of this stream."""
        rtp = layer.name == "RTP"
        seq = layer["sequence number"] if rtp else layer["seq"]
        timestamp = layer["timestamp"] if rtp else layer["ts"]
        payload = layer.get("payload") or 0
        if packet.found.data and packet.found["IP"].get("more fragments"):
            payload = packet.found["UDP"]["length"] - 16
        self.packets.append(
            VoicePacket(
                packet,
                self._seqs(seq),
                self._times(timestamp),
                payload,
                bool(layer.get("M")),
                layer.get("PT") or 0,
            )
        )

    @property
    def arrived(self) -> list[VoicePacket]:
        """Those that the capture does not call lost."""
        return [p for p in self.packets if not p.packet.lost]

    def __repr__(self) -> str:
        ends = [":".join(map(str, end)) for end in (self.source, self.destination)]
        return f"<{self.header} {' → '.join(ends)}: {len(self.packets)} packets>"

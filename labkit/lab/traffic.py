"""What a capture holds, for people and pictures: packets, TCP connections, streams of voice.

    traffic = open_capture("call.pcapng")
    traffic[12]                       packet 12, as Wireshark counts: shows its bytes, with names
    traffic.connections[0].segments   a TCP connection, counted from 0 in both directions
    traffic.voices[0].packets         RTP, or our own header of week 5, in order of arrival

Small captures, some thousands of packets: each is looked into one by one, through the tables of
`labkit.lab.headers`. `labkit.wire.datagrams` reads large ones, a million packets a second.

This module draws nothing, and judges nothing but what TCP itself repeats.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final, overload

from labkit.lab.headers import LINKTYPE_IP, Dissection, Layer, dissect
from labkit.sim.tap import Crossing
from labkit.wire import ip
from labkit.wire.ip import Endpoint
from labkit.wire.pcap import ENHANCED_PACKET, OPT_COMMENT
from labkit.wire.pcapreader import PCAPNG_MAGIC, CaptureReader
from labkit.words.errors import BadInput, WireError
from labkit.words.seqnum import SEQ_BITS, TIMESTAMP_BITS, Unwrapper, ahead32

GONE: Final = ("lost", "queue dropped", "cut")
"""Comments of packets that were sent and did not arrive."""


@dataclass(frozen=True)
class Seen:
    """One packet of a capture."""

    number: int
    """From 1, as Wireshark counts."""
    now: int
    """When it passed the capture, in nanoseconds since 1970, or since the start of virtual time."""
    data: bytes
    """From the header that `link` names to the end, or as much of it as was kept."""
    size: int
    """How long it was on the wire, in bytes."""
    comment: str = ""
    """What the capture says of it: of ours, what befell it on the link."""
    link: int = LINKTYPE_IP
    arrived: int | None = None
    """When it came, where the capture was taken in virtual time and so knows both."""

    @cached_property
    def found(self) -> Dissection:
        """Every header and field."""
        return dissect(self.data, self.link)

    @property
    def lost(self) -> bool:
        """Whether the capture says that it did not arrive."""
        return any(word in self.comment for word in GONE)

    @cached_property
    def transport(self) -> Layer | None:
        """Its TCP or UDP header; later fragments of a datagram have none."""
        return self.found.get("TCP") or self.found.get("UDP")

    @cached_property
    def source(self) -> Endpoint:
        """Who sent it; port 0 when it has none."""
        return self._endpoint("source")

    @cached_property
    def destination(self) -> Endpoint:
        """Whom it is for."""
        return self._endpoint("destination")

    def _endpoint(self, side: str) -> Endpoint:
        host = self.found.get("IP")
        port = self.transport and self.transport.get(f"{side} port")
        known = host is not None and host.get(side) is not None
        return (host.text(side) if host and known else "?", port or 0)

    def __str__(self) -> str:
        names = " > ".join(layer.name for layer in self.found.layers)
        (here, port), (there, to) = self.source, self.destination
        remark = f"  ({self.comment})" if self.comment else ""
        return f"{self.number}: {here}:{port} → {there}:{to}  {names}, {self.size} bytes{remark}"

    def _repr_html_(self) -> str:
        from labkit.lab.bytemap import bytemap

        return f"<div>{self}</div>" + bytemap(self)._repr_html_()


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


# A capture -----------------------------------------------------------------------------------


class Traffic:
    """The packets of a capture, in its order; `traffic[1]` is the first, as Wireshark counts."""

    def __init__(self, packets: Iterable[Seen], name: str = "") -> None:
        self.name = name
        self.packets = list(packets)
        self.problem: WireError | None = None
        """What is wrong with the file, if anything: what stands before the damage is here."""

    @property
    def start(self) -> int:
        """When the first packet passed."""
        return self.packets[0].now if self.packets else 0

    @cached_property
    def connections(self) -> list[Connection]:
        """TCP connections, in the order in which they began."""
        found: list[Connection] = []
        current: dict[frozenset[Endpoint], Connection] = {}
        for packet in self.packets:
            tcp = packet.found.get("TCP")
            if tcp is None or tcp.get("window") is None:
                continue
            key = frozenset((packet.source, packet.destination))
            opens = tcp["SYN"] and not tcp["ACK"]
            known = current.get(key)
            if known is None or (opens and any("FIN" in s.flags for s in known.segments)):
                first = packet.destination if tcp["SYN"] and tcp["ACK"] else packet.source
                other = packet.source if first == packet.destination else packet.destination
                known = current[key] = Connection(first, other)
                found.append(known)
            known.add(packet)
        return found

    @cached_property
    def voices(self) -> list[VoiceStream]:
        """Streams of voice, in the order in which they began."""
        found: dict[tuple[Endpoint, Endpoint, int], VoiceStream] = {}
        for packet in self.packets:
            layer = packet.found.get("RTP") or packet.found.get("minirtp")
            if layer is None or layer.get("kind") or packet.found.problem:
                continue
            ssrc = layer.get("SSRC") or 0
            key = packet.source, packet.destination, ssrc
            if key not in found:
                found[key] = VoiceStream(layer.name, packet.source, packet.destination, ssrc)
            found[key].add(packet, layer)
        return list(found.values())

    def __len__(self) -> int:
        return len(self.packets)

    def __iter__(self) -> Iterator[Seen]:
        return iter(self.packets)

    @overload
    def __getitem__(self, number: int) -> Seen: ...
    @overload
    def __getitem__(self, number: slice) -> "Traffic": ...

    def __getitem__(self, number: int | slice) -> "Seen | Traffic":
        """A packet by its number, from 1; or several: `traffic[3:5]` is packets 3 and 4."""
        if isinstance(number, slice):
            return Traffic(self.packets[_from_one(number)], self.name)
        if not 1 <= number <= len(self):
            raise IndexError(f"packets 1 to {len(self)}, not {number}")
        return self.packets[number - 1]

    def __repr__(self) -> str:
        end = self.packets[-1].now if self.packets else 0
        whose = f" of {self.name}" if self.name else ""
        return f"<{len(self)} packets{whose}, {(end - self.start) / 1e9:.3f} s>"


def _from_one(numbers: slice) -> slice:
    """A slice of numbers as one of places."""
    start = None if numbers.start is None else max(numbers.start - 1, 0)
    stop = None if numbers.stop is None else max(numbers.stop - 1, 0)
    return slice(start, stop, numbers.step)


def open_capture(path: str | Path) -> Traffic:
    """Read a pcap or pcapng file. What stands before damage is kept, see `problem`."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"there is no capture {path}", "`labkit captures list` shows ours")
    data = path.read_bytes()
    reader = CaptureReader()
    records = reader.receive(data)
    reader.receive_eof()
    whole = records.data.tobytes()
    is_ng = data[:4] == PCAPNG_MAGIC
    columns = (records.time, records.start, records.captured, records.wire, records.link)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    traffic = Traffic(
        (
            Seen(
                number,
                now,
                whole[start : start + kept],
                size,
                _comment(whole, start, kept) if is_ng else "",
                link,
            )
            for number, (now, start, kept, size, link) in enumerate(rows, 1)
        ),
        path.stem,
    )
    traffic.problem = reader.error
    return traffic


def _comment(data: bytes, start: int, kept: int) -> str:
    """The comment behind a packet of a pcapng file: the option of its block with code 1."""
    begin = start - 28
    order = "<" if data[begin : begin + 4] == ENHANCED_PACKET.to_bytes(4, "little") else ">"
    (size,) = struct.unpack_from(order + "I", data, begin + 4)
    at, end = start + kept + -kept % 4, begin + size - 4
    while at + 4 <= end:
        code, length = struct.unpack_from(order + "HH", data, at)
        if code == OPT_COMMENT:
            return data[at + 4 : at + 4 + length].decode(errors="replace")
        if code == 0:
            break
        at += 4 + length + -length % 4
    return ""


def from_tap(sent: Sequence[Crossing], arrived: Sequence[Crossing] = ()) -> Traffic:
    """What a `Tap` kept of datagrams, with both times: when each was sent, and when it came.

    The same bytes from the same sender are the same packet, as far as the times allow.
    """
    came: dict[tuple[object, bytes], list[int]] = {}
    for crossing in sorted(arrived, key=lambda one: one.now):
        came.setdefault((crossing.source, crossing.data), []).append(crossing.now)
    packets = []
    for number, crossing in enumerate(sorted(sent, key=lambda one: one.now), 1):
        source, destination = (_endpoint(end) for end in (crossing.source, crossing.destination))
        data = ip.udp(crossing.data, source, destination)
        packet = Seen(number, crossing.now, data, len(data), crossing.verdict)
        if not packet.lost:
            times = came.get((crossing.source, crossing.data), [])
            packet = replace(packet, arrived=_first_after(times, crossing.now))
        packets.append(packet)
    return Traffic(packets)


def _first_after(times: list[int], now: int) -> int | None:
    """Take the first of these times that is not before now."""
    while times:
        if (time := times.pop(0)) >= now:
            return time
    return None


def _endpoint(address: object) -> Endpoint:
    match address:
        case (str(host), int(port)):
            return host, port
    raise BadInput(f"{address!r} is no (host, port)", "World.add(machine, ('10.0.0.1', 5004))")

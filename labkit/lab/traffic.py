"""What a capture holds, for people and pictures: packets, TCP connections, streams of voice.

    traffic = open_capture("call.pcapng")
    traffic[12]                       packet 12, as Wireshark counts: shows its bytes, with names
    traffic.connections[0].segments   a TCP connection, counted from 0 in both directions
    traffic.voices[0].packets         RTP, or our own header of week 5, in order of arrival

Small captures, some thousands of packets: each is looked into one by one, through the tables of
`labkit.lab.headers`. `labkit.wire.datagrams` reads large ones, a million packets a second.

This module draws nothing.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import overload

from labkit.lab.conversations import Connection, VoiceStream
from labkit.lab.laterlayers import QUIC_VERSION
from labkit.lab.seen import Seen
from labkit.sim.tap import Crossing
from labkit.wire import ip
from labkit.wire.ip import Endpoint
from labkit.wire.pcap import ENHANCED_PACKET, OPT_COMMENT
from labkit.wire.pcapreader import PCAPNG_MAGIC, CaptureReader
from labkit.words.errors import BadInput, WireError


class Traffic:
    """The packets of a capture, in its order; `traffic[1]` is the first, as Wireshark counts."""

    def __init__(self, packets: Iterable[Seen], name: str = "") -> None:
        self.name = name
        self.packets = _knowing_quic(list(packets))
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


def _knowing_quic(packets: list[Seen]) -> list[Seen]:
    """The same, with a word at those whose flow began with a long header of QUIC.

    Only such a header says what it is, and looking for its version costs next to nothing.
    """
    version = QUIC_VERSION.to_bytes(4)
    flows = {
        frozenset((each.source, each.destination))
        for each in packets
        if version in each.data[:64] and each.found.get("QUIC") is not None
    }
    if not flows:
        return packets
    return [
        replace(each, quic=True) if frozenset((each.source, each.destination)) in flows else each
        for each in packets
    ]


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

"""UDP datagrams out of captured packets, as columns: link layer, IP, UDP.

    reader = DatagramReader()
    found = reader.read(records)       time, where the payload is, and which flow it belongs to
    reader.flows                       the flows: both addresses and ports
    reader.others                      what was no UDP, by name and number

IPv4 (RFC 791) and IPv6 (RFC 8200) with its extension headers, on any link that
`labkit.wire.linklayer` knows; what was cut into fragments is put together again by
`labkit.wire.fragments`.

Each step takes all packets of a batch at once. Addresses become a number, the flow, as soon as they
are read, and a Python loop runs over flows and fragments only.

This module checks lengths and no checksums: captures are taken before the network card fills them
in. It knows nothing of what is in a datagram.
"""

from collections import Counter
from ipaddress import ip_address
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from labkit.wire.columns import EMPTY, PAD, Bytes, Column, Mask, grouped, joined, pull
from labkit.wire.fragments import Fragment, Reassembler
from labkit.wire.ip import PROTOCOL_UDP, Endpoint
from labkit.wire.linklayer import TYPE_IPV4, TYPE_IPV6, after_link, ethertype_name
from labkit.wire.pcapreader import Records

EXTENSIONS: Final = (0, 43, 60, 135, 139, 140)
"""IPv6 headers that say their length in units of 8 bytes, less one (RFC 6564)."""
AUTHENTICATION: Final = 51
"""Says it in units of 4, less two (RFC 4302)."""
FRAGMENT: Final = 44
MOST_EXTENSIONS: Final = 8

IPV4: Final = np.dtype(
    [
        ("version", "u1"), ("tos", "u1"), ("length", ">u2"), ("id", ">u2"), ("fragment", ">u2"),
        ("ttl", "u1"), ("protocol", "u1"), ("checksum", ">u2"), ("addresses", ">u8"),
    ]
)  # fmt: skip
IPV6: Final = np.dtype(
    [
        ("version", ">u4"), ("length", ">u2"), ("next", "u1"), ("hops", "u1"),
        ("a", ">u8"), ("b", ">u8"), ("c", ">u8"), ("d", ">u8"),
    ]
)  # fmt: skip
UDP: Final = np.dtype([("ports", ">u4"), ("length", ">u2"), ("checksum", ">u2")])
UDP_SIZE: Final = 8
MORE_FRAGMENTS: Final = 0x2000
FRAGMENT_BITS: Final = 0x3FFF
"""More to come, or not the first."""

MAX_FLOWS: Final = 65_536
"""Flows told apart; datagrams of any more are counted among the others."""

PROTOCOLS: Final = {1: "ICMP", 2: "IGMP", 6: "TCP", 47: "GRE", 50: "ESP", 58: "ICMPv6", 132: "SCTP"}

Words = npt.NDArray[np.uint64]


class Flow(NamedTuple):
    """Who sends to whom."""

    source: Endpoint
    destination: Endpoint


class Datagrams(NamedTuple):
    """UDP payloads: columns of equal length, in the order in which they were complete."""

    data: Bytes
    number: Column
    """Of the packet that completed it; the first of a file is 1."""
    time: Column
    """Nanoseconds since 1970."""
    start: Column
    """Where the payload begins in `data`."""
    size: Column
    """How long it is, by its header."""
    captured: Column
    """How much of it was kept."""
    flow: Column
    """Index into `DatagramReader.flows`."""


class _Segments(NamedTuple):
    """What is in IP packets of one version: rows of the batch, and where their payload is."""

    row: Column
    start: Column
    end: Column
    protocol: Column
    words: list[Words]
    """The addresses, in 64 bits each."""


class DatagramReader:
    """Records in, datagrams out; it remembers flows and unfinished fragments."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.others: Counter[str] = Counter()
        """Packets that were no UDP datagram, or no whole one, by what they are."""
        self._index: dict[tuple[int, ...], int] = {}
        self._fragments = Reassembler()

    def read(self, records: Records) -> Datagrams:
        """The datagrams in these packets."""
        place, ethertype = self._link_layer(records)
        end = records.start + records.captured
        data = records.data
        v4 = self._ipv4(records, place, end, np.flatnonzero(ethertype == TYPE_IPV4))
        v6 = self._ipv6(records, place, end, np.flatnonzero(ethertype == TYPE_IPV6))
        late = self._fragments.finished()
        parts = [self._udp(data, v4, end), self._udp(data, v6, end)]
        if late:
            data, extra, extra_end = _appended(data, late, end)
            parts += [self._udp(data, segments, extra_end) for segments in extra]
        row, start, size, captured, flow = (np.concatenate(c) for c in zip(*parts, strict=True))
        if sum(len(part[0]) > 0 for part in parts) > 1:
            order = np.argsort(row, kind="stable")
            row, start, size, captured, flow = (
                column[order] for column in (row, start, size, captured, flow)
            )
        return Datagrams(data, records.first + row, records.time[row], start, size, captured, flow)

    # Link layers ------------------------------------------------------------------------------

    def _link_layer(self, records: Records) -> tuple[Column, Column]:
        """Where each packet's IP header is, and the type that the link layer gives it."""
        place, ethertype = records.start.copy(), np.zeros(len(records.start), np.int64)
        for link in np.unique(records.link):
            rows = np.flatnonzero(records.link == link)
            at, end = records.start[rows], records.start[rows] + records.captured[rows]
            place[rows], ethertype[rows] = after_link(records.data, at, end, int(link))
        unknown = (ethertype != TYPE_IPV4) & (ethertype != TYPE_IPV6)
        if unknown.any():
            types, counts = np.unique(ethertype[unknown], return_counts=True)
            for kind, count in zip(types.tolist(), counts.tolist(), strict=True):
                self.others[ethertype_name(kind)] += count
        return place, ethertype

    # IP ---------------------------------------------------------------------------------------

    def _ipv4(self, records: Records, place: Column, end: Column, row: Column) -> _Segments:
        data = records.data
        row = self._whole("IPv4, cut off", row, end[row] - place[row] >= 20)
        at = place[row]
        header = pull(data, IPV4, at)
        head = (header["version"].astype(np.int64) & 15) * 4
        length = header["length"].astype(np.int64)
        length = np.where(length == 0, end[row] - at, length)  # left to the network card
        good = (header["version"] >> 4 == 4) & (head >= 20) & (length >= head)
        good &= end[row] - at >= head
        fragment = header["fragment"].astype(np.int64) & FRAGMENT_BITS
        pieces = good & (fragment > 0)
        if pieces.any():
            for i in np.flatnonzero(pieces).tolist():
                stop = min(int(at[i] + length[i]), int(end[row[i]]))
                self._fragments.add(
                    Fragment(
                        row=int(row[i]),
                        key=(int(header["addresses"][i]), int(header["id"][i])),
                        protocol=int(header["protocol"][i]),
                        words=(int(header["addresses"][i]),),
                        offset=int(fragment[i] & 0x1FFF) * 8,
                        data=data[int(at[i] + head[i]) : stop].tobytes(),
                        whole=stop == int(at[i] + length[i]),
                        last=not fragment[i] & MORE_FRAGMENTS,
                        now=int(records.time[row[i]]),
                    )
                )
            self.others["IP fragment"] += int(np.count_nonzero(pieces))
        if not good.all():
            self.others["IPv4, malformed"] += int(np.count_nonzero(~good))
        if not (keep := good & ~pieces).all():
            row, at, head, length, header = (c[keep] for c in (row, at, head, length, header))
        protocol = header["protocol"].astype(np.int64)
        words = [header["addresses"].astype(np.uint64)]
        return _Segments(row, at + head, at + length, protocol, words)

    def _ipv6(self, records: Records, place: Column, end: Column, row: Column) -> _Segments:
        data = records.data
        row = self._whole("IPv6, cut off", row, end[row] - place[row] >= 40)
        at = place[row]
        header = pull(data, IPV6, at)
        length = header["length"].astype(np.int64)
        stop = np.where(length == 0, end[row], at + 40 + length)
        row = self._whole("IPv6, malformed", row, good := header["version"] >> 28 == 6)
        at, header, stop = at[good], header[good], stop[good]
        start, protocol = at + 40, header["next"].astype(np.int64)
        start, protocol = _skip_extensions(data, start, np.minimum(stop, end[row]), protocol)
        words = [header[name].astype(np.uint64) for name in "abcd"]
        pieces = protocol == FRAGMENT
        if pieces.any():
            for i in np.flatnonzero(pieces).tolist():
                self._ipv6_fragment(records, int(row[i]), int(start[i]), int(stop[i]), words, i)
            self.others["IP fragment"] += int(np.count_nonzero(pieces))
            row, start, stop, protocol = (c[~pieces] for c in (row, start, stop, protocol))
            words = [word[~pieces] for word in words]
        return _Segments(row, start, stop, protocol, words)

    def _ipv6_fragment(
        self, records: Records, row: int, start: int, stop: int, words: list[Words], i: int
    ) -> None:
        """RFC 8200 section 4.5: next header, reserved, offset and flags, identification."""
        data = records.data
        end = int(records.start[row] + records.captured[row])
        if end - start < 8:
            return
        bits = int(data[start + 2]) << 8 | int(data[start + 3])
        identification = int.from_bytes(data[start + 4 : start + 8].tobytes(), "big")
        addresses = tuple(int(word[i]) for word in words)
        self._fragments.add(
            Fragment(
                row=row,
                key=(*addresses, identification),
                protocol=int(data[start]),
                words=addresses,
                offset=bits >> 3 << 3,
                data=data[start + 8 : min(stop, end)].tobytes(),
                whole=stop <= end,
                last=not bits & 1,
                now=int(records.time[row]),
            )
        )

    # UDP --------------------------------------------------------------------------------------

    def _udp(
        self, data: Bytes, segments: _Segments, end: Column
    ) -> tuple[Column, Column, Column, Column, Column]:
        """Row, start, size, bytes kept, and flow of each datagram in these segments."""
        row, start, stop, protocol, words = segments
        if not (udp := protocol == PROTOCOL_UDP).all():
            kinds, counts = np.unique(protocol[~udp], return_counts=True)
            for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
                self.others[PROTOCOLS.get(kind, f"IP protocol {kind}")] += count
            row, start, stop = row[udp], start[udp], stop[udp]
            words = [word[udp] for word in words]
        captured = np.minimum(stop, end[row]) - start
        header = pull(data, UDP, start)
        length = header["length"].astype(np.int64)
        length = np.where(length == 0, stop - start, length)  # a jumbogram, or left to the card
        good = (captured >= UDP_SIZE) & (length >= UDP_SIZE) & (length <= stop - start)
        ports = header["ports"].astype(np.uint64)
        if not good.all():
            self.others["UDP, malformed"] += int(np.count_nonzero(~good))
            row, start, length, captured = (c[good] for c in (row, start, length, captured))
            ports = ports[good]
            words = [word[good] for word in words]
        flow = self._flows_of([*words, ports])
        size = length - UDP_SIZE
        kept = np.minimum(captured - UDP_SIZE, size)
        if len(flow) and flow.min() < 0:
            known = flow >= 0
            self.others[f"UDP of flows beyond {MAX_FLOWS}"] += int(np.count_nonzero(~known))
            row, start, size, kept, flow = (c[known] for c in (row, start, size, kept, flow))
        return row, start + UDP_SIZE, size, kept, flow

    def _flows_of(self, words: list[Words]) -> Column:
        """The flow of each row. Rows are told apart by a digest, and compared in full."""
        if not len(words[0]):
            return EMPTY
        digest = np.zeros(len(words[0]), np.uint64)
        for word in words:
            digest = (digest ^ word) * np.uint64(0x9E3779B97F4A7C15)
            digest ^= digest >> np.uint64(29)
        _, first, inverse = grouped(digest)
        for i in np.sort(first).tolist():
            self._flow(words, i)  # numbered in the order in which they come
        flows = np.array([self._flow(words, i) for i in first.tolist()], np.int64)
        found: Column = flows[inverse]
        strange = np.zeros(len(found), np.bool_)
        for word in words:
            strange |= word != word[first][inverse]
        for i in np.flatnonzero(strange).tolist():  # two flows, one digest
            found[i] = self._flow(words, i)
        return found

    def _flow(self, words: list[Words], i: int) -> int:
        """The index of the flow of row `i`; -1 when there are too many."""
        key = tuple(int(word[i]) for word in words)
        index = self._index.get(key)
        if index is None:
            if len(self.flows) >= MAX_FLOWS:
                return -1
            index = self._index[key] = len(self.flows)
            self.flows.append(_flow_from(key))
        return index

    def _whole(self, name: str, row: Column, good: Mask) -> Column:
        """The rows that are good; the others are counted."""
        if good.all():
            return row
        self.others[name] += int(np.count_nonzero(~good))
        return row[good]


def _skip_extensions(
    data: Bytes, start: Column, end: Column, protocol: Column
) -> tuple[Column, Column]:
    """Past IPv6's extension headers, all rows that have one at a time; up to a fragment header."""
    for _ in range(MOST_EXTENSIONS):
        rows = np.flatnonzero(np.isin(protocol, (*EXTENSIONS, AUTHENTICATION)) & (start < end))
        if not len(rows):
            break
        units = data[start[rows] + 1].astype(np.int64)
        size = np.where(protocol[rows] == AUTHENTICATION, (units + 2) * 4, (units + 1) * 8)
        protocol[rows] = data[start[rows]]
        start[rows] = np.minimum(start[rows] + size, end[rows])
    return start, protocol


def _appended(
    data: Bytes, late: list[Fragment], end: Column
) -> tuple[Bytes, list[_Segments], Column]:
    """The reassembled packets behind the data, as segments, and an `end` that lets them through."""
    segments = []
    at = len(data) - PAD
    extra_end = end.copy()
    for whole in late:
        stop = at + len(whole.data)
        extra_end[whole.row] = stop
        segments.append(
            _Segments(
                np.array([whole.row]),
                np.array([at]),
                np.array([stop]),
                np.array([whole.protocol]),
                [np.array([word], np.uint64) for word in whole.words],
            )
        )
        at = stop
    return joined(data[:-PAD], *(whole.data for whole in late)), segments, extra_end


def _flow_from(key: tuple[int, ...]) -> Flow:
    *words, ports = key
    if len(words) == 1:
        source, destination = words[0] >> 32, words[0] & 0xFFFFFFFF
        hosts = [str(ip_address(host.to_bytes(4, "big"))) for host in (source, destination)]
    else:
        pairs = (words[0] << 64 | words[1], words[2] << 64 | words[3])
        hosts = [str(ip_address(host.to_bytes(16, "big"))) for host in pairs]
    return Flow((hosts[0], ports >> 16), (hosts[1], ports & 0xFFFF))

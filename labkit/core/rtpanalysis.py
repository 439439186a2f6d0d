"""Which UDP datagrams of a capture are RTP, and what each stream tells: RFC 3550 appendix A.1.

Nothing in a datagram says "RTP". It looks like one when the version is 2, the header fits, and it
is not RTCP (RFC 5761); a *stream* it is when datagrams of one flow and one SSRC follow each other
as numbered packets do. So every candidate is on probation until it has `PROBATION` packets, and
what does not keep step was something else: DNS keeps one "sequence number" for ever, and ciphertext
jumps about.

What a payload type means is said by SDP, and a capture often holds it: in SIP over UDP, or in a
comment. Else the fixed types of RFC 3551 count. For any other the clock rate is estimated, and
labkit's own types are believed when it agrees.

SRTP looks like RTP: its header stays in the clear (RFC 3711 section 3.1). `protection` says what
gives it away: SDP, a DTLS handshake on the same ports, or reports of which only the first eight
bytes make sense.

This module reads no files and plays no sound.
"""

from collections import Counter
from typing import Final, NamedTuple

import numpy as np

from labkit.core.payloadtypes import PayloadTypes
from labkit.core.rtpstream import ROW, Rows, RtpStream
from labkit.wire.columns import Bytes, Column, Mask, grouped, pull
from labkit.wire.datagrams import Datagrams, Flow
from labkit.words.format import AudioFormat

HEADER: Final = np.dtype(
    [("first", "u1"), ("second", "u1"), ("seq", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4")]
)
"""RTP's fixed header: `labkit.wire.rtp` draws it."""

PROBATION: Final = 32
"""Packets after which a candidate is judged; at the end of the capture, fewer."""
LEAST: Final = 3
"""Packets that a stream must have."""
PLAUSIBLE: Final = 0.8
"""The share of steps that must be those of a stream."""
MAX_CANDIDATES: Final = 4096
"""Candidates at a time: those that were silent for long go first."""

RTP, RTCP, STUN, DTLS, SIP, DNS, MINE, OTHER, SRTCP = range(9)
KINDS: Final = (
    "RTP", "RTCP", "STUN", "DTLS", "SIP", "DNS", "labkit datagram", "UDP, unknown", "SRTCP",
)  # fmt: skip
STUN_COOKIE: Final = 0x2112A442
SIP_STARTS: Final = np.array(
    [
        int.from_bytes(word, "big")
        for word in (
            b"SIP/", b"INVI", b"ACK ", b"BYE ", b"CANC", b"OPTI", b"REGI", b"PRAC", b"UPDA",
            b"SUBS", b"NOTI", b"INFO", b"REFE", b"MESS", b"PUBL",
        )
    ]
)  # fmt: skip
"""How SIP messages over UDP begin: RFC 3261 section 7 and its extensions."""


class FoundStream(NamedTuple):
    """One stream, and where it was found."""

    flow: Flow
    ssrc: int
    counts: RtpStream
    formats: dict[int, AudioFormat]
    """What each of its payload types means, as far as is known."""


class Conversation(NamedTuple):
    """What is no RTP."""

    flow: Flow
    kind: str
    packets: int
    octets: int


class _Candidate:
    """Packets of one flow and one SSRC that wait to be believed."""

    def __init__(self) -> None:
        self.batches: list[Rows] = []
        self.packets = 0
        self.seen = 0

    def add(self, rows: Rows) -> None:
        self.batches.append(rows.copy())
        self.packets += len(rows)
        self.seen = int(rows["number"][-1])


class RtpAnalysis:
    """Datagrams in, streams out. Without `timeline` memory does not grow with the capture."""

    def __init__(self, flows: list[Flow], *, timeline: bool = True) -> None:
        self._flows = flows
        self._keep = timeline
        self.payload_types = PayloadTypes()
        self._candidates: dict[int, _Candidate] = {}
        self._streams: dict[int, FoundStream] = {}
        self._packets: Counter[int] = Counter()  # by flow and kind
        self._octets: Counter[int] = Counter()

    @property
    def streams(self) -> list[FoundStream]:
        """The streams found so far, in the order of their first packets."""
        return sorted(self._streams.values(), key=lambda s: s.counts.first_number)

    @property
    def conversations(self) -> list[Conversation]:
        """Everything else that UDP carried, the busiest first."""
        rtp: Counter[int] = Counter()
        octets: Counter[int] = Counter()
        for key, stream in self._streams.items():
            rtp[key >> 32] += stream.counts.packets
            octets[key >> 32] += stream.counts.octets
        found = []
        for key, packets in self._packets.items():
            flow, kind = divmod(key, len(KINDS))
            size = self._octets[key]
            if kind == RTP:
                packets, size, kind = packets - rtp[flow], size - octets[flow], OTHER
            if packets > 0:
                found.append(Conversation(self._flows[flow], KINDS[kind], packets, size))
        return sorted(found, key=lambda c: -c.packets)

    def protection(self, flow: Flow) -> str:
        """What says that a flow is SRTP, in words; empty when nothing does."""
        if self.payload_types.is_protected(flow.destination):
            return "its SDP says so"
        # Reports may come to the same port or to the next one: RFC 5761, RFC 3550 section 11.
        ends = {(host, port + more) for host, port in flow for more in (0, 1)}
        seen: Counter[int] = Counter()
        for key, packets in self._packets.items():
            number, kind = divmod(key, len(KINDS))
            if set(self._flows[number]) <= ends:
                seen[kind] += packets
        if seen[DTLS]:
            return "there is a DTLS handshake on its ports"
        if seen[SRTCP] > seen[RTCP]:
            return "its reports are SRTCP"
        return ""

    def add(self, found: Datagrams) -> None:
        """Count one batch of datagrams."""
        header = pull(found.data, HEADER, found.start)
        payload, fits = _payload_sizes(found, header)
        kinds = _kinds(found, header, fits, self._flows)
        for row in np.flatnonzero(kinds == SIP):
            start = int(found.start[row])
            text = found.data[start : start + int(found.captured[row])].tobytes()
            self.payload_types.learn(text.decode(errors="replace"))
        self._tally(found.flow, kinds, np.where(kinds == RTP, payload, found.size))
        self._divide(found, header, payload, np.flatnonzero(kinds == RTP))
        self._forget()

    def finish(self) -> None:
        """The capture has ended: judge those that are still on probation."""
        for key in list(self._candidates):
            self._judge(key)
        for stream in self._streams.values():
            self.payload_types.explain(stream.flow.destination, stream.formats)

    def _tally(self, flow: Column, kinds: Column, sizes: Column) -> None:
        keys, _, inverse = grouped(flow * len(KINDS) + kinds)
        packets = np.bincount(inverse, minlength=len(keys))
        octets = np.bincount(inverse, weights=sizes, minlength=len(keys))
        for key, count, size in zip(keys.tolist(), packets.tolist(), octets.tolist(), strict=True):
            self._packets[key] += count
            self._octets[key] += int(size)

    def _divide(self, found: Datagrams, header: Rows, payload: Column, chosen: Column) -> None:
        """Hand the packets of each flow and SSRC to their stream or candidate."""
        if not len(chosen):
            return
        header = header[chosen]
        table = np.empty(len(chosen), ROW)
        table["number"], table["time"] = found.number[chosen], found.time[chosen]
        table["seq"], table["timestamp"] = header["seq"], header["timestamp"]
        table["size"] = payload[chosen]
        table["payload_type"] = header["second"] & 0x7F
        table["marker"] = header["second"] > 0x7F
        keys = found.flow[chosen] << 32 | header["ssrc"].astype(np.int64)
        unique, _, inverse = grouped(keys)
        counts = np.bincount(inverse)
        if len(unique) > 1:
            order = np.argsort(inverse.astype(np.uint32), kind="stable")
            table = table.view(np.dtype((np.void, ROW.itemsize)))[order].view(ROW)
        ends = np.cumsum(counts).tolist()
        for key, end, count in zip(unique.tolist(), ends, counts.tolist(), strict=True):
            self._hand(key, table[end - count : end])

    def _hand(self, key: int, rows: Rows) -> None:
        stream = self._streams.get(key)
        if stream is not None:
            self._count(stream, rows)
            return
        candidate = self._candidates.setdefault(key, _Candidate())
        candidate.add(rows)
        if candidate.packets >= PROBATION:
            self._judge(key)

    def _judge(self, key: int) -> None:
        """Believe a candidate, or forget it."""
        candidate = self._candidates.pop(key)
        if candidate.packets < LEAST:
            return
        flow = self._flows[key >> 32]
        stream = FoundStream(flow, key & 0xFFFFFFFF, RtpStream(timeline=self._keep), {})
        self._count(stream, np.concatenate(candidate.batches))
        counts = stream.counts
        if counts.plausible >= max(LEAST - 1, PLAUSIBLE * (counts.packets - 1)):
            self._streams[key] = stream

    def _count(self, stream: FoundStream, rows: Rows) -> None:
        rates = self.payload_types.rates(stream.flow.destination, stream.formats, rows)
        stream.counts.add(rows, rates)

    def _forget(self) -> None:
        """Drop the candidates that were silent longest when there are too many."""
        excess = len(self._candidates) - MAX_CANDIDATES
        if excess > 0:
            oldest = sorted(self._candidates, key=lambda key: self._candidates[key].seen)
            for key in oldest[:excess]:
                self._judge(key)


def _payload_sizes(found: Datagrams, header: Rows) -> tuple[Column, Mask]:
    """Bytes of payload, were each datagram RTP; and whether its header fits (RFC 3550 5.1)."""
    first = header["first"].astype(np.int64)
    fits = (found.captured >= HEADER.itemsize) & (first >> 6 == 2)
    head = HEADER.itemsize + 4 * (first & 15)
    if (extended := fits & (first & 0x10 > 0)).any():
        at = (found.start + head)[extended]
        at = np.minimum(at, len(found.data) - 4)
        head[extended] += 4 + 4 * pull(found.data, np.dtype(">u2"), at + 2).astype(np.int64)
    size = found.size - head
    fits &= size >= 0
    if (padded := fits & (first & 0x20 > 0) & (found.captured == found.size)).any():
        count = found.data[(found.start + found.size - 1)[padded]].astype(np.int64)
        size[padded] -= count
        fits[padded] &= (count > 0) & (size[padded] >= 0)
    return size, fits


def _kinds(found: Datagrams, header: Rows, fits: Mask, flows: list[Flow]) -> Column:
    """What each datagram looks like; the first that fits counts."""
    first, second = header["first"], header["second"]
    rtcp = (first >> 6 == 2) & (second >= 192) & (second <= 223) & (found.captured >= 8)
    if (fits & ~rtcp).all():
        return np.full(len(first), RTP)
    stun = (first < 4) & (header["timestamp"] == STUN_COOKIE) & (found.captured >= 20)
    dtls = (first >= 20) & (first <= 63) & (second == 0xFE) & (found.captured >= 13)
    sip = np.isin(_word(found.data, found.start), SIP_STARTS) & (found.captured >= 12)
    ports = np.array([53 in ends or 5353 in ends for ends in _ports(flows)], np.bool_)
    mine = (first == 1) & (second < 8) & (found.captured >= 8)
    closed = rtcp.copy()
    closed[rtcp] = _is_closed(found, np.flatnonzero(rtcp))
    conditions = [sip, ports[found.flow], closed, rtcp, stun, dtls, fits, mine]
    return np.select(conditions, [SIP, DNS, SRTCP, RTCP, STUN, DTLS, RTP, MINE], OTHER)


def _is_closed(found: Datagrams, rows: Column) -> Mask:
    """Which of these reports are encrypted behind their first eight bytes: RFC 3711 section 3.4.

    The first packet of a compound still says how long it is; but where the next one should begin
    there is no header of RTCP, and behind the last one stand an index and a tag.
    """
    start, size = found.start[rows], found.size[rows]
    first = 4 * (pull(found.data, np.dtype(">u2"), start + 2).astype(np.int64) + 1)
    more = first < size
    at = np.where(more & (first + 4 <= found.captured[rows]), start + first, start)
    head = pull(found.data, np.dtype([("first", "u1"), ("second", "u1")]), at)
    goes_on = (head["first"] >> 6 == 2) & (head["second"] >= 192) & (head["second"] <= 223)
    return np.asarray(more & ~goes_on)


def _word(data: Bytes, start: Column) -> Column:
    return pull(data, np.dtype(">u4"), start).astype(np.int64)


def _ports(flows: list[Flow]) -> list[tuple[int, int]]:
    return [(flow.source[1], flow.destination[1]) for flow in flows]

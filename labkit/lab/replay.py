"""Hear a capture: find its streams, run one through a jitter buffer, change the buffer, again.

    replay = Replay("call.pcapng")
    replay                                     the table of streams, and what else there is
    result = replay.play(0, policy=Fixed(ms(60)))
    result.listen(); result.show(); print(result)

The packets come to the buffer when they came to the capture, so what is late is what would have
been late there. `play` uses the receiver of every other lab; any part of it can be yours.

This module finds and drives; `labkit.lab.replayed` is what came of it.
"""

import asyncio
import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from labkit.codec.face import Codec
from labkit.codec.formats import codec_for
from labkit.core import timeline
from labkit.core.payloadtypes import UNKNOWN
from labkit.core.rtpanalysis import HEADER, Conversation, FoundStream, RtpAnalysis
from labkit.endpoints.receiver import Buffer, Finished, Heard, Receiver
from labkit.lab.capturefile import CaptureFile, Progress
from labkit.lab.recording import Arrival, Recording, sender_trace, steady
from labkit.lab.replayed import Replayed
from labkit.live.resend import Sending, resend
from labkit.wire import rtp
from labkit.wire.columns import Column, pull
from labkit.wire.datagrams import Datagrams
from labkit.wire.ip import Endpoint
from labkit.words.errors import BadInput, Encrypted, WireError
from labkit.words.machine import Event
from labkit.words.units import NS_PER_MS, NS_PER_S, seconds

LISTED: Final = 12
"""Other conversations that the table names one by one."""
PATIENCE: Final = seconds(60)
"""How long after the last packet a buffer may go on playing."""
COLUMNS: Final = (
    "", "from", "to", "SSRC", "codec", "packets", "lost", "reordered", "mean jitter", "max jitter",
    "length",
)  # fmt: skip


class Raw(NamedTuple):
    """One datagram of a stream, as it was on the wire."""

    time: int
    """Nanoseconds since 1970."""
    data: bytes
    cut: bool
    """The capture did not keep all of it."""


class Replay:
    """A capture file and the RTP streams in it; it prints itself as a table.

    Without `timeline` the packets are counted and not listed: memory does not grow with the file.
    """

    def __init__(
        self, path: str | Path, *, timeline: bool = True, progress: Progress | None = None
    ) -> None:
        self.path = Path(path)
        file = CaptureFile(path, progress)
        analysis = RtpAnalysis(file.reader.flows, timeline=timeline)
        comments = 0
        for found in file.datagrams():
            for comment in file.capture.comments[comments:]:
                analysis.payload_types.learn(comment)
            comments = len(file.capture.comments)
            analysis.add(found)
        analysis.finish()
        self.streams: list[FoundStream] = analysis.streams
        self.protections = [analysis.protection(stream.flow) for stream in self.streams]
        """What says of each stream that it is SRTP; empty: nothing does."""
        self.conversations: list[Conversation] = analysis.conversations
        """What else UDP carried."""
        self.others: dict[str, int] = dict(file.reader.others.most_common())
        """Packets that are no UDP, by what they are."""
        self.packets = file.capture.packets
        """All packets of the capture."""
        self.note = file.note
        """How far reading came, if the file is damaged."""
        self._raw: dict[int, list[Raw]] = {}

    # Playing ----------------------------------------------------------------------------------

    def play(
        self,
        stream: int = 0,
        *,
        policy: Any = None,
        buffer: Buffer | Callable[[], Buffer] | None = None,
        codec: Codec | None = None,
        fec: bool = True,
        conceal: bool = True,
    ) -> Replayed:
        """Run a stream through a jitter buffer and a decoder.

        `policy` is for our `JitterBuffer` (None: adaptive); `buffer` is one of yours, or a class
        or function that makes one. `codec` says what the payload is where the capture does not.
        `Encrypted` for SRTP, unless `codec` insists: then noise is heard, as by who has no key.
        """
        found = self._stream(stream)
        if self.protections[stream] and codec is None:
            raise Encrypted(
                f"stream {stream} is SRTP, which nobody hears without its keys: "
                f"{self.protections[stream]}",
                "--send HOST:PORT to somebody who has them, or another stream",
            )
        payload_type, codec = _codec_of(found, codec)
        arrivals = self._arrivals(stream, payload_type)
        fresh = buffer() if callable(buffer) and not hasattr(buffer, "push") else buffer
        receiver = Receiver(
            Recording(),
            codec,
            buffer=fresh() if isinstance(fresh, type) else fresh,  # type: ignore[arg-type]
            policy=policy,
            fec=fec,
            conceal=conceal,
        )
        heard = _drive(receiver, arrivals)
        if not heard:
            raise BadInput(
                f"none of {len(arrivals)} packets could be decoded as {codec.format.encoding}",
                "another codec, for example codec=Opus() or --codec opus",
            )
        sent = sender_trace(arrivals, codec)
        return Replayed(
            name=f"{self.path.name}, stream {stream}",
            stream=found,
            codec=codec,
            heard=heard,
            timeline=timeline.build(sent, receiver.trace),
            trace=receiver.trace,
            undecodable=receiver.undecodable,
        )

    def explore(self, stream: int = 0) -> Any:
        """Sliders for the buffer, with picture and sound; for notebooks."""
        from labkit.lab.replaylab import ReplayLab

        return ReplayLab(self, stream)

    async def send(
        self,
        stream: int,
        destination: Endpoint,
        *,
        stop: asyncio.Event | None = None,
        progress: Progress | None = None,
    ) -> Sending:
        """Put the packets of a stream on the wire again, with the timing of the capture."""
        raw = [each for each in self.raw(stream) if not each.cut]
        times = steady([each.time for each in raw])
        packets = [(time, each.data) for time, each in zip(times, raw, strict=True)]
        return await resend(packets, destination, stop=stop, progress=progress)

    # Packets ----------------------------------------------------------------------------------

    def raw(self, stream: int = 0) -> list[Raw]:
        """Every datagram of a stream, in order of arrival: a second pass over the file."""
        if stream not in self._raw:
            found = self._stream(stream)
            file = CaptureFile(self.path)
            packets: list[Raw] = []
            for batch in file.datagrams():
                packets += _chosen(batch, found, _index(file, found))
            self._raw[stream] = packets
        return self._raw[stream]

    def _arrivals(self, stream: int, payload_type: int) -> list[Arrival]:
        """The packets that a decoder gets, in nanoseconds after the first of the stream."""
        raw = self.raw(stream)
        arrivals = []
        cut = 0
        times = steady([each.time for each in raw])
        for time, (_, data, incomplete) in zip(times, raw, strict=True):
            cut += incomplete
            try:
                packet = rtp.unpack(data)
            except WireError:
                continue
            if packet.payload_type == payload_type and packet.payload and not incomplete:
                arrivals.append(Arrival(time, packet))
        if 2 * cut > len(raw):
            raise BadInput(
                f"{cut} of {len(raw)} packets were not kept whole by the capture",
                "capture again without a limit: tshark -s 0, tcpdump -s 0",
            )
        return arrivals

    def _stream(self, number: int) -> FoundStream:
        if not self.streams:
            raise BadInput(f"there is no RTP stream in {self.path}", f"labkit replay {self.path}")
        if not 0 <= number < len(self.streams):
            last = len(self.streams) - 1
            raise BadInput(f"there is no stream {number} in {self.path}", f"0 to {last}")
        return self.streams[number]

    # Forms ------------------------------------------------------------------------------------

    def rows(self) -> list[list[str]]:
        """The table of streams, a list of words for each."""
        return [
            _row(number, stream, "SRTP: " * bool(why))
            for number, (stream, why) in enumerate(zip(self.streams, self.protections, strict=True))
        ]

    @property
    def rest(self) -> list[str]:
        """What is not RTP, a line each; and how far reading came."""
        lines = []
        for each in self.conversations[:LISTED]:
            source, destination = map(_address, each.flow)
            lines.append(f"{each.kind}: {source} to {destination}, {each.packets} packets")
        if more := self.conversations[LISTED:]:
            lines.append(f"and {len(more)} more UDP flows, {sum(c.packets for c in more)} packets")
        lines += [f"{name}: {count} packets" for name, count in self.others.items()]
        return lines + ([self.note] if self.note else [])

    def _head(self) -> str:
        packets, streams = self.packets, len(self.streams)
        return (
            f"{self.path.name}: {packets} packet{'s' * (packets != 1)}, "
            f"{streams} RTP stream{'s' * (streams != 1)}"
        )

    def __str__(self) -> str:
        rows = [list(COLUMNS), *self.rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [_aligned(row, widths) for row in rows] if self.streams else ["no RTP stream"]
        return "\n".join([self._head(), *lines, *self.rest])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def line(cells: Sequence[str], tag: str) -> str:
            inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
            return f"<tr>{inner}</tr>"

        table = "".join([line(COLUMNS, "th"), *(line(row, "td") for row in self.rows())])
        rest = "".join(f"<div>{html.escape(text)}</div>" for text in self.rest)
        return f"<div><b>{html.escape(self._head())}</b></div><table>{table}</table>{rest}"


def _row(number: int, stream: FoundStream, protected: str = "") -> list[str]:
    counts = stream.counts
    source, destination = map(_address, stream.flow)
    return [
        str(number),
        source,
        destination,
        f"{stream.ssrc:#010x}",
        protected + ", ".join(_codec_name(stream, kind) for kind in counts.payload_types),
        str(counts.packets),
        f"{counts.missing} ({counts.loss:.1%})",
        str(counts.reordered),
        f"{counts.mean_jitter / NS_PER_MS:.3f} ms",
        f"{counts.max_jitter / NS_PER_MS:.3f} ms",
        f"{counts.duration / NS_PER_S:.1f} s",
    ]


def _codec_name(stream: FoundStream, payload_type: int) -> str:
    audio = stream.formats[payload_type]
    if audio.encoding == UNKNOWN:
        return f"type {payload_type}, about {audio.clock_rate} Hz"
    return f"{audio.encoding}/{audio.clock_rate}"


def _address(endpoint: Endpoint) -> str:
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, figures to the right."""
    cells = [
        cell.ljust(width) if column < 5 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _codec_of(found: FoundStream, codec: Codec | None) -> tuple[int, Codec]:
    """Which payload type is the sound, and what reads it: the busiest that somebody can read."""
    busiest = sorted(found.counts.payload_types, key=lambda t: -found.counts.payload_types[t])
    if codec is not None:
        return busiest[0], codec
    why = ""
    for kind in busiest:
        audio = found.formats[kind]
        if audio.encoding == UNKNOWN:
            why = why or f"nothing in the capture says what payload type {kind} is"
            continue
        try:
            return kind, codec_for(audio)
        except BadInput as error:
            why = why or error.what
    raise BadInput(why, "say it: codec=Opus() in a notebook, --codec opus on the command line")


def _index(file: CaptureFile, found: FoundStream) -> int:
    """The stream's flow, as this pass counts flows; -1 while it was not seen."""
    flows = file.reader.flows
    return flows.index(found.flow) if found.flow in flows else -1


def _chosen(batch: Datagrams, found: FoundStream, flow: int) -> list[Raw]:
    rows: Column = np.flatnonzero((batch.flow == flow) & (batch.captured >= HEADER.itemsize))
    header = pull(batch.data, HEADER, batch.start[rows])
    rtcp = (header["second"] >= 192) & (header["second"] <= 223)
    ours = (header["ssrc"] == found.ssrc) & (header["first"] >> 6 == 2) & ~rtcp
    packets = []
    for row in rows[ours].tolist():
        start, size = int(batch.start[row]), int(batch.captured[row])
        data = batch.data[start : start + size].tobytes()
        packets.append(Raw(int(batch.time[row]), data, size < int(batch.size[row])))
    return packets


def _drive(receiver: Receiver, arrivals: Sequence[Arrival]) -> list[Heard]:
    """Steps 1 to 5 of `labkit.words.machine`, with the capture as network and clock."""
    heard: list[Heard] = []
    finished = False

    def take(events: list[Event]) -> None:
        nonlocal finished
        for event in events:
            if isinstance(event, Heard):
                heard.append(event)
            finished |= isinstance(event, Finished)

    def wait(until: int) -> None:
        """Everything that is due before then."""
        due = receiver.deadline()
        while not finished and due is not None and due < until:
            receiver.tick(due)
            take(receiver.events())
            before, due = due, receiver.deadline()
            if due is not None and due <= before:
                break  # a buffer that does not move is asked again with the next packet

    now = 0
    for arrival in arrivals:
        wait(arrival.time)
        now = max(now, arrival.time)
        receiver.receive_datagram(arrival.packet, None, now)  # type: ignore[arg-type]
        take(receiver.events())
    receiver.close(now)
    take(receiver.events())
    wait(now + PATIENCE)
    return heard

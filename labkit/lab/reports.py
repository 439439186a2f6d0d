"""What RTCP said during a call, beside what became of the packets (week 7).

    print(reports(open_capture("call.pcapng")))      every report, a line each
    reports(result)                                  the same of a call that was captured
    reports(traffic).show()                          what they said of jitter and loss, in time

A capture that was taken where the voice arrives has everything: the packets of the voice, from
which jitter and loss follow, and the reports in which the listener told of them. The picture draws
the jitter after each packet as a line and what was reported as dots; below it, for each time
between two reports, the share that was lost in it.

This module measures nothing itself: `labkit.lab.plots` has the jitter, `labkit.wire.rtcp` reads.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from labkit.lab.conversations import VoiceStream
from labkit.lab.plots import clock_rate, jitters
from labkit.lab.seen import Seen
from labkit.lab.show import GREY, LATE, LINE, LOST, PLAYED, Picture, canvas
from labkit.lab.traffic import Traffic, from_tap
from labkit.sim.tap import Tap
from labkit.wire import rtcp
from labkit.wire.ip import Endpoint
from labkit.wire.rtcp import Bye, ReceiverReport, ReportBlock, RtcpPacket, SenderReport
from labkit.words.errors import BadInput, WireError
from labkit.words.units import NS_PER_S, SAMPLE_RATE

if TYPE_CHECKING:
    from labkit.lab.result import Result

UDP_HEADER: Final = 8


class Said(NamedTuple):
    """One packet of RTCP, as it passed."""

    now: int
    source: Endpoint
    packet: RtcpPacket


class Reports:
    """All that was said: it prints itself, and `show` draws."""

    def __init__(self, traffic: Traffic) -> None:
        self.said = list(_said(traffic))
        self.start = traffic.start
        self.stream: VoiceStream | None = next(iter(traffic.voices), None)
        self.rate = clock_rate(self.stream) if self.stream else SAMPLE_RATE

    @property
    def blocks(self) -> list[tuple[int, ReportBlock]]:
        """When each report on the first voice passed, and what it says."""
        wanted = self.stream.ssrc if self.stream else None
        return [
            (each.now, block)
            for each in self.said
            if isinstance(each.packet, SenderReport | ReceiverReport)
            for block in each.packet.reports
            if block.ssrc == wanted
        ]

    def __str__(self) -> str:
        lines = []
        for now, source, packet in self.said:
            if told := self._told(packet):
                lines.append(f"{(now - self.start) / NS_PER_S:7.3f} s  {source[0]:<10}  {told}")
        return "\n".join(lines)

    __repr__ = __str__

    def _told(self, packet: RtcpPacket) -> str:
        """In words; empty for what is no news, such as the name in each compound."""
        match packet:
            case SenderReport():
                return f"SR: {packet.packet_count} packets, {packet.octet_count} bytes sent" + (
                    "; " + self._blocks(packet.reports) if packet.reports else ""
                )
            case ReceiverReport(_, reports):
                return f"RR: {self._blocks(reports) or 'nothing has come yet'}"
            case Bye(_, reason):
                return f"BYE {reason}".strip()
        return ""

    def _blocks(self, blocks: Sequence[ReportBlock]) -> str:
        return "; ".join(
            f"{100 * block.fraction_lost / 256:.1f} % lost since the last, {block.cumulative_lost} "
            f"in all, jitter {1000 * block.jitter / self.rate:.1f} ms"
            for block in blocks
        )

    def show(self) -> Picture:
        """Above the jitter, below the share that was lost between two reports."""
        stream, blocks = self.stream, self.blocks
        if stream is None or not blocks:
            raise BadInput(
                "nobody reported on a voice here", "a capture of a call over RTP, some seconds long"
            )
        with canvas(height=2.3, rows=2) as (figure, rows):
            self._draw_jitter(rows[0], stream, blocks)
            self._draw_loss(rows[1], stream, blocks)
            figure.legend(loc="outside lower center", ncols=4)
        return Picture(figure, self._in_words(blocks))

    def _repr_png_(self) -> bytes | None:
        return self.show().png() if self.stream and self.blocks else None

    def _draw_jitter(self, axes: Any, stream: VoiceStream, blocks: Any) -> None:
        times = [self._at(packet.now) for packet in stream.arrived]
        axes.plot(times, jitters(stream), color=LINE, lw=1.1, label="jitter after each packet")
        said = [(self._at(now), 1000 * block.jitter / self.rate) for now, block in blocks]
        axes.plot(*zip(*said, strict=True), "o", color=PLAYED, ms=7, label="jitter, reported")
        axes.set_ylabel("jitter (ms)")
        axes.set_ylim(bottom=0)

    def _draw_loss(self, axes: Any, stream: VoiceStream, blocks: Any) -> None:
        """A report is on what came since the one before it."""
        begin = self._at(stream.packets[0].now)
        for number, (now, block) in enumerate(blocks):
            end, share = self._at(now), 100 * block.fraction_lost / 256
            label = "" if number else "lost since the report before"
            axes.bar(begin, share, end - begin, align="edge", color=LATE, ec="white", label=label)
            axes.plot(end, share, "o", color=LATE, ms=5)
            begin = end
        last = blocks[-1][1]
        expected = last.highest_seq - _first_seq(stream) + 1
        overall = 100 * last.cumulative_lost / expected if expected > 0 else 0.0
        axes.axhline(overall, color=LOST, lw=1.2, ls="--", label="lost in all")
        axes.axhline(0, color=GREY, lw=0.8)
        axes.set_ylabel("lost (%)")
        axes.set_xlabel("time (s)")

    def _at(self, now: int) -> float:
        return (now - self.start) / NS_PER_S

    def _in_words(self, blocks: Any) -> str:
        last = blocks[-1][1]
        return (
            f"{len(blocks)} reports on the voice; the last tells of {last.cumulative_lost} packets "
            f"lost and {1000 * last.jitter / self.rate:.1f} ms of jitter"
        )


def reports(what: "Traffic | Result") -> Reports:
    """Everything that RTCP said in a capture, or in a call of `simulate(capture=True)`."""
    return Reports(_traffic(what))


def arrived(result: "Result") -> Traffic:
    """The packets of a call that was simulated with `capture=True`, as they came to either end."""
    if not isinstance(result.tap, Tap):
        raise BadInput("this call was not captured", "simulate(capture=True)")
    return from_tap(result.tap.arrived)


def _traffic(what: "Traffic | Result") -> Traffic:
    return what if isinstance(what, Traffic) else arrived(what)


def _first_seq(stream: VoiceStream) -> int:
    return min(packet.seq for packet in stream.packets)


def compounds(what: "Traffic | Result") -> list[bytes]:
    """The datagrams of RTCP, as bytes."""
    traffic = _traffic(what)
    return [data for packet in traffic if (data := _payload(packet)) and rtcp.is_rtcp(data)]


def _said(traffic: Traffic) -> Iterator[Said]:
    for packet in traffic:
        data = _payload(packet)
        if packet.lost or not rtcp.is_rtcp(data):
            continue
        try:
            for each in rtcp.unpack(data):
                yield Said(packet.now, packet.source, each)
        except WireError:
            continue


def _payload(packet: Seen) -> bytes:
    """What UDP carries."""
    udp = packet.found.get("UDP")
    return packet.data[udp.parts[0].start // 8 + UDP_HEADER :] if udp is not None else b""

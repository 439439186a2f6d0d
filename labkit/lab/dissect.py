"""Look into packets: with our eyes, with Wireshark's, and both side by side.

    anatomy(data)                     the header of a datagram, drawn as its RFC draws it
    voice_datagrams(result)           the RTP datagrams of a captured call, in order of arrival
    packets("call.pcapng", 3)         the first three, dissected by Wireshark (through pyshark)
    tshark_streams("call.pcapng")     what Wireshark counts: packets, loss, jitter
    our_streams(result)               the same, counted by us

Wireshark's dissectors are the judge that we did not write. Where tshark is not installed these
functions raise `MissingCapability`, whose message says what to do.

This module parses nothing itself: `labkit.wire` does, and tshark.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matplotlib.patches import Rectangle

from labkit.core.meters import JitterMeter, StreamStats
from labkit.lab import headers
from labkit.lab.call import BOB
from labkit.lab.doctor.remedies import this_system
from labkit.lab.show import LINE, PASTELS, Picture, canvas
from labkit.sim.tap import Crossing, Tap
from labkit.wire import rtp
from labkit.words.errors import BadInput, MissingCapability
from labkit.words.format import PT_OPUS
from labkit.words.units import to_ms

if TYPE_CHECKING:
    from labkit.lab.result import Result

PORT: Final = BOB[1]
"""Where the listener of a `Call` in virtual time receives."""

RTP_FIELDS: Final = tuple((field.name, field.bits) for field in headers.RTP.fields)
"""RFC 3550 section 5.1: names and bits, in the order of the wire."""


# With our eyes -------------------------------------------------------------------------------


def anatomy(data: bytes, fields: Sequence[tuple[str, int]] = RTP_FIELDS) -> Picture:
    """A header bit by bit, 32 to a row: each field with its value, and the bytes it is made of."""
    bits = sum(width for _, width in fields)
    if len(data) * 8 < bits:
        raise BadInput(f"{len(data)} bytes are no header of {bits // 8}", "a whole datagram")
    number = int.from_bytes(data[: bits // 8])
    room = -bits % 32 or 32  # for the payload: what is left of the row, or a row of its own
    rows = (bits + room) // 32
    with canvas(height=0.62 * rows + 0.3) as (figure, all_axes):
        axes = all_axes[0]
        at = 0
        for index, (name, width) in enumerate(fields):
            value = number >> (bits - at - width) & ((1 << width) - 1)
            _draw_field(axes, at, width, f"{name}\n{_value(value, width)}", index)
            at += width
        rest = data[bits // 8 :]
        text = f"payload: {len(rest)} bytes\n{rest[:12].hex(' ')}{' …' if len(rest) > 12 else ''}"
        _draw_field(axes, at, room, text, len(fields))
        _draw_ruler(axes, rows)
    words = ", ".join(name for name, _ in fields)
    return Picture(figure, f"A header of {bits // 8} bytes: {words}; then {len(rest)} bytes")


def _value(value: int, width: int) -> str:
    if width < 16:
        return str(value)
    digits = f"{value:0{width // 4}x}"
    return f"{value}  =  {' '.join(digits[i : i + 2] for i in range(0, len(digits), 2))}"


def _draw_field(axes: Any, at: int, width: int, text: str, index: int) -> None:
    row, column = divmod(at, 32)
    box = Rectangle(
        (column, -row - 1),
        width,
        1,
        facecolor=PASTELS[index % len(PASTELS)],
        edgecolor=LINE,
        lw=0.8,
    )
    axes.add_patch(box)
    small = 8 if width < 4 else 9.5
    axes.text(column + width / 2, -row - 0.5, text, ha="center", va="center", fontsize=small)


def _draw_ruler(axes: Any, rows: int) -> None:
    axes.set_xlim(-0.1, 32.1)
    axes.set_ylim(-rows - 0.1, 0.1)
    axes.set_xticks([0, 8, 16, 24, 32])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8)
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def voice_datagrams(result: "Result") -> list[bytes]:
    """The RTP datagrams that arrived in a call made with `simulate(capture=True)`."""
    return [crossing.data for crossing in _arrived(result)]


def _arrived(result: "Result") -> list[Crossing]:
    """RTP and RTCP share a port; the second byte tells them apart (RFC 5761 section 4)."""
    if not isinstance(result.tap, Tap):
        raise BadInput("this call was not captured", "simulate(capture=True)")
    to_bob = [c for c in result.tap.arrived if c.destination == BOB]
    return [c for c in to_bob if not 192 <= c.data[1] <= 223]


# With Wireshark's ----------------------------------------------------------------------------


def packets(path: str | Path, count: int = 10, port: int = PORT) -> list[Any]:
    """The first RTP packets of a capture as pyshark has them: `packets(path)[0].rtp.seq`.

    pyshark's own `FileCapture` runs an event loop, and a notebook has one already ("This event
    loop is already running"). So we run tshark, and pyshark reads what it says.
    """
    wanted = ["-Y", "rtp", "-c", str(10 * count + 50), "-T", "pdml"]  # all of it would be slow
    found = PDML_PACKET.findall(_tshark(path, port, *wanted))[:count]
    from pyshark.tshark.output_parser.tshark_xml import packet_from_xml_packet

    return [packet_from_xml_packet(each.encode()) for each in found]


class Streams(NamedTuple):
    """One RTP stream as somebody counted it."""

    counted_by: str
    packets: int
    lost: int
    jitter_mean_ms: float
    jitter_max_ms: float

    def __str__(self) -> str:
        return (
            f"{self.counted_by:>8}: {self.packets} packets, {self.lost} lost, "
            f"jitter {self.jitter_mean_ms:.3f} ms on average, {self.jitter_max_ms:.3f} at most"
        )


PDML_PACKET: Final = re.compile(r"<packet>.*?</packet>", re.DOTALL)
ROW: Final = re.compile(r"0x[0-9A-Fa-f]{8}\s.*?(\d+)\s+(-?\d+)\s+\(-?[\d.]+%\)\s+([-\d.\s]+)")
"""SSRC, payload name, packets, lost, then columns of milliseconds."""


def tshark_streams(path: str | Path, port: int = PORT) -> Streams:
    """The first stream in `tshark -z rtp,streams`, which is Wireshark's Telephony > RTP Streams.

    tshark knows the clock rate of static payload types only (RFC 3551): of others it cannot know
    the jitter, unless the capture holds the SDP, and says 0.
    """
    row = ROW.search(_tshark(path, port, "-q", "-z", "rtp,streams"))
    if row is None:
        raise BadInput(f"tshark finds no RTP on port {port} of {path}", "the listener's port")
    times = [float(number) for number in row[3].split()]
    # Least, mean, greatest delta; then jitter. Before version 4 there were three columns.
    mean, most = times[4:6] if len(times) >= 6 else (times[2], times[1])
    return Streams("tshark", int(row[1]), int(row[2]), mean, most)


def our_streams(result: "Result") -> Streams:
    """The same figures by `labkit.core.meters`, from the datagrams that arrived."""
    stats, jitter = StreamStats(), JitterMeter(result.codec.format.clock_rate)
    jitters = []
    for crossing in _arrived(result):
        packet = rtp.unpack(crossing.data)
        stats.add(packet.seq)
        jitter.add(packet.timestamp, crossing.now)
        jitters.append(to_ms(jitter.jitter))
    later = jitters[1:] or [0.0]  # a first packet has no jitter
    return Streams("labkit", stats.received, stats.lost, sum(later) / len(later), max(later))


def _tshark(path: str | Path, port: int, *arguments: str) -> str:
    """What tshark says of a capture, when datagrams to and from that port are RTP.

    What our payload type for Opus means it would learn from SDP, which is not in the capture.
    """
    program = shutil.which("tshark")
    if program is None:
        raise MissingCapability("tshark is not installed", this_system().install("tshark"))
    told = ["-d", f"udp.port=={port},rtp", "-d", f"rtp.pt=={PT_OPUS},opus"]
    command = [program, "-r", str(path), *told, *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)  # noqa: S603
    if done.returncode:
        complaint = done.stderr.strip().rpartition("\n")[2]
        raise BadInput(f"tshark cannot read {path}", complaint or "a pcapng file")
    return done.stdout

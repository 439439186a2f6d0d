"""Every byte of a packet in the colour of its field, and beside it what the field says.

    bytemap(rtp.pack(packet))          bytes of a datagram: RTP, RTCP, or our own header
    bytemap(traffic[12])               a packet of a capture, from its IP header on
    print(bytemap(data))               the same as text

A notebook shows a table with one row for each 16 bytes; resting the pointer on a byte shows its
field. A terminal shows one line for each field.

This module knows no header: `labkit.lab.dissection` does.
"""

from collections.abc import Iterator
from html import escape
from typing import Final, NamedTuple

from labkit.lab.dissection import Dissection, Layer, Part, dissect_payload
from labkit.lab.seen import Seen
from labkit.lab.show import GREY, LINE, LOST, PASTELS

ROW: Final = 16
"""Bytes in a row."""
LONGEST: Final = 256
"""Bytes that are drawn: of a payload the beginning tells enough."""
PLAIN: Final = "#F4F4F4"
"""Payload: bytes that are no header."""
MANY: Final = 5
"""Flags in a row that are told in one line."""
BODIES: Final = ("payload", "bytes", "bytes of a frame", "cut off", "a later fragment")


class Group(NamedTuple):
    """Fields that share whole bytes: V, P, X and CC of RTP are one."""

    layer: Layer
    parts: list[Part]
    start: int
    """In bytes."""
    end: int
    colour: str

    @property
    def label(self) -> str:
        """Names and values, for the pointer that rests on the byte."""
        said = (f"{part.name} = {part.text}" for part in self.parts)
        return f"{self.layer.name}: {', '.join(said)}"


class Line(NamedTuple):
    """What is said of a field, or of a row of flags."""

    bits: str
    name: str
    text: str


class ByteMap:
    """The bytes of one packet with their fields. A notebook shows it; `print` writes it."""

    def __init__(self, found: Dissection) -> None:
        self.found = found
        self.groups = list(_groups(found))

    def __str__(self) -> str:
        lines = []
        layer = None
        for group in self.groups:
            if group.layer is not layer:
                layer = group.layer
                lines.append(f"{layer.name}  {layer.spec}".rstrip())
            lines += self._text(group)
        if self.found.problem is not None:
            lines.append(f"wrong: {self.found.problem}")
        return "\n".join(lines)

    __repr__ = __str__

    def _text(self, group: Group) -> Iterator[str]:
        data = self.found.data[group.start : group.end]
        shown = data[:8].hex(" ") + (" …" if len(data) > 8 else "")
        for index, line in enumerate(_lines(group)):
            place = f"{group.start:4}  {shown:<25}" if index == 0 else " " * 31
            yield f"{place}  {line.bits:<9} {line.name}: {line.text}".rstrip()

    def _repr_html_(self) -> str:
        """Side by side where there is room, else one above the other; alike in dark themes."""
        return (
            '<div style="display:inline-flex;flex-wrap:wrap;align-items:flex-start;gap:.4em 1.2em;'
            f'max-width:100%;padding:4px;color:{LINE};background:white;font-size:12px">'
            f"<div>{self._bytes_html()}</div><div>{self._fields_html()}</div></div>"
        )

    def _bytes_html(self) -> str:
        owner = {at: group for group in self.groups for at in range(group.start, group.end)}
        shown = min(len(self.found.data), LONGEST)
        rows = []
        for start in range(0, shown, ROW):
            grey = f"color:{GREY};background:white;text-align:right;padding-right:8px"
            cells = [_cell(f"{start}", grey)]
            for at in range(start, min(start + ROW, shown)):
                group = owner.get(at)
                edge = _edge(group, at)
                colour = group.colour if group else PLAIN
                style = f"background:{colour};border-left:2px solid {edge or colour}"
                said = group.label if group else ""
                cells.append(_cell(f"{self.found.data[at]:02x}", style, said))
            rows.append(f"<tr>{''.join(cells)}</tr>")
        more = len(self.found.data) - shown
        rest = f'<div style="color:{GREY}">… and {more} bytes more</div>' if more else ""
        return f'<table style="{_TABLE};font-family:monospace">{"".join(rows)}</table>{rest}'

    def _fields_html(self) -> str:
        rows = []
        layer = None
        for group in self.groups:
            if group.layer is not layer:
                layer = group.layer
                spec = f' <span style="color:{GREY};font-weight:normal">{escape(layer.spec)}</span>'
                head = f"<b>{escape(layer.name)}</b>{spec}"
                rows.append(f'<tr><td colspan="4" style="{_LEFT};padding-top:6px">{head}</td></tr>')
            rows += (_field_row(group, line) for line in _lines(group))
        if self.found.problem is not None:
            words = escape(str(self.found.problem))
            rows.append(
                f'<tr><td colspan="4" style="{_LEFT};color:{LOST}">wrong: {words}</td></tr>'
            )
        return f'<table style="{_TABLE}">{"".join(rows)}</table>'


_TABLE: Final = "border-collapse:collapse;border:0;margin:0;font-size:12px"
_LEFT: Final = f"text-align:left;border:0;color:{LINE};background:white"
_CELL: Final = f"padding:1px 3px;border:0;color:{LINE};text-align:center;white-space:nowrap"


def _cell(text: str, style: str, title: str = "") -> str:
    hint = f' title="{escape(title, quote=True)}"' if title else ""
    return f'<td{hint} style="{_CELL};{style}">{text}</td>'


def _edge(group: Group | None, at: int) -> str:
    """What stands to the left of a byte: a line where a header begins, a gap where a field does."""
    if group is None or at != group.start:
        return ""
    return LINE if group.parts[0] is group.layer.parts[0] else "white"


def _field_row(group: Group, line: Line) -> str:
    grey = f"color:{GREY};background:white;text-align:right"
    return (
        "<tr>"
        + _cell(str(group.start), grey)
        + _cell(line.bits or "&nbsp;", f"background:{group.colour};min-width:2em")
        + _cell(escape(line.name), _LEFT)
        + _cell(escape(line.text), f"{_LEFT};font-family:monospace")
        + "</tr>"
    )


def _lines(group: Group) -> Iterator[Line]:
    """A line for each field; a row of flags is one line, which names those that are set."""
    flags = [part for part in group.parts if part.bits == 1]
    if len(flags) < MANY:
        yield from (Line(_bits(part, part), part.name, part.text) for part in group.parts)
        return
    yield from (Line(_bits(p, p), p.name, p.text) for p in group.parts if p.bits > 1)
    up = " ".join(part.name for part in flags if part.value)
    yield Line(_bits(flags[0], flags[-1]), "flags", up or "none")


def _bits(first: Part, last: Part) -> str:
    """Which bits of its byte, counted as the documents do; empty for whole bytes."""
    start, stop = first.start % 8, last.start + last.bits - first.start // 8 * 8
    if (start, stop % 8) == (0, 0) and first is last:
        return ""
    return f"bit {start}" if stop - start == 1 else f"bits {start}-{stop - 1}"


def _groups(found: Dissection) -> Iterator[Group]:
    """Fields put together until they end where a byte ends; neighbours differ in colour."""
    shared: list[Part] = []
    count = 0
    for layer, part in found.parts():
        shared.append(part)
        end = part.start + part.bits
        if end % 8:
            continue
        body = part.name in BODIES
        yield Group(
            layer,
            shared,
            shared[0].start // 8,
            end // 8,
            PLAIN if body else PASTELS[count % len(PASTELS)],
        )
        count += not body
        shared = []


def bytemap(what: bytes | Seen | Dissection, kind: str = "datagram") -> ByteMap:
    """The bytes of a packet of a capture, of a datagram's payload, or of what `dissect` found.

    Of a TCP segment's payload say `kind="stream"`: several frames may be in it.
    """
    if isinstance(what, Seen):
        return ByteMap(what.found)
    if isinstance(what, Dissection):
        return ByteMap(what)
    return ByteMap(dissect_payload(what, kind))

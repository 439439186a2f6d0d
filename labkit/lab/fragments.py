"""What IP does to a datagram that is too long for a link: RFC 791 section 3.2.

    cut(1936, mtu=576)              the fragments of so many bytes: offset, size, whether more come
    pieces(1936, mtu=576)           the same as a picture, headers to scale
    Fragmented(session, mtu=576)    a session whose datagrams travel in fragments

Every fragment has an IP header of its own, and all but the last carry a multiple of 8 bytes, since
the offset counts in eights. The first alone has the UDP header. The datagram is put together where
it ends, and only when every fragment has come: nobody sends one again.

In virtual time there is no IP, so `Fragmented` is one: what it gives the link is a fragment, with
identification, flag and offset before it, as they stand in bytes 4 to 7 of an IP header. RFC 791
gives up a datagram after 15 seconds; here the oldest goes when there are too many.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from labkit.lab.show import LINE, PASTELS, PLAYED, Picture, canvas
from labkit.words.errors import BadInput
from labkit.words.machine import Address, Datagram
from labkit.words.seqnum import add16

IP_HEADER: Final = 20
UDP_HEADER: Final = 8
EIGHTS: Final = 8
"""What the fragment offset counts in."""
MORE: Final = 0x2000
"""The flag for "more fragments", above 13 bits of offset."""
MOST: Final = 64
"""Datagrams that may wait for their other fragments."""
SMALLEST: Final = IP_HEADER + EIGHTS
"""MTU: a header and one step of the offset."""


class Fragment(NamedTuple):
    """One of the packets in which a datagram travels."""

    offset: int
    """Where its bytes begin in the datagram, whose first 8 bytes are the UDP header."""
    size: int
    """Its bytes, without the IP header."""
    more: bool
    """Others come after it."""


def cut(size: int, mtu: int) -> list[Fragment]:
    """How IP cuts `size` bytes (UDP header and what follows) for links of `mtu` bytes."""
    if mtu < SMALLEST:
        raise BadInput(f"an MTU of {mtu} takes no fragment", f"at least {SMALLEST}")
    room, at, fragments = mtu - IP_HEADER, 0, []
    step = room // EIGHTS * EIGHTS
    while size - at > room:  # the last one need be no multiple of 8: what fits is not cut again
        fragments.append(Fragment(at, step, more=True))
        at += step
    return [*fragments, Fragment(at, size - at, more=False)]


class Fragmented:
    """A session over datagrams, with IP's fragmentation between it and the link."""

    HEAD: Final = struct.Struct("!HH")

    def __init__(self, session: Any, mtu: int) -> None:
        self.inner = session
        self.mtu = mtu
        self.abandoned = 0
        """Datagrams of which some fragment came and that were given up."""
        self._identification = 0
        self._waiting: dict[tuple[Address, int], dict[int, tuple[bytes, bool]]] = {}

    def __getattr__(self, name: str) -> Any:
        """What else a session can be asked."""
        if name == "inner":  # not made yet: while it is copied
            raise AttributeError(name)
        return getattr(self.inner, name)

    def transmits(self) -> list[Datagram]:
        """The fragments of what the session wants sent."""
        out = []
        for data, destination in self.inner.transmits():
            body = bytes(UDP_HEADER) + data
            self._identification = add16(self._identification, 1)
            for offset, size, more in cut(len(body), self.mtu):
                head = self.HEAD.pack(self._identification, offset // EIGHTS | (MORE * more))
                out.append(Datagram(head + body[offset : offset + size], destination))
        return out

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Take a fragment; the session gets a datagram when all of it is here."""
        if len(data) < self.HEAD.size:
            return
        identification, word = self.HEAD.unpack_from(data)
        key = source, identification
        known = self._waiting.setdefault(key, {})
        known[word % MORE * EIGHTS] = data[self.HEAD.size :], bool(word & MORE)
        whole = put_together(known)
        if whole is not None:
            del self._waiting[key]
            self.inner.receive_datagram(whole[UDP_HEADER:], source, now)
        elif len(self._waiting) > MOST:
            del self._waiting[next(iter(self._waiting))]
            self.abandoned += 1


def put_together(known: dict[int, tuple[bytes, bool]]) -> bytes | None:
    """The datagram of these fragments, by their offsets, or None while one is missing."""
    body, more = b"", True
    while more:
        if len(body) not in known:
            return None
        piece, more = known[len(body)]
        if not piece and more:
            return None
        body += piece
    return body


# The picture --------------------------------------------------------------------------------------

PARTS: Final = (("IP header", PASTELS[5]), ("UDP header", PASTELS[1]), ("our header", PASTELS[3]))


def pieces(size: int, mtu: int, header: int = 8) -> Picture:
    """The IP packets in which `size` bytes of UDP payload travel, drawn to scale.

    The payload begins with a header of ours of `header` bytes.
    """
    found = cut(UDP_HEADER + size, mtu)
    with canvas(height=0.42 * len(found) + 1.5) as (figure, rows):
        axes = rows[0]
        for row, fragment in enumerate(found):
            _draw(axes, row, fragment, header, mtu)
        for name, colour in (*PARTS, ("sound", PLAYED)):
            axes.barh(0, 0, color=colour, label=name)
        axes.axvline(mtu, color=LINE, lw=1, ls=":")
        axes.annotate(f"MTU {mtu}", (mtu, -0.62), (4, 0), textcoords="offset points", fontsize=9)
        axes.set_yticks(range(len(found)), [f"offset {f.offset}" for f in found])
        axes.set_ylim(len(found) - 0.4, -0.8)
        axes.set_xlim(0, 1.12 * mtu)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("bytes of the IP packet")
        many = f"{len(found)} fragments" if len(found) > 1 else "one packet"
        axes.set_title(f"A datagram of {size} bytes in {many}")
        figure.legend(loc="outside lower center", ncols=4)
    sizes = ", ".join(str(IP_HEADER + f.size) for f in found)
    return Picture(figure, f"{size} bytes of payload in IP packets of {sizes} bytes")


def _draw(axes: Any, row: int, fragment: Fragment, header: int, mtu: int) -> None:
    bars: list[tuple[int, str]] = [(IP_HEADER, PARTS[0][1])]
    rest = fragment.size
    if fragment.offset == 0:
        for width, (_, colour) in zip((UDP_HEADER, header), PARTS[1:], strict=True):
            bars.append((min(width, rest), colour))
            rest -= bars[-1][0]
    bars.append((rest, PLAYED))
    at = 0
    for width, colour in bars:
        axes.barh(row, width, 0.62, at, color=colour, edgecolor="white", lw=0.6)
        at += width
    more = ", more follow" if fragment.more else ""
    inside = at > 0.55 * mtu
    axes.annotate(
        f"{at} bytes{more}",
        (at, row),
        (-6 if inside else 6, 0),
        textcoords="offset points",
        ha="right" if inside else "left",
        va="center",
        fontsize=9,
        color="white" if inside else LINE,
    )


def chance(fragments: int, loss: float) -> float:
    """The share of datagrams lost when each fragment is lost with a chance of `loss`: 0 to 1."""
    return 1 - (1 - loss) ** fragments


def sizes(found: Sequence[Fragment]) -> list[int]:
    """Bytes of each fragment with its IP header, as a capture counts them."""
    return [IP_HEADER + fragment.size for fragment in found]

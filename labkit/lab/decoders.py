"""A decoder of your own in the place of the kit's, in a call over TCP (week 3).

    Call(transport="tcp", decoder=MyDecoder).simulate()

The kit's decoder gives pairs of a kind and a packet from `receive`. In the exercises a decoder has
one verb, `feed`, takes bytes and gives frames as (kind, seq, ts, payload); this puts the one into
the place of the other. `OneReadOneFrame` is what people write first.

This module decodes nothing but what is wrong on purpose.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from labkit.core.streamsession import Decoder
from labkit.wire.framing import HEADER, Kind, read_header
from labkit.words.errors import Malformed, WireError
from labkit.words.packet import Packet

SECTION: Final = "labkit frame"


def as_decoder(make: Callable[[], Any]) -> Decoder:
    """A fresh decoder, whether it has `feed` or is one of the kit's kind."""
    made = make()
    return Fed(made.feed) if hasattr(made, "feed") else made


class Fed:
    """A decoder that asks `feed` for frames.

    What `feed` raises as a `WireError`, and frames that are none, end the stream as bytes do that
    cannot be read. Other errors are the student's to see.
    """

    def __init__(self, feed: Callable[[bytes], Sequence[Any]]) -> None:
        self.error: WireError | None = None
        self._feed = feed

    def receive(self, data: bytes) -> list[tuple[Kind, Packet]]:
        """Take bytes, give the frames that are now complete."""
        try:
            return [_frame(each) for each in self._feed(data)]
        except WireError as error:
            self.error = error
            raise

    def receive_eof(self) -> None:
        """The stream has ended; what is left over is nobody's."""


def _frame(given: Any) -> tuple[Kind, Packet]:
    try:
        kind, seq, timestamp, payload = given
        return Kind(kind), Packet(int(seq), int(timestamp), bytes(payload))
    except (TypeError, ValueError) as error:
        raise Malformed("frame", 0, f"{given!r:.60} is no frame", SECTION) from error


class OneReadOneFrame:
    """Takes what one read gave for one frame: a header, and all the rest is its payload.

    It is not a straw man: on one machine, with few bytes at a time, it works for hours.
    """

    error: WireError | None = None

    def receive(self, data: bytes) -> list[tuple[Kind, Packet]]:
        """The frame that these bytes are taken for."""
        try:
            kind, seq, timestamp, _ = read_header(data.ljust(HEADER.size, b"\0"), 0)
        except WireError:
            return []
        return [(kind, Packet(seq, timestamp, bytes(data[HEADER.size :])))]

    def receive_eof(self) -> None:
        """The stream has ended."""

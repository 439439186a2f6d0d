"""One packet of a capture: when it passed, its bytes, and what they say.

This module reads no file and knows no other packet.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from labkit.lab.dissection import LINKTYPE_IP, Dissection, Layer, dissect
from labkit.wire.ip import Endpoint

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
    quic: bool = False
    """Its flow is QUIC's: other packets of it say so."""

    @cached_property
    def found(self) -> Dissection:
        """Every header and field."""
        return dissect(self.data, self.link, quic=self.quic)

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

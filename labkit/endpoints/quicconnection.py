"""One QUIC connection (RFC 9000), as aioquic implements it, with our clock at its edge (week 10).

`aioquic.quic.connection.QuicConnection` is a machine like ours: datagrams and the time go in,
datagrams and a deadline come out. Two things differ. It counts time in float seconds, and a
deadline that comes back must not be early, or it would be asked for again and again at the same
instant: `not_before` rounds up. And it keeps to itself a few things that we have to know:

- why it is ending, at once and not after the closing period of RFC 9000 section 10.2
- what has not left yet, so that sound can wait where it may still be dropped
- the certificate of a client: aioquic can ask for one (RFC 8446 section 4.3.2), since its own
  tests do, but `QuicConfiguration` has no field for it

All that looks behind aioquic's interface is in this file, a property each, and a test holds each.
This module knows no sound and no token.
"""

import hashlib
import logging
import math
from typing import Final

from aioquic.buffer import Buffer  # type: ignore[attr-defined]  # it is what the packet module takes
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.connection import QuicConnection, QuicConnectionState
from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicHeader, QuicPacketType, QuicProtocolVersion, pull_quic_header
from cryptography.hazmat.primitives.serialization import Encoding

from labkit.words.errors import RemoteProtocolError
from labkit.words.units import NS_PER_S, ms, seconds

logging.getLogger("quic").addHandler(logging.NullHandler())  # a library does not print

SOON: Final = ms(1)
"""The next wake-up, should a deadline not move: RFC 9002's timer granularity (section 6.1.2)."""

FULL_SIZE: Final = SMALLEST_MAX_DATAGRAM_SIZE
"""Bytes to which a client fills its first datagram, so that an answer is no amplification: RFC 9000
section 14.1."""
CONNECTION_ID: Final = 8
"""Bytes of the connection IDs that we give out."""
VERSIONS: Final = (QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2)
"""RFC 9000 and RFC 9369."""


def read_header(data: bytes) -> QuicHeader | None:
    """The header of the first packet in a datagram, or None when there is none."""
    try:
        return pull_quic_header(Buffer(data=data), host_cid_length=CONNECTION_ID)
    except ValueError:
        return None


def invites(header: QuicHeader | None, size: int) -> bool:
    """Whether a datagram of `size` bytes may open a connection (RFC 9000 sections 7.2 and 14.1)."""
    if header is None or header.packet_type is not QuicPacketType.INITIAL:
        return False
    return size >= FULL_SIZE and header.version in VERSIONS and len(header.destination_cid) >= 8


def float_seconds(now: int) -> float:
    """Nanoseconds as aioquic counts time."""
    return now / NS_PER_S


def not_before(instant: float) -> int:
    """The first nanosecond that, given back as float seconds, is not before `instant`."""
    now = math.ceil(instant * NS_PER_S)
    while float_seconds(now) < instant:
        now += 1
    return now


class Connection(QuicConnection):
    """aioquic's connection, and what we have to know of it.

    With `asks_certificate` a server asks its client for a certificate. Who has none may go on:
    whether it may stay is decided by what `peer_fingerprint` says after the handshake.
    """

    def __init__(
        self,
        configuration: QuicConfiguration,
        *,
        original_destination_connection_id: bytes | None = None,
        retry_source_connection_id: bytes | None = None,
        asks_certificate: bool = False,
    ) -> None:
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original_destination_connection_id,
            retry_source_connection_id=retry_source_connection_id,
        )
        self._asks_certificate = asks_certificate

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        if self._asks_certificate:
            self.tls._request_client_certificate = True  # noqa: SLF001

    # Time --------------------------------------------------------------------------------------

    def wakes(self, now: int) -> int | None:
        """When it wants `handle_timer`: always after `now`."""
        if not self.begun:
            return None
        timer = self.get_timer()
        if timer is None:
            return None
        deadline = not_before(timer)
        return deadline if deadline > now else now + SOON

    # Where it is -------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """A client has spoken; a server has heard a packet that was meant for it."""
        return self._is_client or self._state is not QuicConnectionState.FIRSTFLIGHT

    @property
    def ending(self) -> ConnectionTerminated | None:
        """Why the connection is ending, as soon as that is known."""
        return self._close_event

    @property
    def ended_by_peer(self) -> bool:
        """Whether it was the peer that closed."""
        return self._state is QuicConnectionState.DRAINING

    @property
    def timed_out(self) -> bool:
        """Whether it ended because nothing was heard (RFC 9000 section 10.1)."""
        ending = self._close_event
        return self.over and ending is not None and ending.reason_phrase == "Idle timeout"

    @property
    def over(self) -> bool:
        """The closing period has passed too: nothing more will be sent or received."""
        return self._state is QuicConnectionState.TERMINATED

    # What the handshake told -------------------------------------------------------------------

    @property
    def peer_fingerprint(self) -> str | None:
        """SHA-256 of the peer's certificate in hex, or None when it has shown none."""
        certificate = self.tls._peer_certificate  # noqa: SLF001
        if certificate is None:
            return None
        return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()

    @property
    def peer_takes_datagrams(self) -> int:
        """The largest DATAGRAM frame that the peer takes, in bytes (RFC 9221 section 3)."""
        return self._remote_max_datagram_frame_size or 0

    # How it goes -------------------------------------------------------------------------------

    @property
    def unsent(self) -> bool:
        """Something that was handed over has not left: window, pacing or flow control hold it."""
        if self._datagrams_pending:
            return True
        return any(not stream.sender.buffer_is_empty for stream in self._streams.values())

    def is_open(self, stream: int) -> bool:
        """Whether a stream of ours is not yet confirmed as a whole."""
        known = self._streams.get(stream)
        return known is not None and not known.is_finished

    def check_gaps(self, limit: int) -> None:
        """`RemoteProtocolError` when the bytes that came behind gaps, over all streams, are more.

        Flow control alone does not bound them: a window of aioquic's grows with the highest offset
        that was seen, whatever is missing before it.
        """
        receivers = (stream.receiver for stream in self._streams.values())
        kept = sum(r.highest_offset - r.starting_offset() for r in receivers if not r.is_finished)
        if kept > limit:
            raise RemoteProtocolError(f"more than {limit} bytes behind gaps")

    @property
    def round_trip(self) -> int | None:
        """The smoothed round trip time (RFC 9002 section 5.3) in nanoseconds, when measured."""
        loss = self._loss
        measured: bool = loss._rtt_initialized  # noqa: SLF001
        return seconds(loss._rtt_smoothed) if measured else None  # noqa: SLF001

"""One listener as its server sees it: its end of the conversation, and the figures about it.

Any session will do, with layers around it or without. What it has beyond the face of a session is
shown where it is there: a `queue` of media that waits for the wire, reports of the listener.

This module knows no wire, no clock, and nobody else who listens.
"""

from enum import StrEnum
from typing import Any

from labkit.core.conversation import Conversation
from labkit.core.fanout import AnyHeader, Audience, SealedAudience, Sealer
from labkit.core.figures import ClientFigures
from labkit.core.session import Report
from labkit.endpoints.sender import Sender
from labkit.words.errors import AuthenticationError, LabError, RemoteProtocolError
from labkit.words.machine import Address


class Reason(StrEnum):
    """Why somebody or something was refused. Beside these stand an authentication's own words."""

    FULL = "no room"
    CLOSING = "closing"
    NEVER_ASKED = "never asked for the stream"
    STRANGE = "from nobody who listens"
    UNREADABLE = "unreadable"
    WRONG_MOMENT = "wrong moment"


def reason_of(error: LabError) -> str:
    """A few words for a counter: never what a peer has written, which has no end of values."""
    if isinstance(error, AuthenticationError):
        return error.reason
    return Reason.WRONG_MOMENT if isinstance(error, RemoteProtocolError) else Reason.UNREADABLE


class Client(Sender):
    """The sender's end for one listener of a voice that somebody else ticks."""

    def __init__(self, session: Any) -> None:
        super().__init__(session, None)
        self.audience: Audience | SealedAudience | None = None
        """Those who get the same; None for who is sent to alone."""
        self.rendition: int | None = None
        """Of a simulcast, the bitrate that it gets; None when there is only one."""
        self.shown = ""
        """What it is called in figures; its address unless somebody knows better."""
        self.report: Report | None = None
        """The last one by the listener."""

    @property
    def header(self) -> AnyHeader | None:
        """What it has in common with others who listen now; None when it must be sent to alone.

        Only of a session that stands alone, or seals by itself: what encrypts one from outside may
        look like it, and must not be passed by.
        """
        session = self.session
        if not session.ready:
            return None
        if isinstance(session, Conversation):
            return session.header
        return session.sealed if isinstance(session, Sealer) else None

    @property
    def keeps_its_place(self) -> bool:
        """Whether it is more than noise: it has asked, or is in the handshake before that.

        A session with a handshake of its own says so by `opening`.
        """
        return self.joined or getattr(self.session, "opening", False)

    def figures(self, address: Address, now: int) -> ClientFigures:
        """What is known of it."""
        stats, report = self.session.stats, self.report
        queue = getattr(self.session, "queue", None)
        return ClientFigures(
            self.shown or name_of(address),
            sent=stats.sent,
            sent_octets=stats.sent_octets,
            queued=len(queue) if queue is not None else 0,
            queue_limit=queue.limit if queue is not None else 0,
            dropped=stats.dropped,
            lag=queue.oldest_age(now) if queue is not None else 0,
            bitrate=self.rendition,
            loss=report.fraction_lost if report else None,
            jitter=report.jitter if report else None,
            round_trip=stats.round_trip,
        )


def name_of(address: Address) -> str:
    """An address as people write it; anything else as it writes itself."""
    match address:
        case (str(host), int(port)):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case (tuple(inner), int(number)):  # one of several who came from there
            return f"{name_of(inner)} #{number}"
        case _:
            return str(address)

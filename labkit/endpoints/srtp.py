"""SRTP: a conversation in RTP that nobody else can follow, change or repeat (week 12).

    Sender ─ RtpSession ─ Srtp ═══ UDP ═══ Srtp ─ RtpSession ─ Receiver

    session = Srtp(RtpSession(Role.SENDER, sdp), ours=key, theirs=other_key)

`Srtp` stands between a session and its wire and looks like the session to whoever stands above.
What the session sends is protected, RTP by RFC 3711 section 3.3 and RTCP by section 3.4; what
arrives is unprotected, or refused: counted in `refusals` by its reason, told by `Refused`, and
forgotten. RTP and RTCP come to one port and are told apart by the second byte (RFC 5761), which
SRTP leaves in the clear like the rest of the header: who listens in still learns who speaks when.

The work is done by libsrtp, with AES in counter mode or GCM (RFC 7714). `labkit.core.srtpkeys` and
`labkit.core.replaywindow` say in Python what it does.

Each direction has a key of its own, and so has each listener of a server. If two shared one, each
could speak as the other; and a server's reports to both would be encrypted by the same keystream,
which gives away their XOR. A group that shares a key has to share one context too, and has to tell
who comes later how often the sequence numbers went through zero: that is not done here.

This module knows no key agreement (`sdes` and `dtls` do that), no clock and no socket.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from random import Random, SystemRandom
from typing import Any, Final

import pylibsrtp

from labkit.core.conversation import Conversation
from labkit.core.fanout import Sealed, Sealer, Sealing, Tally
from labkit.core.session import Refused, Stats
from labkit.endpoints.srtpcall import Calls, protecting, unprotecting
from labkit.wire.rtp import HEADER_SIZE
from labkit.wire.sdes import MOST_PACKETS, MasterKey, Suite, without_keys
from labkit.words.errors import AuthenticationError, BadInput, LocalProtocolError
from labkit.words.machine import Address, Datagram, Event
from labkit.words.packet import Packet

PROFILES: Final = {
    Suite.AES_CM_128_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Suite.AES_CM_128_HMAC_SHA1_32: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    Suite.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Suite.AEAD_AES_256_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
LONGEST: Final = 1300
"""Bytes of payload; libsrtp's buffer holds 1500 with header and tag."""
MAX_STREAMS: Final = 32
"""SSRCs of a peer. Each has a replay window that must never be forgotten, so there is an end."""
RTCP_TYPES: Final = frozenset(range(192, 224))
"""What RTCP has as its second byte and RTP has not: RFC 5761 section 4."""
_new: Final = tuple.__new__
"""Makes a `Datagram` in a third of the time: one is made for every packet."""
LAST_WORDS: Final = 8
"""Packets of a key's lifetime that are kept for saying goodbye."""


class Reason(StrEnum):
    """Why a packet was refused."""

    FORGED = "not authentic"
    """Changed, made with another key, or not protected at all: the tag does not tell them apart."""
    REPLAYED = "replayed"
    TOO_OLD = "too old to be told from a replayed one"
    CROWDED = "of one stream too many"
    UNREADABLE = "no packet of SRTP"
    NO_KEY = "protected by a key that nobody agreed on"


SAID: Final = {
    "authentication failure": Reason.FORGED,
    "unable to perform desired validation": Reason.FORGED,  # SRTCP that says it is not encrypted
    "replay check failed (bad index)": Reason.REPLAYED,
    "replay check failed (index too old)": Reason.TOO_OLD,
    "packet index is too old to consider": Reason.TOO_OLD,
}
"""libsrtp's words for it."""


def new_key(suite: Suite = Suite.AES_CM_128_HMAC_SHA1_80, rng: Random | None = None) -> MasterKey:
    """A key that nobody can guess. With a seeded `rng` everybody can: for virtual time only."""
    return MasterKey.of(suite, (rng or SystemRandom()).randbytes(suite.key_size + suite.salt_size))


def context(key: MasterKey, direction: int) -> pylibsrtp.Session:
    """What libsrtp keeps for one direction: session keys, rollover counters, replay windows."""
    policy = pylibsrtp.Policy(key.key + key.salt, direction, 0, PROFILES[key.suite])
    return pylibsrtp.Session(policy)


class Srtp(Sealer):
    """An `RtpSession` whose packets are protected: by `ours` what it sends, by `theirs` the peer's.

    Without `theirs` nothing that arrives is believed: for a sender that pushes and needs no answer.
    `refusals` may be shared by all sessions of a server, to count also those of strangers.
    """

    def __init__(
        self,
        session: Any,
        ours: MasterKey,
        theirs: MasterKey | None,
        *,
        refusals: Counter[Reason] | None = None,
    ) -> None:
        if theirs is not None and (ours.key, ours.salt) == (theirs.key, theirs.salt):
            what = "both directions have the same SRTP key: what we send could be sent back to us"
            raise BadInput(what, "a key of its own for each direction")
        self.inner = session
        self.suite = ours.suite
        self.refusals: Counter[Reason] = Counter() if refusals is None else refusals
        self.unsent = 0
        """Packets that were not sent: sent before, or their key's lifetime is over."""
        self._own_refused = 0
        self._events: list[Event] = []
        self._left = ours.lifetime
        self._ends = ours.lifetime < MOST_PACKETS
        self._outbound = context(ours, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)  # cannot be copied
        self._protect, self._protect_rtcp = protecting(self._outbound)
        self._inbound: Calls | None = None
        if theirs is not None:
            self._inbound = unprotecting(context(theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND))
        self._streams: set[bytes] = set()  # the SSRCs in `_inbound`
        session.description = without_keys(session.description)  # it will be shown

    # The face of a session --------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """What else a session can be asked: its role, SSRC, round trip, ..."""
        if name == "inner":  # not made yet: while it is copied
            raise AttributeError(name)
        return getattr(self.inner, name)

    @property
    def closed(self) -> bool:
        """Nothing more will be sent or received."""
        return bool(self.inner.closed)

    @property
    def ready(self) -> bool:
        """Whether `send` may be called."""
        return bool(self.inner.ready)

    @property
    def wants_close(self) -> bool:
        """Everything is handed over: the driver may close the socket."""
        return bool(self.inner.wants_close)

    @property
    def stats(self) -> Stats:
        """What the session has counted."""
        stats: Stats = self.inner.stats
        return stats

    @property
    def refused(self) -> int:
        """Datagrams that were not authentic, or were and could not be read."""
        return self._own_refused + int(self.inner.refused)

    def send(self, packet: Packet, now: int) -> None:
        """Send one packet. `LocalProtocolError` before the peer joined and after the end."""
        if len(packet.payload) > LONGEST:
            raise LocalProtocolError(f"{len(packet.payload)} bytes of payload; {LONGEST} at most")
        self.inner.send(packet, now)
        if self._ends and self._left <= LAST_WORDS:
            self.inner.close(now)

    def close(self, now: int) -> None:
        """End in order. Twice does no harm."""
        self.inner.close(now)

    # One of many ------------------------------------------------------------------------------

    @property
    def sealing(self) -> Sealing:
        """The call of libsrtp, where its packets go, and itself to count what is not sent."""
        return self._protect, self.inner.peer, self

    def share(self, tally: Tally) -> None:
        """Count there from now on, and forget nothing."""
        self.inner.share(tally)

    @property
    def sealed(self) -> Sealed | None:
        """What it encrypts, it encrypts for many alike; a key that ends is spent packet by packet.

        None also if its session is none of ours, but something else that stands around one.
        """
        if self._ends or not isinstance(self.inner, Conversation):
            return None
        header = self.inner.header
        return None if header is None else Sealed(header, Srtp.seal)

    @staticmethod
    def seal(sealing: Sequence[Sealing], data: bytes) -> list[Datagram]:
        """One packet of RTP, protected for each by its own key."""
        if len(data) > HEADER_SIZE + LONGEST:
            raise LocalProtocolError(
                f"{len(data)} bytes of packet; {HEADER_SIZE + LONGEST} at most"
            )
        out: list[Datagram] = []
        make = _new
        for protect, peer, session in sealing:
            try:
                out.append(make(Datagram, (protect(data), peer)))
            except pylibsrtp.Error:
                session.unsent += 1  # as in `transmits`
        return out

    # The machine ------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Take one datagram from the network; pass it on if it is authentic and new."""
        inbound = self._inbound
        if inbound is None:
            self._refuse(Reason.NO_KEY)
            return
        rtcp = len(data) > 1 and data[1] in RTCP_TYPES
        ssrc = data[4:8] if rtcp else data[8:12]
        if ssrc not in self._streams and len(self._streams) == MAX_STREAMS:
            self._refuse(Reason.CROWDED)
            return
        try:
            plain = inbound.rtcp(data) if rtcp else inbound.rtp(data)
        except pylibsrtp.Error as error:
            self._refuse(SAID.get(str(error), Reason.UNREADABLE))
        except ValueError:  # longer than any packet of ours
            self._refuse(Reason.UNREADABLE)
        else:
            self._streams.add(ssrc)
            self.inner.receive_datagram(plain, source, now)

    def tick(self, now: int) -> None:
        """Time has passed: do what is due."""
        self.inner.tick(now)

    def deadline(self) -> int | None:
        """When it next wants `tick`."""
        due: int | None = self.inner.deadline()
        return due

    def transmits(self) -> Sequence[Datagram]:
        """What the session wants sent, protected."""
        waiting = self.inner.transmits()
        if not waiting:
            return ()
        if self._ends:
            waiting = self._spend(waiting)
        out: list[Datagram] = []
        rtcp_types, protect, make = RTCP_TYPES, self._protect, _new  # looked up once, not each time
        for data, destination in waiting:
            try:
                sealed = protect(data) if data[1] not in rtcp_types else self._protect_rtcp(data)
                out.append(make(Datagram, (sealed, destination)))
            except pylibsrtp.Error:
                self.unsent += 1  # this sequence number has been used: never encrypt twice with it
        return out

    def _spend(self, waiting: Sequence[Datagram]) -> Sequence[Datagram]:
        """As many as the lifetime of the key allows."""
        allowed = waiting[: self._left]
        self._left -= len(allowed)
        self.unsent += len(waiting) - len(allowed)
        return allowed

    def events(self) -> Sequence[Event]:
        """What happened."""
        events: Sequence[Event] = self.inner.events()
        if self._events:
            events, self._events = [*self._events, *events], []
        return events

    def _refuse(self, reason: Reason) -> None:
        self.refusals[reason] += 1
        self._own_refused += 1
        if not self.inner.closed:  # `Closed` is the last event
            self._events.append(Refused(AuthenticationError(f"a packet was {reason}")))

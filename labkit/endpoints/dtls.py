"""One DTLS handshake, at the end of which both sides have the keys of SRTP (week 12).

    active                                          passive
       |---- ClientHello, and which SRTP suites ------>|
       |<--- ServerHello, certificate, key share ------|
       |---- certificate, key share, Finished -------->|
       |<--- Finished ---------------------------------|
       |<=========== SRTP, in both directions ========>|

DTLS 1.2 is RFC 6347; that it makes keys for SRTP is RFC 5764. The certificates are self-signed:
what they are worth says the fingerprint in the SDP (RFC 8122), and a certificate that has another
one ends the handshake. Dates and names in it do not count. DTLS protects no media itself.

The handshake is done by OpenSSL, which reads and writes memory here and knows no socket. But it
reads the machine's clock to know when to repeat itself, and that clock is not ours: in virtual
time it would stand still. So `Handshake` keeps the flight that was sent last and repeats it itself,
after `FIRST_WAIT` and then twice as long each time (RFC 6347 section 4.2.4.1). The repeated records
are the same bytes with the same numbers, as if the network had doubled them: a peer that has them
drops them. Who has sent the last flight of all hears that it was lost when the peer repeats its
own, and then repeats that (section 4.2.4). OpenSSL's own timer is never asked for; where it rings
after all, in a slow call, the peer gets one flight more.

What OpenSSL's dice give (key shares, random numbers) no seed decides: two runs differ in bytes,
and ECDSA signatures by one or two in length.

This module knows no socket, no file and no RTP.
"""

from collections.abc import Collection
from contextlib import suppress
from enum import Enum
from typing import Final

from OpenSSL import SSL

from labkit.core.session import DEFAULT_LIMITS, Limits
from labkit.endpoints.dtlscontext import (
    DEFAULT_SUITES,
    HANDSHAKE,
    PROFILES,
    Credentials,
    drain,
    fingerprint,
    is_pinned,
    make_connection,
    make_context,
)
from labkit.wire.sdes import MasterKey, Suite
from labkit.wire.sdpdtls import Fingerprint, Setup
from labkit.words.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from labkit.words.machine import earliest
from labkit.words.units import ms, seconds, to_seconds

__all__ = ["Handshake", "Stage", "fingerprint"]

FIRST_WAIT: Final = ms(200)
"""Before a flight is repeated. RFC 6347 says a second, and less where people wait."""
LONGEST_WAIT: Final = seconds(2)
MOST_ECHOES: Final = 8
"""How often the last flight is repeated because the peer repeats its own."""
LABEL: Final = b"EXTRACTOR-dtls_srtp"
"""RFC 5764 section 4.2."""


class Stage(Enum):
    """Where a handshake is."""

    NEW = "new"
    UNDER_WAY = "under way"
    DONE = "done"
    FAILED = "failed"


class Handshake:
    """One side of it. `setup` is ACTIVE or PASSIVE; `pins` are fingerprints, any of which will do.

    With `pins` None anybody will do: the keys are secret, but who has them is not known. When
    `stage` is DONE, `ours` and `theirs` are the keys of both directions.
    """

    def __init__(
        self,
        credentials: Credentials,
        setup: Setup,
        pins: Collection[Fingerprint] | None,
        *,
        suites: Collection[Suite] = DEFAULT_SUITES,
        limits: Limits = DEFAULT_LIMITS,
        connection: SSL.Connection | None = None,
    ) -> None:
        if setup not in (Setup.ACTIVE, Setup.PASSIVE):
            raise LocalProtocolError(f"a handshake is active or passive, not {setup.value}")
        self.setup = setup
        self.stage = Stage.NEW
        self.limits = limits
        self.ours: MasterKey | None = None
        self.theirs: MasterKey | None = None
        self.error: AuthenticationError | RemoteProtocolError | None = None
        """Why it failed."""
        self.peer_left = False
        """The peer said that it is done with us (close_notify)."""
        self._pins = pins
        self._ssl = connection or make_connection(make_context(credentials, pins, suites), setup)
        self._out: list[bytes] = []
        self._flight: list[bytes] = []
        self._echoes = 0
        self._since = 0
        self._wait = FIRST_WAIT
        self._again: int | None = None  # when the flight is repeated

    def receive(self, data: bytes, now: int) -> None:
        """Take one datagram for which `is_dtls` is true."""
        if self.stage is Stage.NEW:
            self._begin(now)
        if self.stage is Stage.FAILED:
            return
        self._ssl.bio_write(data)
        if self.stage is Stage.DONE:
            self._listen_on(data)
        else:
            self._step(now)

    def start(self, now: int) -> None:
        """Say the first word, or answer what OpenSSL has already read."""
        self._begin(now)
        self._step(now)

    def tick(self, now: int) -> None:
        """Begin if it is ours to begin, repeat what is due, or lose patience."""
        if self.stage is Stage.NEW and self.setup is Setup.ACTIVE:
            self.start(now)
        elif self.stage is Stage.UNDER_WAY and now >= self._since + self.limits.answer:
            waited = to_seconds(self.limits.answer)
            self._fail(RemoteProtocolError(f"no DTLS handshake within {waited:g} s"))
        elif self._again is not None and now >= self._again:
            self._out += self._flight
            self._wait = min(2 * self._wait, LONGEST_WAIT)
            self._again = now + self._wait

    def deadline(self) -> int | None:
        """When `tick` has something to do."""
        if self.stage is Stage.NEW:
            return 0 if self.setup is Setup.ACTIVE else None
        patience = self._since + self.limits.answer if self.stage is Stage.UNDER_WAY else None
        return earliest(self._again, patience)

    def transmits(self) -> list[bytes]:
        """Datagrams for the peer."""
        out, self._out = self._out, []
        return out

    # Inside -----------------------------------------------------------------------------------

    def _begin(self, now: int) -> None:
        self.stage = Stage.UNDER_WAY
        self._since = now

    def _step(self, now: int) -> None:
        """Let OpenSSL read what came, and say what it has to say."""
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            self._send(now)
        except SSL.Error as error:
            self._out += drain(self._ssl)  # the alert
            self._fail(AuthenticationError(_reason(error, pinned=self._pins is not None)))
        else:
            self._send(now)
            self._finish()

    def _send(self, now: int) -> None:
        flight = drain(self._ssl)
        if flight:
            self._flight = flight
            self._out += flight
            self._wait = FIRST_WAIT
            self._again = now + self._wait

    def _finish(self) -> None:
        """Section 4.2 of RFC 5764: one string of key material, cut into four."""
        self._again = None  # the peer has all, or will repeat itself
        shown = self._ssl.get_peer_certificate()
        if self._pins is not None and (shown is None or not is_pinned(shown, self._pins)):
            self._fail(AuthenticationError("the certificate is not the one that SDP promised"))
            return
        chosen = self._ssl.get_selected_srtp_profile()
        suite = next((suite for suite, name in PROFILES.items() if name == chosen), None)
        if suite is None:
            self._fail(RemoteProtocolError("a DTLS handshake without a suite for SRTP"))
            return
        key, salt = suite.key_size, suite.salt_size
        material = self._ssl.export_keying_material(LABEL, 2 * (key + salt))
        clients = MasterKey(suite, material[:key], material[2 * key : 2 * key + salt])
        servers = MasterKey(suite, material[key : 2 * key], material[2 * key + salt :])
        active = self.setup is Setup.ACTIVE
        self.ours, self.theirs = (clients, servers) if active else (servers, clients)
        self.stage = Stage.DONE

    def _listen_on(self, data: bytes) -> None:
        """After the end: a peer that did not hear our last flight, or that takes its leave."""
        with suppress(SSL.Error):
            try:
                self._ssl.recv(1 << 14)
            except SSL.ZeroReturnError:
                self.peer_left = True
        again = drain(self._ssl)  # OpenSSL saw a flight repeated with new numbers
        if again:
            self._flight = again
        # Repeated with the old numbers, OpenSSL drops it: then it is ours to answer. Records that
        # are not encrypted yet (epoch 0) belong to a handshake that is not over there. The last
        # flight of all is the passive side's.
        elif self.setup is Setup.PASSIVE and data[0] == HANDSHAKE and data[3:5] == b"\0\0":
            again = self._flight
        if again and self._echoes < MOST_ECHOES:
            self._echoes += 1
            self._out += again

    def _fail(self, error: AuthenticationError | RemoteProtocolError) -> None:
        self.stage = Stage.FAILED
        self.error = error
        self._again = None


def _reason(error: SSL.Error, *, pinned: bool) -> str:
    """OpenSSL's words for it."""
    details = error.args[0] if error.args and isinstance(error.args[0], list) else []
    why = ", ".join(str(detail[-1]) for detail in details) or type(error).__name__
    if pinned and "certificate verify failed" in why:
        return "the certificate is not the one that SDP promised"
    return f"the DTLS handshake failed: {why}"

"""The door of a server: who wants to listen shakes hands first (week 12).

    door = DtlsDoor(identity)
    server = Server(voice, lambda address: door.protect(RtpSession(Role.SENDER, sdp), address))
    door.open_to(server)
    await open_udp(door)

Anybody can send a ClientHello, from any address that he likes to write on it. So the first one is
answered by a cookie, for which nothing is remembered (RFC 6347 section 4.2.1): only who can read at
that address can bring it back. After that at most `MOST_HALF_OPEN` handshakes are under way, each
for as long as `limits.answer` lasts; who comes meanwhile is refused and counted, and has to come
again. Keys are kept for whom the server knows, and of the others for a while.

A listener that begins anew from the same port gets new keys when its new handshake is done, and
until then keeps the old: a forged ClientHello ends nobody's call (section 4.2.8).

This module knows no RTP: what is no handshake and comes from somebody with keys is the server's.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Collection
from random import Random, SystemRandom
from typing import Any, Final

from OpenSSL import SSL

from labkit.core.session import DEFAULT_LIMITS, Limits, Refused
from labkit.endpoints.dtls import Handshake, Stage
from labkit.endpoints.dtlscontext import (
    DEFAULT_SUITES,
    Credentials,
    drain,
    is_client_hello,
    is_dtls,
    make_connection,
    make_context,
)
from labkit.endpoints.srtp import Reason, Srtp
from labkit.wire.sdes import Suite
from labkit.wire.sdpdtls import Fingerprint, Setup
from labkit.words.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from labkit.words.machine import Address, Datagram, Event, earliest
from labkit.words.units import seconds

MOST_HALF_OPEN: Final = 32
MOST_DONE: Final = 256
"""Listeners with keys, in and out of the server."""
COOKIE_LIFE: Final = seconds(60)
"""A cookie is good until the end of the next one of these: collecting them is of no use."""


class DtlsDoor:
    """A datagram machine in front of a server. `pins` None: whoever comes may listen."""

    def __init__(
        self,
        credentials: Credentials,
        pins: Collection[Fingerprint] | None = None,
        *,
        suites: Collection[Suite] = DEFAULT_SUITES,
        limits: Limits = DEFAULT_LIMITS,
        rng: Random | None = None,
    ) -> None:
        self.refusals: Counter[Reason] = Counter()
        """Of the packets of all listeners."""
        self.failed_handshakes = 0
        self.turned_away = 0
        """Who came when too many handshakes were under way, or too many had keys."""
        self.behind: Any = None
        self._credentials = credentials
        self._pins = pins
        self._limits = limits
        self._secret = (rng or SystemRandom()).randbytes(32)
        self._context = make_context(credentials, pins, suites)
        self._context.set_cookie_generate_callback(lambda each: self._cookie(each, 0))
        self._context.set_cookie_verify_callback(self._knows)
        self._listening = make_connection(self._context, Setup.PASSIVE)
        self._half_open: dict[Address, Handshake] = {}
        self._done: dict[Address, tuple[Handshake, int]] = {}  # and when it was done
        self._out: list[Datagram] = []
        self._events: list[Event] = []

    def open_to(self, server: Any) -> None:
        """Who is behind the door."""
        self.behind = server

    def protect(self, session: Any, address: Address) -> Srtp:
        """The session of a listener, with the keys that were agreed on with him."""
        handshake = self._done[address][0] if address in self._done else None
        if handshake is None or handshake.ours is None:
            raise LocalProtocolError("nobody with keys is at this address")
        return Srtp(session, handshake.ours, handshake.theirs, refusals=self.refusals)

    # The machine ------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """A handshake's, or for the server."""
        if not is_dtls(data):
            if source in self._done:
                self.behind.receive_datagram(data, source, now)
            else:
                self.refusals[Reason.NO_KEY] += 1
                self._refuse(AuthenticationError(f"a packet was {Reason.NO_KEY}"))
        elif source in self._half_open:
            self._half_open[source].receive(data, now)
            self._look(source, now)
        elif is_client_hello(data):
            self._greet(data, source, now)
        elif source in self._done:
            handshake = self._done[source][0]
            handshake.receive(data, now)
            self._send(handshake, source)
            if handshake.peer_left:
                self._forget(source)

    def tick(self, now: int) -> None:
        """Repeat, lose patience, forget; and let the server do what is due."""
        for address in list(self._half_open):
            self._half_open[address].tick(now)
            self._look(address, now)
        for address, (_, since) in list(self._done.items()):
            if now >= since + self._limits.silence and not self._is_inside(address):
                del self._done[address]
        self.behind.tick(now)

    def deadline(self) -> int | None:
        """The first of all. Who has keys and never comes in is forgotten when something happens."""
        return earliest(self.behind.deadline(), *(h.deadline() for h in self._half_open.values()))

    def transmits(self) -> list[Datagram]:
        """Of the handshakes, then of the server."""
        out, self._out = self._out, []
        return [*out, *self.behind.transmits()]

    def events(self) -> list[Event]:
        """Of the handshakes, then of the server."""
        events, self._events = self._events, []
        return [*events, *self.behind.events()]

    # Who comes --------------------------------------------------------------------------------

    def _greet(self, data: bytes, source: Address, now: int) -> None:
        """Answer with a cookie, or let in who brings it."""
        listening = self._listening
        listening.set_app_data((repr(source).encode(), now))
        listening.bio_write(data)
        try:
            listening.DTLSv1_listen()
        except SSL.WantReadError:
            self._out += [Datagram(each, source) for each in drain(listening)]
            return
        except SSL.Error:
            self._listening = make_connection(self._context, Setup.PASSIVE)
            self._fail(RemoteProtocolError("a ClientHello that cannot be read"))
            return
        self._listening = make_connection(self._context, Setup.PASSIVE)
        if len(self._half_open) >= MOST_HALF_OPEN or not self._has_room(source, now):
            self.turned_away += 1
            return
        handshake = Handshake(
            self._credentials, Setup.PASSIVE, self._pins, limits=self._limits, connection=listening
        )
        self._half_open[source] = handshake
        handshake.start(now)
        self._look(source, now)

    def _has_room(self, source: Address, now: int) -> bool:
        """Whether one more may have keys; who never came in makes room for who comes now."""
        if source in self._done or len(self._done) < MOST_DONE:
            return True
        for address in self._done:
            if not self._is_inside(address):
                del self._done[address]
                return True
        return False

    def _look(self, address: Address, now: int) -> None:
        """Send what a handshake says, and see whether it is over."""
        handshake = self._half_open[address]
        self._send(handshake, address)
        if handshake.stage is Stage.DONE:
            del self._half_open[address]
            self._forget(address)
            self._done[address] = handshake, now
        elif handshake.error is not None:
            del self._half_open[address]
            self._fail(handshake.error)

    def _forget(self, address: Address) -> None:
        """Old keys are over, and with them the session that had them."""
        self._done.pop(address, None)
        if self._is_inside(address):
            self.behind.dismiss(address)

    def _is_inside(self, address: Address) -> bool:
        return address in self.behind.clients

    def _send(self, handshake: Handshake, address: Address) -> None:
        self._out += [Datagram(data, address) for data in handshake.transmits()]

    def _fail(self, error: AuthenticationError | RemoteProtocolError) -> None:
        self.failed_handshakes += 1
        self._refuse(error)

    def _refuse(self, error: AuthenticationError | RemoteProtocolError) -> None:
        self._events.append(Refused(error))

    # Cookies ----------------------------------------------------------------------------------

    def _cookie(self, connection: SSL.Connection, age: int) -> bytes:
        address, now = connection.get_app_data()
        period = now // COOKIE_LIFE - age
        return hmac.new(self._secret, b"%d %s" % (period, address), hashlib.sha256).digest()

    def _knows(self, connection: SSL.Connection, shown: bytes) -> bool:
        return any(hmac.compare_digest(shown, self._cookie(connection, age)) for age in (0, 1))

"""WebSocket: our frames through the doors that the web has opened (RFC 6455; week 9).

    receiver (client)                             sender (server)
       |-- GET / HTTP/1.1, Upgrade: websocket -->|     section 4.1
       |   Authorization: Bearer <token>         |
       |<------- 101 Switching Protocols --------|     section 4.2; or 401 and why
       |<====== HELLO, DESCRIPTION, MEDIA ======>|     one binary message each: section 5.6
       |<------------- Ping, Pong -------------->|     every `limits.keep_alive`: section 5.5
       |<---------------- Close ---------------->|     section 7: after BYE

The protocol is the Sans-I/O half of the library `websockets`; this module decides what it leaves
open, and makes a layer of it. The handshake is judged in `labkit.endpoints.upgrade`. Only media,
whole binary messages from the server, go past the library, by `labkit.wire.wsframe`.

- **Who may listen.** With a `gate` the server wants a token: in the header `Authorization` (RFC
  6750 section 2.1), or as an entry `bearer.<token>` of `Sec-WebSocket-Protocol`, since a page in a
  browser can set no other header. Not in the URL, which logs and histories keep; not in the first
  message, because then a stranger would hold an open connection. Who has none gets 401, who asks
  for another path 404.
- **Which pages.** Browsers tell the `Origin` of a page. Without a gate only pages from `origins`
  may listen: else any page that somebody looks at could listen in where he can (section 10.2).
- **How much.** A handshake may have `MAX_HEAD` bytes and `limits.answer` of time, a message
  `MAX_MESSAGE` bytes. Text is refused: we have none.
- **No compression.** permessage-deflate (RFC 7692) costs time, and memory for each connection,
  to make Opus no smaller.

An end of ours is an end of the WebSocket: BYE, then Close 1000, and the server hangs up first
(section 7.1.1). A page that only closes, with 1000 or 1001, has ended in order too. The answer to a
Ping is a sign of life, also when a page sleeps and asks no more; and it tells the round trip.

The library draws masks and keys by chance, and dates its answer: bytes differ from run to run, but
not their number. It logs nothing here: its logs would show the token.

This module knows no socket, no clock and no TLS, and not what a message means.
"""

import logging
import struct
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin
from websockets.uri import WebSocketURI

from labkit.core.session import Role, Stats
from labkit.core.token import Gate, fits_header
from labkit.endpoints.layer import Layer, Stage
from labkit.endpoints.upgrade import SUBPROTOCOL, Refusal, judge, printable, understand
from labkit.wire import wsframe
from labkit.wire.framing import HEADER, MAX_PAYLOAD
from labkit.words.errors import BadInput, RemoteProtocolError

MAX_HEAD: Final = 8 * 1024
"""Bytes of a handshake. Apache takes as many for one line, websockets a megabyte in all; ours has
some 300, a browser's 700."""
MAX_MESSAGE: Final = HEADER.size + MAX_PAYLOAD
"""Bytes of a message: the longest of our frames."""

_NORMAL, _PROTOCOL_ERROR, _UNSUPPORTED = 1000, 1002, 1003
_IN_ORDER: Final = (1000, 1001, 1005)
"""Close codes of an end as agreed, of a page that was left, and none at all: section 7.4.1."""
_END_OF_HEAD: Final = b"\r\n\r\n"
_TLS_HANDSHAKE: Final = 0x16
"""The first byte of a TLS connection (RFC 8446 section 5.1): no HTTP method begins so."""

_PING: Final = struct.Struct("!Q")
"""What a Ping carries: when it was sent."""

_SILENT: Final = logging.Logger("labkit.websocket", logging.CRITICAL + 1)


class WebSocket(Layer):
    """`inner` over WebSocket. A session that sends is the server, one that receives the client.

    The server's: `gate` lets in who has a token; `origins` names the pages that may listen
    (`https://example.org`), which without a gate are none, and with one all. The client's: `host`
    and `port` of the server, as its URL says them, whether it is reached over TLS (`secure`), and
    the `token`.
    """

    name = "WebSocket"

    def __init__(
        self,
        inner: Any,
        *,
        gate: Gate | None = None,
        origins: Collection[str] = (),
        host: str = "localhost",
        port: int = 80,
        secure: bool = False,
        path: str = "/",
        token: str | None = None,
    ) -> None:
        super().__init__(inner)
        self.subject = ""
        """At the server: whom the token was given to."""
        self._path = path
        self._gate = gate
        self._token = token
        self._head: bytearray | None = bytearray()
        self._taken = 0
        self._rest = bytearray()
        self._needed = 0
        self._serves = self.role is Role.SENDER
        self._pinged: int | None = None
        self._ping_due = 0
        self._round_trip: int | None = None
        self._protocol: ServerProtocol | ClientProtocol
        if self._serves:
            allowed = None if gate is not None and not origins else [None, *map(Origin, origins)]
            self._protocol = ServerProtocol(
                origins=allowed,
                subprotocols=[SUBPROTOCOL],
                max_size=MAX_MESSAGE,
                logger=_SILENT,
            )
            return
        if token is not None and not fits_header(token):
            raise BadInput("what was given as a token is none", "labkit token issue")
        uri = WebSocketURI(secure, host, port, path, "")
        self._protocol = ClientProtocol(
            uri, subprotocols=[SUBPROTOCOL], max_size=MAX_MESSAGE, logger=_SILENT
        )

    @property
    def stats(self) -> Stats:
        """What the session has counted, and the round trip of the last Ping."""
        return replace(super().stats, round_trip=self._round_trip)

    # The handshake ----------------------------------------------------------------------------

    def _begin(self, now: int) -> None:
        if isinstance(self._protocol, ClientProtocol):
            request = self._protocol.connect()
            if self._token is not None:
                request.headers["Authorization"] = f"Bearer {self._token}"
            self._protocol.send_request(request)
            self._hand_over()

    def _receive(self, data: bytes, now: int) -> None:
        if self.stage is Stage.OPENING:
            data = self._receive_head(data, now)
        if data and self.stage is not Stage.DONE:
            if self._serves:
                self._receive_frames(data, now)
            else:
                self._receive_media(data, now)

    def receive_eof(self, now: int) -> None:
        """The peer will send no more: a refusal may be as long as that."""
        if self.stage is Stage.OPENING and not self._serves and self._head is None:
            self._protocol.receive_eof()
            self._settle(now)
        super().receive_eof(now)

    def _receive_head(self, data: bytes, now: int) -> bytes:
        """Take what belongs to the handshake, give back what follows it.

        The library gets a head when it is whole, and nothing that came before its answer.
        """
        if self._head is not None:
            self._head += data
            if self._serves and self._head and not self._head[:1].isupper():
                hint = ", but TLS" if self._head[0] == _TLS_HANDSHAKE else ""
                self._fail(RemoteProtocolError(f"the client speaks no HTTP{hint}"), now)
                return b""
            found = self._head.find(_END_OF_HEAD)
            end = len(self._head) if found < 0 else found + len(_END_OF_HEAD)
            if end > MAX_HEAD:
                self._refuse_length(now)
                return b""
            if found < 0:
                return b""
            data, rest = bytes(self._head[:end]), bytes(self._head[end:])
            self._head = None
        else:  # at the client: what a refusal says
            rest = b""
        self._taken += len(data)
        if self._taken > MAX_HEAD:
            self._refuse_length(now)
            return b""
        self._protocol.receive_data(data)
        self._settle(now)
        if rest and self.stage is Stage.OPENING:
            return self._receive_head(rest, now)
        return rest

    def _refuse_length(self, now: int) -> None:
        why = f"a handshake of more than {MAX_HEAD} bytes"
        if isinstance(self._protocol, ServerProtocol):
            self._protocol.send_response(self._protocol.reject(431, f"{why}\n"))
            self._hand_over()
        self._fail(RemoteProtocolError(why), now)

    def _settle(self, now: int) -> None:
        """Act on what the library made of the handshake so far."""
        protocol = self._protocol
        for event in protocol.events_received():
            if isinstance(event, Request):
                self._answer(event, now)
            elif isinstance(event, Response):
                self._hear(event, now)
        if self.stage is Stage.OPENING and protocol.handshake_exc is not None:
            self._fail(RemoteProtocolError("the peer speaks no HTTP that can be read"), now)

    def _answer(self, request: Request, now: int) -> None:
        """At the server: let the client in, or say why not."""
        protocol = self._protocol
        assert isinstance(protocol, ServerProtocol)
        verdict = judge(protocol, request, path=self._path, gate=self._gate, now=now)
        self.subject = verdict.subject
        protocol.send_response(verdict.response)
        self._hand_over()
        self._open_or_fail(verdict.error, now, by="us")

    def _hear(self, response: Response, now: int) -> None:
        """At the client: we are in, or are told why not."""
        assert isinstance(self._protocol, ClientProtocol)
        self._open_or_fail(understand(self._protocol, response), now, by="peer")

    def _open_or_fail(self, error: Refusal | None, now: int, *, by: str) -> None:
        if error is not None:
            self._fail(error, now, by=by)
        else:
            self._ping_due = now + self.limits.keep_alive
            self._opened(now)

    # Messages ---------------------------------------------------------------------------------

    def _wrap(self, wanted: Sequence[bytes]) -> None:
        """A message of each. The server's need no mask, and are most of what is ever sent."""
        if self._serves:
            self._out += map(wsframe.pack, wanted)
            return
        for data in wanted:
            self._protocol.send_binary(data)
        self._hand_over()

    def _receive_media(self, data: bytes, now: int) -> None:
        """At the client: whole binary messages go straight to the session, frames else elsewhere.

        The library gets whole frames, so it is never in the middle of one.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        protocol = self._protocol
        offset, size = 0, len(data)
        while offset < size and self.stage is not Stage.DONE:
            start, end = wsframe.measure(data, offset)
            fits = end - start <= MAX_MESSAGE
            if end > size and fits:
                self._rest += data[offset:]
                self._needed = end - offset
                return
            plain = data[offset] == wsframe.BINARY and data[offset + 1] < wsframe.MASK
            if plain and fits and protocol.current_size is None:
                self.inner.receive_data(data[start:end], now)
            else:
                self._receive_frames(data[offset:end], now)
            offset = end

    def _receive_frames(self, data: bytes, now: int) -> None:
        protocol = self._protocol
        protocol.receive_data(data)
        frames: Sequence[Any] = protocol.events_received()
        for frame in frames:
            opcode = frame.opcode
            if opcode is Opcode.BINARY or opcode is Opcode.CONT:
                self.inner.receive_data(bytes(frame.data), now)
            elif opcode is Opcode.PONG:
                self._take_pong(bytes(frame.data), now)
            elif opcode is Opcode.CLOSE:
                self._take_close(now)
            elif opcode is Opcode.TEXT:
                protocol.fail(_UNSUPPORTED, "no text here")
                self._fail(RemoteProtocolError("a message of text"), now)
        if protocol.parser_exc is not None and self.stage is not Stage.DONE:
            self._fail(RemoteProtocolError(f"WebSocket: {protocol.parser_exc}"), now)
        if protocol.writes:
            self._hand_over()

    def _hand_over(self) -> None:
        """Take what the library wants sent; its empty piece means the end of the stream."""
        for data in self._protocol.data_to_send():
            if data:
                self._give(data)

    # Keeping alive ----------------------------------------------------------------------------

    def _keeps_alive(self) -> int | None:
        return self._ping_due

    def _keep_alive(self, now: int) -> None:
        if now < self._ping_due:
            return
        self._ping_due = now + self.limits.keep_alive
        if not self._paused and self._protocol.state is State.OPEN:
            self._pinged = now
            self._protocol.send_ping(_PING.pack(now))
            self._hand_over()

    def _take_pong(self, data: bytes, now: int) -> None:
        """The answer to our last Ping; others are not asked for, and say nothing."""
        if self._pinged is not None and data == _PING.pack(self._pinged):
            self._round_trip = now - self._pinged
            self._pinged = None
            self.inner.receive_data(b"", now)

    # The end ----------------------------------------------------------------------------------

    def _goodbye(self) -> Stage:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(_PROTOCOL_ERROR if self.inner.refused else _NORMAL)
            self._hand_over()
        return Stage.LEAVING

    def _take_close(self, now: int) -> None:
        """Theirs; the library has answered it."""
        close = self._protocol.close_rcvd
        assert close is not None
        why = f"the peer closed the WebSocket: {close.code} {printable(close.reason)}".rstrip()
        self._end(now, why=why, clean=close.code in _IN_ORDER)
        self._enter(Stage.DONE if self._serves else Stage.LEAVING, now)

    def _cut_off(self, now: int) -> None:
        self._end(now, why="cut off: the connection ended without a Close")

"""The opening handshake of a WebSocket: who is let in, and what the others are told (week 9).

RFC 6455 section 4: the client asks by HTTP to be let over to another protocol, the server answers
101, or says by its status why not. The library `websockets` checks what the standard asks for; here
is what it leaves to us: the path, the origin, the token, and words for people.

Errors name headers and never quote them: one of them may hold a token.

This module knows no connection and no bytes: a request goes in, an answer comes out.
"""

from typing import Final, NamedTuple

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHeader, InvalidOrigin, NegotiationError
from websockets.headers import parse_subprotocol
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from labkit.core.token import Gate
from labkit.words.errors import AuthenticationError, RemoteProtocolError

SUBPROTOCOL: Final = Subprotocol("labkit.v1")
"""What both ends say they speak: section 1.9."""
BEARER: Final = "bearer."
"""Begins an entry of `Sec-WebSocket-Protocol` that is a token."""
MAX_WHY: Final = 200
"""Characters of what a stranger says about an end that are shown."""

SWITCHING: Final = 101
_NOT_ADMITTED: Final = {401: "token", 403: "origin"}
"""Statuses that mean: not you."""

Refusal = RemoteProtocolError | AuthenticationError


class Verdict(NamedTuple):
    """What a server makes of a request."""

    response: Response
    error: Refusal | None
    """Why not; None when the client is let in."""
    subject: str = ""
    """Whom its token was given to."""


def judge(
    protocol: ServerProtocol, request: Request, *, path: str, gate: Gate | None, now: int
) -> Verdict:
    """Let the client in, or say why not, with the status of section 4.2.2 or RFC 6750 section 3."""
    response = protocol.accept(request)
    if isinstance(protocol.handshake_exc, InvalidOrigin):
        why = "a page from elsewhere may not listen"
        return _refused(response, AuthenticationError(why, reason="origin"))
    if response.status_code != SWITCHING:
        return _refused(response, RemoteProtocolError(what_is_wrong(protocol.handshake_exc)))
    if request.path != path:
        error = RemoteProtocolError("the client asks for a path that is not there")
        return _refused(protocol.reject(404, ""), error)
    if gate is None:
        return Verdict(response, None)
    try:
        return Verdict(response, None, gate.admit(token_of(request), now))
    except AuthenticationError as refusal:
        response = protocol.reject(401, "")
        response.headers["WWW-Authenticate"] = 'Bearer realm="labkit"'
        return _refused(response, refusal)


def understand(protocol: ClientProtocol, response: Response) -> Refusal | None:
    """What a client makes of the answer: why it was not let in, or None when it was."""
    status = response.status_code
    if status == SWITCHING:
        if protocol.handshake_exc is None and protocol.subprotocol == SUBPROTOCOL:
            return None
        missing = NegotiationError(SUBPROTOCOL)
        return RemoteProtocolError(what_is_wrong(protocol.handshake_exc or missing))
    said = printable(bytes(response.body).decode(errors="replace"))
    why = f"the server refused: {status} {printable(response.reason_phrase)}"
    why = f"{why}: {said}" if said else why
    if status in _NOT_ADMITTED:
        return AuthenticationError(why, reason=_NOT_ADMITTED[status])
    return RemoteProtocolError(why)


def token_of(request: Request) -> str | None:
    """The token of a request, from either of its places."""
    for value in request.headers.get_all("Authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    for value in request.headers.get_all("Sec-WebSocket-Protocol"):
        for entry in parse_subprotocol(value):
            if entry.startswith(BEARER):
                return entry.removeprefix(BEARER)
    return None


def what_is_wrong(error: Exception | None) -> str:
    """What the library found, without the values."""
    match error:
        case InvalidHeader():
            return f"the header {error.name} is missing or wrong"
        case NegotiationError():
            return f"the other end does not speak {SUBPROTOCOL}"
        case _:
            return "that is no handshake of a WebSocket"


def printable(text: str) -> str:
    """What a stranger says, on one line of bounded length."""
    return "".join(c if c.isprintable() else " " for c in text[:MAX_WHY]).strip()


def _refused(response: Response, error: Refusal) -> Verdict:
    """A refusal that says for people what its status says for programs."""
    response.body = f"{error}\n".encode()
    del response.headers["Content-Length"]
    response.headers["Content-Length"] = str(len(response.body))
    return Verdict(response, error)

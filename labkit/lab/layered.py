"""The layers of a call over `ws` and `wss`, with certificates that are made for it.

A call needs no folder of certificates: an authority and a server are made once in a process, and
forgotten with it. Their keys are Ed25519, whose signatures all have one length, so a seed decides
how many bytes a call in virtual time has, and when each arrives.

OpenSSL looks at the clock of the system, in virtual time too: the certificates are good now.
"""

import ssl
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from labkit.core.session import Role
from labkit.core.token import Gate
from labkit.endpoints.tls import Tls
from labkit.endpoints.websocket import WebSocket
from labkit.live.certs import Algorithm, client_context, make_folder, server_context

STREAMS = ("tcp", "ws", "wss")
"""Transports over a byte stream."""
NAME = "localhost"
"""What the certificate calls the server."""


def layered(
    session: Any, transport: str, *, gate: Gate | None = None, token: str | None = None
) -> Any:
    """A stream session with the layers of its transport.

    A server's `gate` asks for a token, a client shows its `token`; bare TCP has room for neither.
    """
    if transport == "tcp":
        return session
    secure = transport == "wss"
    port = 443 if secure else 80
    layer = WebSocket(session, gate=gate, host=NAME, port=port, secure=secure, token=token)
    return Tls(layer, _contexts()[session.role], server_name=NAME) if secure else layer


@cache
def _contexts() -> dict[Role, ssl.SSLContext]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        make_folder(folder, names=[NAME], algorithm=Algorithm.ED25519)
        return {
            Role.SENDER: server_context(folder / "server.pem", folder / "server-key.pem"),
            Role.RECEIVER: client_context(folder / "ca.pem"),
        }

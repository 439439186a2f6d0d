"""QUIC for calls in the lab: three transports, and certificates for them.

The authority is made once and thrown away afterwards. Keys are Ed25519's, so that every signature
and with it every datagram of a handshake has the same length from run to run: the bytes are random,
as TLS wants them, and the times are not.
"""

from functools import cache
from typing import Final

from labkit.core.session import Role
from labkit.core.token import Gate
from labkit.endpoints.quic import QuicSession
from labkit.endpoints.quicmedia import Carriage
from labkit.endpoints.quictls import ClientCredentials, ServerCredentials
from labkit.live.certs import Algorithm, Authority
from labkit.words.machine import Address

QUIC: Final = {
    "quic": Carriage.DATAGRAMS,
    "quic-stream": Carriage.STREAM,
    "quic-streams": Carriage.STREAMS,
}
"""The transports of a call that are QUIC, and how each carries the frames."""
NAME = "labkit.test"
"""What the server is called: a name that is nobody's (RFC 6761 section 6.2)."""


@cache
def quic_credentials() -> tuple[ServerCredentials, ClientCredentials]:
    """What the two ends of a call over QUIC show and trust."""
    authority = Authority.make(Algorithm.ED25519)
    server = authority.server([NAME], Algorithm.ED25519)
    return (
        ServerCredentials(server.certificate, server.key),
        ClientCredentials(authority.identity.certificate, NAME),
    )


def quic_session(
    role: Role,
    description: str,
    transport: str,
    peer: Address | None,
    *,
    gate: Gate | None = None,
    token: str = "",
) -> QuicSession:
    """One end of a call over QUIC; the server may have a `gate`, the client a `token`."""
    server, client = quic_credentials()
    credentials = server if role is Role.SENDER else client
    return QuicSession(
        role,
        description,
        credentials=credentials,
        peer=peer,
        carriage=QUIC[transport],
        gate=gate,
        token=token,
    )

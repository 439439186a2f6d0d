"""Certificates for calls in the lab: made once, of an authority that is thrown away afterwards.

Keys are Ed25519's, so that every signature and with it every datagram of a handshake has the same
length from run to run: the bytes are random, as TLS wants them, and the times are not.
"""

from functools import cache

from labkit.endpoints.quictls import ClientCredentials, ServerCredentials
from labkit.live.certs import Algorithm, Authority

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

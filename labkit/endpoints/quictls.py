"""Who is who on a QUIC connection: certificates, names, pins (RFC 9001, RFC 8446).

QUIC has no connection without TLS 1.3. A server shows a certificate; a client checks that an
authority which it trusts has signed it, that it has not expired, and that it was made for the
name which the client wanted to reach. A server may ask for a certificate in return, and compare
it with a short list of fingerprints that it was given (`pins`): whoever is not on it is refused.

Everything is PEM, as bytes: this module opens no file. Private keys are in no `repr`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from aioquic.quic.configuration import QuicConfiguration
from aioquic.tls import load_pem_private_key, load_pem_x509_certificates
from cryptography.hazmat.primitives.serialization import Encoding

from labkit.core.session import Limits
from labkit.endpoints.tls import plain_fingerprint
from labkit.words.errors import BadInput, LocalProtocolError
from labkit.words.units import to_seconds

ALPN: Final = "labkit-voice/1"
"""The name of our protocol in the handshake (RFC 7301): who speaks another hears "no"."""
DATAGRAM_FRAME: Final = 65_536
"""The largest DATAGRAM frame that we take: any that fits into a packet (RFC 9221 section 3)."""
WINDOW: Final = 128 * 1024
"""Bytes of streams that a sender of voice may have under way: four seconds at 256 kbit/s."""
CONTROL_WINDOW: Final = 16 * 1024
"""Bytes that a listener may say before it is heard: a question and a token are far less."""


@dataclass(frozen=True, slots=True)
class ServerCredentials:
    """What a server shows, and whom it lets in.

    `certificate` is a chain, its own certificate first. `pins` are SHA-256 fingerprints of client
    certificates in hex; None asks for no certificate, an empty set admits nobody.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    pins: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Whom a client trusts, and what it shows.

    `authority` is the certificate of the authority, or several; None takes those that the system
    of certifi trusts. `name` is a host name or an IP address. `certificate` and `key` are shown to
    a server that asks.
    """

    authority: bytes | None
    name: str
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


Credentials = ServerCredentials | ClientCredentials


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of the first certificate of a PEM file, in hex. `BadInput` when there is none."""
    der = _certificates(certificate)[0].public_bytes(Encoding.DER)
    return hashlib.sha256(der).hexdigest()


def pins(fingerprints: Iterable[str]) -> frozenset[str]:
    """Fingerprints as programs print them, colons and capitals or not. `BadInput` for others."""
    try:
        return frozenset(plain_fingerprint(text) for text in fingerprints)
    except LocalProtocolError as error:
        raise BadInput(str(error), "what `openssl x509 -fingerprint -sha256` prints") from error


def configuration(credentials: Credentials, limits: Limits) -> QuicConfiguration:
    """What aioquic has to know. `BadInput` when a certificate or a key cannot be read."""
    server = isinstance(credentials, ServerCredentials)
    made = QuicConfiguration(
        alpn_protocols=[ALPN],
        is_client=not server,
        idle_timeout=to_seconds(limits.silence),
        max_data=CONTROL_WINDOW if server else WINDOW,
        max_stream_data=CONTROL_WINDOW if server else WINDOW,
        max_datagram_frame_size=DATAGRAM_FRAME,
    )
    if isinstance(credentials, ClientCredentials):
        made.server_name = credentials.name
        made.cadata = credentials.authority
        if made.cadata is not None:
            _certificates(made.cadata)
    if credentials.certificate is not None:
        made.certificate, *made.certificate_chain = _certificates(credentials.certificate)
        made.private_key = _key(credentials.key)
    return made


@lru_cache(maxsize=8)  # every connection asks, and the answer takes a millisecond
def _certificates(pem: bytes) -> list[Any]:
    try:
        certificates: list[Any] = load_pem_x509_certificates(pem)
    except ValueError:
        certificates = []
    if not certificates:
        raise BadInput("that is no certificate in PEM form", "-----BEGIN CERTIFICATE----- …")
    return certificates


@lru_cache(maxsize=8)
def _key(pem: bytes | None) -> Any:
    try:
        return load_pem_private_key(pem or b"")
    except (ValueError, TypeError):  # the reason could show a piece of the key
        raise BadInput(
            "that is no private key in PEM form, or it wants a password",
            "-----BEGIN PRIVATE KEY----- …, without a password",
        ) from None

"""What OpenSSL is told before a DTLS handshake, and its records (week 12).

DTLS 1.2 and nothing else (RFC 6347), keys that are forgotten afterwards, no tickets, no second
handshake inside the first, and `use_srtp` with our suites (RFC 5764 section 4.1). Certificates are
judged by their fingerprints alone (RFC 8122).

This module knows no peer and no time: `labkit.endpoints.dtls` shakes hands.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from OpenSSL import SSL, crypto

from labkit.wire.sdes import Suite
from labkit.wire.sdpdtls import STRONG, Fingerprint, Setup

LONGEST_DATAGRAM: Final = 1200
DTLS_1_2: Final = 0xFEFD

CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""With keys that are forgotten afterwards: who steals a certificate's key later reads nothing."""
PROFILES: Final = {
    Suite.AEAD_AES_256_GCM: b"SRTP_AEAD_AES_256_GCM",
    Suite.AEAD_AES_128_GCM: b"SRTP_AEAD_AES_128_GCM",
    Suite.AES_CM_128_HMAC_SHA1_80: b"SRTP_AES128_CM_SHA1_80",
    Suite.AES_CM_128_HMAC_SHA1_32: b"SRTP_AES128_CM_SHA1_32",
}
"""RFC 5764 section 4.1.2 and RFC 7714 section 14.2, as OpenSSL calls them, best first."""
DEFAULT_SUITES: Final = (Suite.AEAD_AES_128_GCM, Suite.AES_CM_128_HMAC_SHA1_80)

HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}

RECORD_HEADER: Final = 13
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# | content type  |            version            |     epoch
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#                 |        sequence number, 48 bits ...           |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
#   sequence number |            length             | handshake type if content is 22
HANDSHAKE, CLIENT_HELLO = 22, 1


class Credentials(Protocol):
    """A certificate and its key, both in PEM: `labkit.live.certs.Identity` is one."""

    @property
    def certificate(self) -> bytes:
        """What is shown."""

    @property
    def key(self) -> bytes:
        """What proves that it is ours."""


def is_dtls(data: bytes) -> bool:
    """Whether a datagram on a shared port is DTLS: RFC 7983 section 7."""
    return len(data) > RECORD_HEADER and 20 <= data[0] <= 63


def is_client_hello(data: bytes) -> bool:
    """Whether somebody wants to begin."""
    return is_dtls(data) and data[0] == HANDSHAKE and data[RECORD_HEADER] == CLIENT_HELLO


def fingerprint(certificate: bytes, algorithm: str = "sha-256") -> Fingerprint:
    """What SDP says of a certificate in PEM."""
    digest = x509.load_pem_x509_certificate(certificate).fingerprint(HASHES[algorithm]())
    return Fingerprint(algorithm, digest)


def is_pinned(certificate: crypto.X509, pins: Collection[Fingerprint]) -> bool:
    """Whether any fingerprint that we believe is that of this certificate.

    OpenSSL hashes the bytes that came. Nobody parses them again: a second parser might raise.
    """
    return any(
        bytes.fromhex(certificate.digest(pin.algorithm.replace("-", "")).decode().replace(":", ""))
        == pin.digest
        for pin in pins
        if pin.algorithm in STRONG
    )


def make_context(
    ours: Credentials,
    pins: Collection[Fingerprint] | None,
    suites: Collection[Suite] = DEFAULT_SUITES,
) -> SSL.Context:
    """What OpenSSL needs to know for any number of handshakes."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(DTLS_1_2)
    context.set_max_proto_version(DTLS_1_2)
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(CIPHERS)
    context.use_certificate(x509.load_pem_x509_certificate(ours.certificate))
    key = serialization.load_pem_private_key(ours.key, None)
    context.use_privatekey(key)  # type: ignore[arg-type]  # not every key that there is signs
    context.set_tlsext_use_srtp(b":".join(n for suite, n in PROFILES.items() if suite in suites))
    if pins is not None:
        # The true check is `Handshake._finish`. This one lets the peer hear of it by an alert.
        def verify(_: object, shown: crypto.X509, __: int, depth: int, ___: int) -> bool:
            return depth > 0 or is_pinned(shown, pins)

        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
    return context


def make_connection(context: SSL.Context, setup: Setup) -> SSL.Connection:
    """One handshake to be, in memory."""
    connection = SSL.Connection(context, None)
    connection.set_ciphertext_mtu(LONGEST_DATAGRAM)
    if setup is Setup.ACTIVE:
        connection.set_connect_state()
    else:
        connection.set_accept_state()
    return connection


def drain(connection: SSL.Connection) -> list[bytes]:
    """What OpenSSL wants sent, as datagrams of whole records: memory keeps no boundaries."""
    data = b""
    with suppress(SSL.WantReadError):
        while True:
            data += connection.bio_read(1 << 14)
    found: list[bytes] = []
    while data:
        end = RECORD_HEADER + int.from_bytes(data[RECORD_HEADER - 2 : RECORD_HEADER])
        if found and len(found[-1]) + end <= LONGEST_DATAGRAM:
            found[-1] += data[:end]
        else:
            found.append(data[:end])
        data = data[end:]
    return found

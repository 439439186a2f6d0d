"""What SDP says before a DTLS handshake: RFC 8122, RFC 4145 and RFC 5763 (week 12).

    m=audio 5004 UDP/TLS/RTP/SAVP 111    RTP, protected by keys that DTLS agrees on
    a=fingerprint:sha-256 6B:8B:F0:...   the hash of the certificate that will be shown
    a=setup:passive                      who speaks first: the active side

Nothing here is secret. But whoever can change it can put a fingerprint of his own there: it has to
come over a channel on which nobody can change it.

This module knows no certificate and no handshake.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from labkit.words.errors import Malformed

HASHES: Final = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Hash functions of RFC 8122 section 5 and their bytes. MD5 and MD2 must not be used any more."""
STRONG: Final = ("sha-256", "sha-384", "sha-512")
"""Those of them that we believe."""

_HEX: Final = re.compile(r"([A-Za-z0-9-]{1,16}) +((?:[0-9A-Fa-f]{2}:){0,63}[0-9A-Fa-f]{2})")


class Setup(Enum):
    """Who sends the first datagram: RFC 4145 section 4, RFC 5763 section 5."""

    ACTIVE = "active"
    """We are the DTLS client."""
    PASSIVE = "passive"
    """We are the DTLS server."""
    ACTPASS = "actpass"
    """In an offer: as you like."""
    HOLDCONN = "holdconn"
    """Nobody, for the time being."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of a certificate in DER."""

    algorithm: str
    """As RFC 8122 spells it: "sha-256"."""
    digest: bytes

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest.hex(':').upper()}"


@dataclass(frozen=True, slots=True)
class DtlsParameters:
    """Whom to expect, and who begins."""

    fingerprints: tuple[Fingerprint, ...]
    """Of the certificate; any of them that we believe must fit."""
    setup: Setup


def unpack_fingerprint(value: str, offset: int = 0) -> Fingerprint:
    """The value of one a=fingerprint. `Malformed` if it is none, or of an unknown hash."""
    found = _HEX.fullmatch(value)
    algorithm = found[1].lower() if found else ""
    if found is None or algorithm not in HASHES:
        why = f"not <hash> <hexadecimal>: {value[:80]!r}"
        raise Malformed("a=fingerprint", offset, why, "RFC 8122 section 5")
    digest = bytes.fromhex(found[2].replace(":", ""))
    if len(digest) != HASHES[algorithm]:
        why = f"{len(digest)} bytes of {algorithm}, not {HASHES[algorithm]}"
        raise Malformed("a=fingerprint", offset, why, "RFC 8122 section 5")
    return Fingerprint(algorithm, digest)


def unpack_setup(value: str, offset: int = 0) -> Setup:
    """The value of a=setup. `Malformed` if it is none."""
    try:
        return Setup(value.strip().lower())
    except ValueError:
        why = f"no such role: {value[:80]!r}"
        raise Malformed("a=setup", offset, why, "RFC 4145 section 4") from None

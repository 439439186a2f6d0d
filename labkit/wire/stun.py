"""STUN, by which a host learns how a NAT makes it look: RFC 8489 (week 9).

    >>> from labkit.wire.stun import Attribute, Class, Message, pack, unpack
    >>> data = pack(Message(Class.REQUEST, bytes(12), ((Attribute.SOFTWARE, "labkit"),)))
    >>> print(unpack(data))
    Binding request 000000…: SOFTWARE labkit

A message is a header and attributes. Three of these protect the bytes before them: `pack` computes
MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 from a key and FINGERPRINT from nothing, `unpack`
checks the fingerprint, `verify` the integrity. `is_stun` tells STUN from RTP, RTCP and DTLS where
all come to one port (RFC 7983).

This module knows no NAT, no server and no time, and does not prepare passwords (RFC 8265): give it
what that preparation gives.
"""

import hashlib
import hmac
import struct
import zlib
from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import Any, Final, NamedTuple

from labkit.wire.stunattributes import (
    COOKIE,
    TRANSACTION_SIZE,
    Attribute,
    Change,
    Endpoint,
    ErrorCode,
    decode,
    encode,
    is_required,
    name,
)
from labkit.words.errors import LocalProtocolError, Malformed, Truncated

__all__ = [
    "BINDING", "Attribute", "Change", "Class", "Endpoint", "ErrorCode", "Message", "is_stun",
    "long_term_key", "pack", "unpack", "verify",
]  # fmt: skip

HEADER: Final = struct.Struct("!HHI12s")
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |0 0| method and class, mixed   |  length without these 20 bytes |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                   magic cookie = 0x2112A442                   |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                   transaction ID (96 bits)                    |
# +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
# |         attribute type        |    length without padding     |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |    value, then padding to a multiple of 32 bits ...

HEADER_SIZE: Final = HEADER.size
PREFIX: Final = struct.Struct("!HH")
"""Type and length before every attribute."""

BINDING: Final = 1
"""The one method of RFC 8489: tell me where this comes from."""

SEALS: Final = {Attribute.MESSAGE_INTEGRITY: 20, Attribute.MESSAGE_INTEGRITY_SHA256: 32}
"""What protects a message with a key, and how many bytes that takes."""
SHORTEST_SHA256: Final = 16
FINGERPRINT_SIZE: Final = 4
FINGERPRINT_XOR: Final = 0x5354554E
"""ASCII for STUN: else the CRC of a protocol that carries STUN could look like it."""

_SPEC: Final = "RFC 8489 section 5"


class Class(IntEnum):
    """What kind of message: section 5."""

    REQUEST = 0
    INDICATION = 1
    """Wants no answer."""
    SUCCESS = 2
    ERROR = 3


class Message(NamedTuple):
    """One message: what it says, without what protects it."""

    kind: Class
    transaction: bytes
    """96 bits that nobody can guess, by which an answer finds its request."""
    attributes: tuple[tuple[int, Any], ...] = ()
    """Number and value, in order; see `labkit.wire.stunattributes`."""
    fingerprint: bool = False
    """Whether it ends with a FINGERPRINT."""
    method: int = BINDING

    def get(self, number: int) -> Any:
        """The value of the first attribute of this number, or None: section 14."""
        return next((value for each, value in self.attributes if each == number), None)

    @property
    def mapped(self) -> Endpoint | None:
        """How the other side sees us, by the XORed attribute or the old plain one."""
        mapped: Endpoint | None = self.get(Attribute.XOR_MAPPED_ADDRESS)
        return mapped or self.get(Attribute.MAPPED_ADDRESS)

    def not_understood(self, known: Collection[int]) -> tuple[int, ...]:
        """The attributes that one has to know to answer, and that are not in `known`."""
        return tuple(n for n, _ in self.attributes if is_required(n) and n not in known)

    def __str__(self) -> str:
        method = "Binding" if self.method == BINDING else f"method {self.method}"
        said = ", ".join(f"{name(number)} {_show(value)}" for number, value in self.attributes)
        return f"{method} {self.kind.name.lower()} {self.transaction.hex()[:6]}…: {said or '—'}"


def _show(value: Any) -> str:
    match value:
        case (str(host), int(port)):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case bytes():
            return value.hex()
    return str(value)


def is_stun(data: bytes) -> bool:
    """Whether a datagram on a shared port is STUN: RFC 7983 section 7, and the cookie.

    A first byte of 0 to 3 is STUN, with methods up to 255; 20 to 63 is DTLS, 128 to 191 RTP or
    RTCP.
    """
    return len(data) >= HEADER_SIZE and data[0] < 4 and data[4:8] == b"\x21\x12\xa4\x42"


def long_term_key(username: str, realm: str, password: str, algorithm: str = "md5") -> bytes:
    """The key of a user with a password, by MD5 or SHA-256: section 9.2.2, section 18.5.1.

    With short-term credentials the key is the password itself, in UTF-8: section 9.1.1.
    """
    return hashlib.new(algorithm, f"{username}:{realm}:{password}".encode()).digest()


# Values to bytes


def pack(message: Message, *, key: bytes = b"", sha256: bool = False, filler: int = 0) -> bytes:
    """One message, with MESSAGE-INTEGRITY if there is a key; with `sha256` its better successor.

    `filler` is what padding consists of: nothing but zero by RFC 8489, spaces in RFC 5769's
    examples. `LocalProtocolError` when a value does not fit its attribute.
    """
    kind, transaction, attributes, fingerprint, method = message
    if len(transaction) != TRANSACTION_SIZE:
        raise LocalProtocolError(f"{len(transaction)} bytes of transaction ID, not 12")
    if not 0 <= method < 1 << 12:
        raise LocalProtocolError(f"method {method} does not fit into 12 bits")
    parts = [
        _attribute(number, encode(number, value, transaction), filler)
        for number, value in attributes
    ]
    data = HEADER.pack(_pack_type(kind, method), 0, COOKIE, transaction) + b"".join(parts)
    if key:
        seal = Attribute.MESSAGE_INTEGRITY_SHA256 if sha256 else Attribute.MESSAGE_INTEGRITY
        data += _attribute(seal, _seal(data, key, seal))
    if fingerprint:
        data += _attribute(Attribute.FINGERPRINT, _crc(data))
    return _with_length(data, 0)


def _pack_type(kind: int, method: int) -> int:
    """The two bits of the class stand among the twelve of the method, as RFC 3489 had them."""
    #  2  3  4  5  6  7  8  9 10 11 12 13 14 15
    # M11 … M7          C1 M6 … M4    C0 M3 … M0
    high, middle, low = method & 0xF80, method & 0x070, method & 0x00F
    return high << 2 | (kind & 2) << 7 | middle << 1 | (kind & 1) << 4 | low


def _attribute(number: int, value: bytes, filler: int = 0) -> bytes:
    try:
        prefix = PREFIX.pack(number, len(value))
    except struct.error as error:
        raise LocalProtocolError(f"{name(number)} with {len(value)} bytes: {error}") from error
    return prefix + value + bytes([filler]) * (-len(value) % 4)


def _with_length(data: bytes, more: int) -> bytes:
    """The message with the length that it has when `more` bytes have been appended."""
    size = len(data) - HEADER_SIZE + more
    if size > 0xFFFF:
        raise LocalProtocolError(f"a message of {size} bytes; the length has 16 bits")
    return data[:2] + size.to_bytes(2) + data[4:]


def _seal(data: bytes, key: bytes, seal: Attribute) -> bytes:
    """The HMAC of all before it; the header already counts it: sections 14.5 and 14.6."""
    text = _with_length(data, PREFIX.size + SEALS[seal])
    return hmac.digest(key, text, "sha1" if seal == Attribute.MESSAGE_INTEGRITY else "sha256")


def _crc(data: bytes) -> bytes:
    """The CRC of all before it, section 14.7."""
    text = _with_length(data, PREFIX.size + FINGERPRINT_SIZE)
    return (zlib.crc32(text) ^ FINGERPRINT_XOR).to_bytes(FINGERPRINT_SIZE)


# Bytes to values


def unpack(data: bytes) -> Message:
    """What one datagram says. `Truncated` when bytes are missing, `Malformed` when they are wrong.

    What stands behind an integrity attribute is protected by nothing and left out: section 14.5.
    """
    kind, method, transaction = _header(data)
    attributes, sealed, fingerprint = [], False, False
    for offset, number, value in _split(data):
        if fingerprint:
            raise Malformed("FINGERPRINT", offset, "another attribute follows it", _SPEC)
        if number == Attribute.FINGERPRINT:
            if len(value) != FINGERPRINT_SIZE or value != _crc(data[:offset]):
                why = "it is not that of these bytes"
                raise Malformed("FINGERPRINT", offset, why, "RFC 8489 section 14.7")
            fingerprint = True
        elif number in SEALS:
            _check_seal(number, value, offset)
            sealed = True
        elif not sealed:
            at = offset + PREFIX.size
            attributes.append((_named(number), decode(number, value, transaction, at)))
    return Message(kind, transaction, tuple(attributes), fingerprint, method)


def verify(data: bytes, key: bytes, *, sha256: bool = False) -> bool:
    """Whether the first MESSAGE-INTEGRITY, or with `sha256` its successor, was made with this key.

    False when there is none. Bytes that `unpack` refuses raise the same error here.
    """
    _header(data)
    seal = Attribute.MESSAGE_INTEGRITY_SHA256 if sha256 else Attribute.MESSAGE_INTEGRITY
    for offset, number, value in _split(data):
        if number == seal:
            whole = len(value) == SEALS[seal]  # a SHA-256 that was cut is not enough for us
            return whole and hmac.compare_digest(value, _seal(data[:offset], key, seal))
    return False


def _header(data: bytes) -> tuple[Class, int, bytes]:
    """Class, method and transaction. The length is that of the datagram, or it is no message."""
    if len(data) < HEADER_SIZE:
        raise Truncated("header", 0, f"{len(data)} bytes of {HEADER_SIZE}", _SPEC)
    kind, length, cookie, transaction = HEADER.unpack_from(data)
    if kind > 0x3FFF:
        raise Malformed("type", 0, "the first two bits are not zero", _SPEC)
    if cookie != COOKIE:
        raise Malformed("magic cookie", 4, f"0x{cookie:08x}", _SPEC)
    have = len(data) - HEADER_SIZE
    if length > have:
        raise Truncated("length", 2, f"{have} bytes of {length}", _SPEC)
    if length < have or length % 4:
        raise Malformed("length", 2, f"{length}, with {have} bytes there", _SPEC)
    method = (kind >> 2 & 0xF80) | (kind >> 1 & 0x070) | (kind & 0x00F)
    return Class(kind >> 7 & 2 | kind >> 4 & 1), method, transaction


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where each attribute starts, its number, and its value without the padding."""
    at = HEADER_SIZE
    while at < len(data):  # both are multiples of four, so at least a prefix is left
        number, length = PREFIX.unpack_from(data, at)
        start = at + PREFIX.size
        following = start + length + -length % 4
        if following > len(data):
            why = f"{length} bytes, {len(data) - start} are left"
            raise Truncated(name(number), at, why, "RFC 8489 section 14")
        yield at, number, data[start : start + length]
        at = following


def _check_seal(number: int, value: bytes, offset: int) -> None:
    """The SHA-256 may have been cut, but not to nothing: section 14.6."""
    sizes: Collection[int] = (SEALS[Attribute.MESSAGE_INTEGRITY],)
    if number == Attribute.MESSAGE_INTEGRITY_SHA256:
        sizes = range(SHORTEST_SHA256, SEALS[Attribute.MESSAGE_INTEGRITY_SHA256] + 1, 4)
    if len(value) not in sizes:
        raise Malformed(name(number), offset, f"{len(value)} bytes", "RFC 8489 section 14")


def _named(number: int) -> int:
    """The same number, with its name if it has one."""
    try:
        return Attribute(number)
    except ValueError:
        return number

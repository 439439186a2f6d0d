"""What a STUN message can say: its attributes, RFC 8489 section 14 and RFC 5780 section 7 (week 9).

    number                  value
    XOR_MAPPED_ADDRESS      ("192.0.2.1", 32853)
    USERNAME                "evtj:h6vY"
    ERROR_CODE              ErrorCode(420, "Unknown Attribute")
    UNKNOWN_ATTRIBUTES      (0x0024, 0x0025)
    CHANGE_REQUEST          Change.ADDRESS | Change.PORT
    any other               its bytes

`encode` and `decode` turn one value into bytes and back. `labkit.wire.stun` puts them in a row, and
computes those three that protect a message and say nothing: they have no value here.

This module does not know which attributes belong into which message.
"""

import struct
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, NamedTuple, TypeAlias

from labkit.words.errors import LocalProtocolError, Malformed

Endpoint: TypeAlias = tuple[str, int]
"""An IPv4 or IPv6 address in digits, and a port."""

COOKIE: Final = 0x2112A442
"""The magic cookie: what tells STUN from what else comes to the port."""
TRANSACTION_SIZE: Final = 12

ADDRESS: Final = struct.Struct("!BBH")
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |0 0 0 0 0 0 0 0|    family     |             port              |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |             address: 32 bits (IPv4) or 128 (IPv6)             |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
FAMILIES: Final = {1: 4, 2: 16}
"""Family and how many bytes its addresses have."""

ERROR: Final = struct.Struct("!HBB")
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |           reserved, should be 0         |class|     number    |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |      reason phrase (variable) ...


class Attribute(IntEnum):
    """The numbers of those attributes that we can read."""

    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    XOR_PEER_ADDRESS = 0x0012
    REALM = 0x0014
    NONCE = 0x0015
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    XOR_MAPPED_ADDRESS = 0x0020
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C


class Change(IntFlag):
    """Where the answer to a test should come from instead: RFC 5780 section 7.2."""

    NOTHING = 0
    PORT = 2
    ADDRESS = 4


class ErrorCode(NamedTuple):
    """Why a request failed: RFC 8489 section 14.8. 300 to 699, as in HTTP and SIP."""

    code: int
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".rstrip()


PLAIN: Final = {Attribute.MAPPED_ADDRESS, Attribute.RESPONSE_ORIGIN, Attribute.OTHER_ADDRESS}
XORED: Final = {Attribute.XOR_MAPPED_ADDRESS, Attribute.XOR_PEER_ADDRESS}
"""Some NATs replace their own address wherever in a packet they see it, so it is not shown."""
LONGEST: Final[dict[int, int]] = {
    Attribute.USERNAME: 508,
    Attribute.REALM: 763,
    Attribute.NONCE: 763,
    Attribute.SOFTWARE: 763,
}
"""Texts, and how many bytes of UTF-8 they may have."""
PROTECTION: Final = {
    Attribute.MESSAGE_INTEGRITY,
    Attribute.MESSAGE_INTEGRITY_SHA256,
    Attribute.FINGERPRINT,
}

_SPEC: Final = "RFC 8489 section 14"


def is_required(number: int) -> bool:
    """Whether who does not know this attribute must refuse the message: half of the numbers."""
    return number < 0x8000


# Values to bytes


def encode(number: int, value: Any, transaction: bytes) -> bytes:
    """The bytes of one value. `LocalProtocolError` when it is none of this attribute."""
    try:
        return _encode(number, value, transaction)
    except (struct.error, AttributeError, TypeError, ValueError) as error:
        raise LocalProtocolError(f"{name(number)} cannot be {value!r}: {error}") from error


def _encode(number: int, value: Any, transaction: bytes) -> bytes:
    if number in PLAIN or number in XORED:
        host, port = value
        packed = ip_address(host).packed
        plain = ADDRESS.pack(0, 1 if len(packed) == 4 else 2, port) + packed
        return _xor(plain, transaction) if number in XORED else plain
    if number in LONGEST:
        text = bytes(value.encode())
        if len(text) > LONGEST[number]:
            raise ValueError(f"{len(text)} bytes; {LONGEST[number]} at most")
        return text
    if number == Attribute.ERROR_CODE:
        return _encode_error(value)
    if number == Attribute.UNKNOWN_ATTRIBUTES:
        return struct.pack(f"!{len(value)}H", *value)
    if number == Attribute.CHANGE_REQUEST:
        return struct.pack("!I", value)
    if number in PROTECTION:
        raise ValueError("it is computed by `pack`")
    return bytes(memoryview(value))


def _encode_error(error: ErrorCode) -> bytes:
    hundreds, rest = divmod(error.code, 100)
    if not 3 <= hundreds <= 6:
        raise ValueError("codes are from 300 to 699")
    return ERROR.pack(0, hundreds, rest) + error.reason.encode()


def _xor(plain: bytes, transaction: bytes) -> bytes:
    """Port and address with cookie and transaction over them; the same again takes them off."""
    pad = struct.pack("!HHI", 0, COOKIE >> 16, COOKIE) + transaction
    size = len(plain)
    return (int.from_bytes(plain) ^ int.from_bytes(pad[:size])).to_bytes(size)


# Bytes to values


def decode(number: int, data: bytes, transaction: bytes, offset: int = 0) -> Any:
    """The value. `Malformed` names the attribute; `offset` is where its bytes are."""
    if number in PLAIN:
        return _endpoint(number, data, offset)
    if number in XORED:
        return _endpoint(number, _xor(data[:20], transaction) + data[20:], offset)
    if number in LONGEST:
        if len(data) > LONGEST[number]:
            why = f"{len(data)} bytes, {LONGEST[number]} at most"
            raise Malformed(name(number), offset, why, _SPEC)
        return _text(number, data, offset)
    if number == Attribute.ERROR_CODE:
        return _error_code(data, offset)
    if number == Attribute.UNKNOWN_ATTRIBUTES:
        if len(data) % 2:
            raise Malformed(name(number), offset, f"{len(data)} bytes are no numbers", _SPEC)
        return struct.unpack(f"!{len(data) // 2}H", data)
    if number == Attribute.CHANGE_REQUEST:
        if len(data) != 4:
            raise Malformed(name(number), offset, f"{len(data)} bytes, not 4", "RFC 5780 7.2")
        return Change(data[3] & (Change.PORT | Change.ADDRESS))
    return data


def _endpoint(number: int, data: bytes, offset: int) -> Endpoint:
    size = FAMILIES.get(data[1]) if len(data) >= ADDRESS.size else 0
    if size is None:
        raise Malformed(name(number), offset + 1, f"family {data[1]} is not IPv4 or IPv6", _SPEC)
    if len(data) != ADDRESS.size + size or not size:
        raise Malformed(name(number), offset, f"{len(data)} bytes are no address", _SPEC)
    _, _, port = ADDRESS.unpack_from(data)
    packed = data[ADDRESS.size :]
    return str(IPv4Address(packed) if size == 4 else IPv6Address(packed)), port


def _text(number: int, data: bytes, offset: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Malformed(name(number), offset + error.start, "not UTF-8", _SPEC) from None


def _error_code(data: bytes, offset: int) -> ErrorCode:
    field = Attribute.ERROR_CODE
    if len(data) < ERROR.size:
        raise Malformed(name(field), offset, f"{len(data)} bytes hold no code", _SPEC)
    reserved, rest = ERROR.unpack_from(data)[1:]
    hundreds = reserved & 7  # the five bits before it are reserved
    if not 3 <= hundreds <= 6 or rest > 99:
        raise Malformed(name(field), offset + 2, f"class {hundreds}, number {rest}", _SPEC)
    return ErrorCode(100 * hundreds + rest, _text(field, data[ERROR.size :], offset + ERROR.size))


def name(number: int) -> str:
    """An attribute as RFC 8489 writes it; in hexadecimal if it is none of ours."""
    try:
        return Attribute(number).name.replace("_", "-")
    except ValueError:
        return f"0x{number:04x}"

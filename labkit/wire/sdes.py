"""Keys for SRTP, written into SDP: RFC 4568 (week 12).

    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4
             │ │                       │      └ master key and master salt, base64     │    │
             │ └ suite                 └ how the key is given                   lifetime    │
             └ tag, by which an answer says which line it takes         MKI and its length ─┘

Whoever can read such a line can listen. It may be sent over a channel that is itself encrypted and
authenticated, TLS say, or kept in a file that nobody else can read (section 8.1): never in the
clear, in a log, in a URL or among the arguments of a command. So no error says what a key was, a
`MasterKey` does not show itself, and `without_keys` is what may be printed.

Each side writes the key of what *it* sends (section 5.1). Lines are alternatives, best first. What
a line may ask for and we cannot do (an unknown suite, an MKI, unauthenticated packets, ...) makes
it unusable, and `Crypto.unsupported` says why; the next one may do.

This module knows no cipher: it reads and writes what RFC 4568 and RFC 7714 section 14 define.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from labkit.words.errors import LocalProtocolError, Malformed


class Suite(Enum):
    """What a packet is protected by; the name is the one that SDP uses."""

    AES_CM_128_HMAC_SHA1_80 = (16, 14, 10)
    """AES in counter mode, and 80 bits of HMAC-SHA1: what everybody has (RFC 3711 section 5)."""
    AES_CM_128_HMAC_SHA1_32 = (16, 14, 4)
    """The same with a short tag: of 4 billion forged packets one is heard."""
    AEAD_AES_128_GCM = (16, 12, 16)
    """Encryption and authentication in one pass (RFC 7714)."""
    AEAD_AES_256_GCM = (32, 12, 16)

    def __init__(self, key_size: int, salt_size: int, tag_size: int) -> None:
        self.key_size = key_size
        """Bytes of the master key."""
        self.salt_size = salt_size
        """Bytes of the master salt."""
        self.tag_size = tag_size
        """Bytes that authentication adds to an RTP packet."""


MOST_PACKETS: Final = 1 << 48
"""How many packets a master key may protect: RFC 3711 section 9.2."""


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A master key with its salt. It does not show itself."""

    suite: Suite
    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    lifetime: int = MOST_PACKETS
    """How many packets it may protect."""

    def __post_init__(self) -> None:
        if (len(self.key), len(self.salt)) != (self.suite.key_size, self.suite.salt_size):
            raise LocalProtocolError(
                f"{self.suite.name} takes {self.suite.key_size} bytes of key and "
                f"{self.suite.salt_size} of salt, not {len(self.key)} and {len(self.salt)}"
            )

    @classmethod
    def of(cls, suite: Suite, key_and_salt: bytes, lifetime: int = MOST_PACKETS) -> "MasterKey":
        """Cut one string of key and salt, as SDP and random generators give it."""
        return cls(suite, key_and_salt[: suite.key_size], key_and_salt[suite.key_size :], lifetime)


class Mki(NamedTuple):
    """Master key identifier: a number in every packet, and how many bytes it takes there."""

    value: int
    size: int


@dataclass(frozen=True, slots=True)
class InlineKey:
    """One key of a line, as it stands there."""

    key_and_salt: bytes = field(repr=False)
    lifetime: int | None = None
    mki: Mki | None = None


@dataclass(frozen=True, slots=True)
class Crypto:
    """One a=crypto line. `suite` is a name, since it may be none of ours."""

    tag: int
    suite: str
    keys: tuple[InlineKey, ...]
    parameters: tuple[str, ...] = ()
    """Session parameters: section 6.3."""

    @classmethod
    def of(cls, tag: int, key: MasterKey) -> "Crypto":
        """The line that gives this key away."""
        lifetime = None if key.lifetime == MOST_PACKETS else key.lifetime
        return cls(tag, key.suite.name, (InlineKey(key.key + key.salt, lifetime),))

    @property
    def unsupported(self) -> str:
        """Why this line cannot be used; empty if it can."""
        if self.suite not in Suite.__members__:
            return f"suite {self.suite} is none of ours"
        if len(self.keys) > 1 or self.keys[0].mki is not None:
            return "libsrtp is not told MKIs, nor more than one key"
        asked = [each for each in self.parameters if not each.startswith("-")]  # section 6.3.7
        return f"session parameter {asked[0]}" if asked else ""

    @property
    def master_key(self) -> MasterKey:
        """The key to use. `Malformed` says why there is none."""
        if self.unsupported:
            raise _malformed(f"tag {self.tag}: {self.unsupported}", "6.3")
        key = self.keys[0]
        return MasterKey.of(Suite[self.suite], key.key_and_salt, key.lifetime or MOST_PACKETS)


# Offer and answer


def choose(offer: Sequence[Crypto]) -> Crypto:
    """The first line of an offer that we can use. `Malformed` says what is wrong with each."""
    for crypto in offer:
        if not crypto.unsupported:
            return crypto
    why = "; ".join(f"tag {each.tag}: {each.unsupported}" for each in offer) or "no line at all"
    raise _malformed(f"nothing here can be used: {why}", "5.1.2")


def accept(offer: Sequence[Crypto], answer: Sequence[Crypto]) -> tuple[Crypto, Crypto]:
    """The line of ours that an answer takes, and the answer's. `Malformed` if it takes none."""
    if len(answer) != 1:
        raise _malformed(f"an answer has one line, not {len(answer)}", "5.1.2")
    theirs = answer[0]
    for ours in offer:
        if ours.tag == theirs.tag and ours.suite == theirs.suite and not theirs.unsupported:
            return ours, theirs
    raise _malformed(f"tag {theirs.tag} with {theirs.suite} was not offered", "5.1.3")


# Values to text


def pack(crypto: Crypto) -> str:
    """The value of the attribute, with its keys: a secret."""
    if not crypto.keys:
        raise LocalProtocolError("a=crypto without a key")
    keys = ";".join(_pack_key(key) for key in crypto.keys)
    return " ".join([str(crypto.tag), crypto.suite, keys, *crypto.parameters])


def _pack_key(key: InlineKey) -> str:
    packed = "inline:" + b64encode(key.key_and_salt).decode()
    if key.lifetime is not None:
        bits = key.lifetime.bit_length() - 1
        packed += f"|2^{bits}" if key.lifetime == 1 << bits else f"|{key.lifetime}"
    return packed if key.mki is None else f"{packed}|{key.mki.value}:{key.mki.size}"


# Text to values

_CRYPTO: Final = re.compile(r"([0-9]{1,9})[ \t]+([A-Za-z0-9_]{1,64})[ \t]+(\S+)((?:[ \t]+\S+)*)")
_INLINE: Final = re.compile(
    r"inline:([A-Za-z0-9+/]{1,400}={0,2})"
    r"(?:\|(?:2\^([0-9]{1,2})|([0-9]{1,15})))?"
    r"(?:\|([0-9]{1,39}):([0-9]{1,3}))?",
    re.IGNORECASE,
)
_LINE: Final = re.compile(r"(?im)^a=crypto:[^\n]*\n?")


def unpack(value: str, offset: int = 0) -> Crypto:
    """The line whose value this is. `Malformed`, which does not show the line, if it is none."""
    found = _CRYPTO.fullmatch(value)
    if found is None:
        raise _malformed("not <tag> <suite> <key>", "9.1", offset)
    suite = found[2]
    keys = tuple(_unpack_key(each, suite, offset) for each in found[3].split(";"))
    mkis = {key.mki for key in keys}
    if len(keys) > 1 and (None in mkis or len(mkis) < len(keys)):
        raise _malformed("of several keys each has an MKI of its own", "6.1", offset)
    return Crypto(int(found[1]), suite, keys, tuple(found[4].split()))


def _unpack_key(text: str, suite: str, offset: int) -> InlineKey:
    found = _INLINE.fullmatch(text)
    if found is None:
        raise _malformed("a key that is not inline:<base64>", "9.2", offset)
    try:
        key_and_salt = b64decode(found[1], validate=True) if len(found[1]) % 4 == 0 else b""
    except ValueError:
        key_and_salt = b""
    if not key_and_salt:
        raise _malformed("a key that is not base64", "6.1", offset)
    if suite in Suite.__members__:
        size = Suite[suite].key_size + Suite[suite].salt_size
        if len(key_and_salt) != size:
            why = f"{len(key_and_salt)} bytes of key and salt; {suite} takes {size}"
            raise _malformed(why, "6.2", offset)
    return InlineKey(key_and_salt, _lifetime(found, offset), _mki(found, offset))


def _lifetime(found: re.Match[str], offset: int) -> int | None:
    if found[2] is None and found[3] is None:
        return None
    lifetime = 1 << int(found[2]) if found[2] else int(found[3])
    if not 0 < lifetime <= MOST_PACKETS:
        raise _malformed("a lifetime that is not 1 to 2^48 packets", "6.1", offset)
    return lifetime


def _mki(found: re.Match[str], offset: int) -> Mki | None:
    if found[4] is None:
        return None
    mki = Mki(int(found[4]), int(found[5]))
    if not 1 <= mki.size <= 128 or mki.value >= 1 << 8 * mki.size:
        raise _malformed("an MKI that does not fit its 1 to 128 bytes", "6.1", offset)
    return mki


def without_keys(text: str) -> str:
    """A description that may be shown: without its a=crypto lines."""
    return _LINE.sub("", text)


def _malformed(why: str, section: str, offset: int = 0) -> Malformed:
    return Malformed("a=crypto", offset, why, f"RFC 4568 section {section}")

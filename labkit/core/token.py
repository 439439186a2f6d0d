"""A token: who may listen, and until when (week 9).

    token   = payload "." mac
    payload = base64url(expires ":" subject)
    mac     = base64url(HMAC-SHA256(secret, payload))

    MTc5NTAwMDAwMDphbGljZQ.0BVQRokAPq…     "1795000000:alice", and what only the secret can make

`expires` is wallclock, in whole seconds since 1970; `subject` says whom the token was given to.
base64url is that of RFC 4648 section 5 without padding: the whole token is letters, digits, `-`,
`_` and `.`, so it may stand in any header. HMAC is RFC 2104's.

The MAC is made of the payload as it is written, and is checked before anything is read from it:
what is not authentic is not parsed. Both MACs are compared as text, in a time that does not depend
on where they differ, so nobody can guess one letter after the other; and a token has one spelling.
There is no field for the algorithm, as a JSON Web Token has one (RFC 7515 section 4.1.1): who may
choose how he is checked, chooses "none".

A token can be copied by who sees it: send it where nobody does, over TLS or QUIC. It is good until
it expires, and cannot be called back: let it be short.

This module reads no clock and no file, and does not know how a token travels.
"""

import base64
import binascii
import hmac
import re
from collections import Counter
from enum import StrEnum
from typing import Final, NamedTuple

from labkit.words.errors import AuthenticationError, BadInput
from labkit.words.units import NS_PER_S

MAX_TOKEN: Final = 256
"""Characters: nothing is done with more. The longest that `issue` makes has 147."""
MAX_SUBJECT: Final = 64
"""Bytes of UTF-8."""
MIN_SECRET: Final = 16
"""Bytes: 128 bits, if they were made by chance."""

_SHAPE: Final = re.compile(r"([A-Za-z0-9_-]{4,})\.([A-Za-z0-9_-]{43})", re.ASCII)
_CLAIMS: Final = re.compile(r"([0-9]{1,11}):(.+)", re.ASCII)


class Reason(StrEnum):
    """Why a token was refused: one word, for counters and labels."""

    MISSING = "missing"
    MALFORMED = "malformed"
    WRONG = "wrong"
    EXPIRED = "expired"


_WHY: Final = {
    Reason.MISSING: "a token is needed, and none was given",
    Reason.MALFORMED: "what was given is no token",
    Reason.WRONG: "the token was not made with this secret",
    Reason.EXPIRED: "the token has expired",
}


class Claims(NamedTuple):
    """What a token says."""

    subject: str
    expires: int
    """Wallclock, in seconds since 1970."""


def check_secret(secret: bytes) -> None:
    """`BadInput` when a secret is too short to be one."""
    if len(secret) < MIN_SECRET:
        raise BadInput(
            f"a secret of {len(secret)} bytes can be guessed", f"{MIN_SECRET} or more, by chance"
        )


def issue(secret: bytes, subject: str, expires: int) -> str:
    """Make a token for `subject`, good until `expires` (wallclock, seconds since 1970)."""
    check_secret(secret)
    if not subject.isprintable() or not 0 < len(subject.encode()) <= MAX_SUBJECT:
        raise BadInput(
            "a token needs a subject that can be printed", f"a name of up to {MAX_SUBJECT} bytes"
        )
    if not 0 <= expires < 10**11:
        raise BadInput(f"{expires} is no time in seconds since 1970", "int(time.time()) + 3600")
    payload = _encode(f"{expires}:{subject}".encode())
    return f"{payload}.{_mac(secret, payload)}"


def verify(secret: bytes, token: str | None, wallclock: int) -> Claims:
    """What a token says, if it is authentic and not expired.

    `wallclock` is in nanoseconds since 1970. `AuthenticationError` with a `Reason` otherwise.
    """
    if not token:
        raise refusal(Reason.MISSING)
    shape = _SHAPE.fullmatch(token) if len(token) <= MAX_TOKEN else None
    if shape is None:
        raise refusal(Reason.MALFORMED)
    payload, mac = shape.groups()
    if not hmac.compare_digest(mac, _mac(secret, payload)):
        raise refusal(Reason.WRONG)
    claims = _claims(payload)
    if wallclock >= claims.expires * NS_PER_S:
        raise refusal(Reason.EXPIRED)
    return claims


def unverified(token: str) -> Claims:
    """What a token says, true or not: to show it to who holds it, never to let anybody in."""
    shape = _SHAPE.fullmatch(token) if len(token) <= MAX_TOKEN else None
    if shape is None:
        raise refusal(Reason.MALFORMED)
    return _claims(shape[1])


def fits_header(token: str) -> bool:
    """Whether a client may send it: true of every token, and of wrong ones that do no harm."""
    return len(token) <= MAX_TOKEN and token.isascii() and token.isprintable()


def refusal(reason: Reason) -> AuthenticationError:
    """The error for a reason. It never holds the token."""
    return AuthenticationError(_WHY[reason], reason=reason.value)


class Gate:
    """Lets in who has a good token, and counts who has none.

    `wallclock_offset` is what must be added to `now` to get nanoseconds since 1970. It stands
    outside what it guards: one gate serves all the connections of a server.
    """

    def __init__(self, secret: bytes, *, wallclock_offset: int = 0) -> None:
        check_secret(secret)
        self.admitted = 0
        self.refused: Counter[str] = Counter()
        """How often, by reason."""
        self._secret = secret
        self._wallclock_offset = wallclock_offset

    def admit(self, token: str | None, now: int) -> str:
        """The subject of a good token. `AuthenticationError` with a `reason` for any other."""
        try:
            subject, _ = verify(self._secret, token, now + self._wallclock_offset)
        except AuthenticationError as error:
            self.refused[error.reason] += 1
            raise
        self.admitted += 1
        return subject


def _mac(secret: bytes, payload: str) -> str:
    return _encode(hmac.digest(secret, payload.encode(), "sha256"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _claims(payload: str) -> Claims:
    try:
        text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise refusal(Reason.MALFORMED) from None
    found = _CLAIMS.fullmatch(text)
    if found is None:
        raise refusal(Reason.MALFORMED)
    return Claims(found[2], int(found[1]))

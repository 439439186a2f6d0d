"""Why a QUIC connection ended, in codes on the wire and in words for people.

Application error codes (RFC 9000 section 20.2) are ours to give; transport errors (section 20.1)
and TLS alerts (RFC 9001 section 4.8: 0x100 and the alert of RFC 8446 section 6) are QUIC's. The
words of a peer are shown as text that cannot harm a terminal, and are believed only as far as that.
"""

import re
from enum import IntEnum
from typing import Final, NamedTuple

from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicErrorCode
from aioquic.tls import AlertDescription

from labkit.core.token import Reason, refusal
from labkit.words.errors import AuthenticationError, RemoteProtocolError

LONGEST: Final = 200
"""Characters of a peer's reason that are shown."""
_PATTERN: Final = re.compile(r"\w+Pattern\(pattern=(?:b|\w+\()?'?([^')]*)'?\)+")
"""How aioquic prints the names in a certificate: DNSPattern(pattern=b'streamer.lab'), and
IPAddressPattern(pattern=IPv4Address('192.0.2.7'))."""
TOKEN: Final = "token "  # noqa: S105 - a word
"""What the reason phrase of `Code.TOKEN` begins with; a `Reason` follows."""


class Code(IntEnum):
    """Why we close: the application error codes of "labkit-voice/1"."""

    DONE = 0
    """As agreed: everything is said."""
    TOKEN = 1
    """The token is missing, malformed, wrong or expired: the reason phrase says which."""
    CERTIFICATE = 2
    """The client's certificate is missing, or not among those that were pinned."""
    MALFORMED = 3
    """Something could not be read."""
    MOMENT = 4
    """Something was read that does not belong here, or not now."""
    FULL = 5
    """There is no room for one more listener."""
    DATAGRAMS = 6
    """Sound travels in DATAGRAM frames, and the peer takes none (RFC 9221 section 3)."""


AUTHENTICATION_ALERTS: Final = frozenset({42, 43, 44, 45, 46, 48, 49, 51, 116})
"""bad, unsupported, revoked, expired or unknown certificate, unknown CA, access denied, decrypt
error, certificate required (RFC 8446 section 6.2)."""
_REFUSALS: Final = {
    Code.CERTIFICATE: "the server does not know our certificate",
    Code.FULL: "the server has no room for one more listener",
    Code.DATAGRAMS: "sound would come in datagrams, which our end does not take",
}


class End(NamedTuple):
    """How a connection ended: cleanly, in words, and the error where somebody refused."""

    clean: bool
    why: str
    error: AuthenticationError | RemoteProtocolError | None = None


def explain(ending: ConnectionTerminated, *, by_peer: bool) -> End:
    """What the end of a connection means."""
    said = plain(ending.reason_phrase)
    if ending.frame_type is None:
        return _application(ending.error_code, said)
    alert = ending.error_code - QuicErrorCode.CRYPTO_ERROR
    if not 0 <= alert <= 0xFF:
        why = said or f"QUIC error 0x{ending.error_code:x}"
        return End(False, why, RemoteProtocolError(f"{'' if by_peer else 'the peer: '}{why}"))
    said = said or _alert(alert)
    if alert in AUTHENTICATION_ALERTS:
        if by_peer:
            why = f"the peer refused our certificate: {said}"
        else:
            why = f"the peer's certificate is refused: {said}"
        return End(False, why, AuthenticationError(why, reason="certificate"))
    why = f"TLS: {said}"
    return End(False, why, RemoteProtocolError(why))


def _alert(number: int) -> str:
    try:
        return AlertDescription(number).name.replace("_", " ")
    except ValueError:
        return f"alert {number}"


def _application(code: int, said: str) -> End:
    if code == Code.DONE:
        return End(True, said or "BYE")
    error: AuthenticationError | RemoteProtocolError
    reason = said.removeprefix(TOKEN)
    if code == Code.TOKEN and reason in list(Reason):
        error = refusal(Reason(reason))
    elif code in (Code.TOKEN, Code.CERTIFICATE):
        error = AuthenticationError(_REFUSALS.get(Code(code), said), reason="certificate")
    else:
        known = _REFUSALS.get(Code(code)) if code in list(Code) else None
        error = RemoteProtocolError(known or said or f"the peer closed with code {code}")
    return End(False, f"refused by the peer: {error}", error)


def plain(phrase: str) -> str:
    """A peer's words, short and without control characters."""
    return _PATTERN.sub(r"\1", "".join(c for c in phrase[:LONGEST] if c.isprintable()))

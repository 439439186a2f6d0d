"""A listener's session, protected as the description says that it is (week 12).

    found = sdp.parse(text)
    session = secured(RtpSession(Role.RECEIVER, text, peer=server), found, make_identity)

- RTP/AVP: in the clear, the session as it is
- RTP/SAVP with a=crypto: by the key that stands there. The description is a secret then: keep it
  in a file that only its owner can read
- UDP/TLS/RTP/SAVP with a=fingerprint: by a DTLS handshake with the one whose fingerprint it is. The
  description may be read by everybody, and must not be changed by anybody

A listener by a=crypto has no way to tell its own key, so the sender believes none of its reports:
this suits a sender that pushes. Who wants to be asked needs DTLS, or an answer (`sdes.accept`).
"""

from collections.abc import Callable
from typing import Any

from labkit.endpoints.dtls import Handshake
from labkit.endpoints.dtlscontext import Credentials
from labkit.endpoints.dtlssrtp import DtlsSrtp
from labkit.endpoints.srtp import Srtp, new_key
from labkit.wire import sdes
from labkit.wire.sdp import SessionDescription
from labkit.wire.sdpdtls import DtlsParameters, Setup
from labkit.words.errors import BadInput, WireError


def secured(
    session: Any, description: SessionDescription, identity: Callable[[], Credentials]
) -> Any:
    """The session in what the description wants around it; `identity` is asked if it is DTLS.

    `BadInput` when the description wants what we cannot do.
    """
    security = description.security
    if security is None:
        return session
    if isinstance(security, DtlsParameters):
        return DtlsSrtp(session, _handshake(security, identity()))
    if not security:
        raise BadInput("the description says SRTP and has no key", "the SDP as the sender wrote it")
    try:
        theirs = sdes.choose(security).master_key
    except WireError as error:
        raise BadInput(f"the description cannot be used: {error}", "another suite") from error
    return Srtp(session, new_key(theirs.suite), theirs)


def _handshake(theirs: DtlsParameters, identity: Credentials) -> Handshake:
    """We begin, unless they do: RFC 5763 section 5."""
    if theirs.setup is Setup.HOLDCONN:
        raise BadInput("the description says that nobody shall connect yet (a=setup:holdconn)")
    ours = Setup.PASSIVE if theirs.setup is Setup.ACTIVE else Setup.ACTIVE
    return Handshake(identity, ours, theirs.fingerprints)

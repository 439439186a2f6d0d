"""TLS: nobody reads, nobody changes, and the other end is who it says (RFC 8446; week 9).

    client                                            server
       |-- ClientHello, key share -------------------->|
       |<- ServerHello, {Certificate, Verify, Finished}|     readable by both from here on
       |-- {Certificate, Verify,} {Finished} --------->|     the client's own, where it is asked for
       |<================= records ===================>|     of up to 16 KB
       |<--------------- close_notify ---------------->|     section 6.1

The protocol is OpenSSL's, by Python's `ssl`, which needs no socket: bytes go in and come out
through two `MemoryBIO`s. This module makes a layer of it. The context comes from outside
(`labkit.live.certs` makes good ones), and decides who is trusted; here it is asked to be version
1.3, and to look at the certificate of the server.

- **Pins.** `pins` are SHA-256 fingerprints of certificates. An end whose certificate is not among
  them is refused, whoever signed it. A client with pins needs no authority.
- **A handshake that fails** is told in words: another name, an unknown authority, a certificate
  that has expired. Version 1.3 lets the client finish before the server has seen its certificate,
  so a client hears of a refusal a round trip after it was let in.
- **The end.** close_notify tells an end from a cut: whoever can cut a wire can also end a stream
  early, and without it nobody would know. A session that heard BYE needs it no more.

OpenSSL looks at the clock of the system for the validity of certificates, and draws its keys by
chance. In virtual time too: bytes differ from run to run, but not their number, with certificates
whose signatures have one length (Ed25519; those of ECDSA have three).

This module knows no socket, no file and no clock.
"""

import contextlib
import hashlib
import ssl
from collections.abc import Collection, Sequence
from typing import Any, Final

from labkit.core.session import Role
from labkit.endpoints.layer import Layer, Stage
from labkit.words.errors import (
    AuthenticationError,
    BadInput,
    LocalProtocolError,
    RemoteProtocolError,
)

MAX_RECORD: Final = 16 * 1024
"""Bytes of plain text in a record: section 5.1."""
MAX_HANDSHAKE: Final = 64 * 1024
"""Bytes of a handshake; with a chain of three certificates it has some 4 KB."""

# What OpenSSL says of a certificate: x509_vfy.h, X509_V_ERR_...
_CERTIFICATE_WORDS: Final = {
    2: "its certificate is from an authority that is not trusted here",
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is signed by itself, and not trusted here",
    19: "its certificate is from an authority that is not trusted here",
    20: "its certificate is from an authority that is not trusted here",
    21: "its certificate is from an authority that is not trusted here",
    26: "its certificate is for another purpose",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}

# What the alert of the other end says: section 6.2, with OpenSSL's names.
_ALERT_WORDS: Final = {
    "TLSV1_ALERT_UNKNOWN_CA": "the other end does not trust the authority of our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the other end does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the other end does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the other end says that our certificate has expired",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a certificate of ours",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client has no certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "our certificate is for another purpose",
    "TLSV1_ALERT_ACCESS_DENIED": "the other end does not let us in",
}

# What is no matter of trust.
_OTHER_WORDS: Final = {
    "WRONG_VERSION_NUMBER": "the other end speaks no TLS",
    "HTTP_REQUEST": "the client speaks HTTP without TLS",
    "UNSUPPORTED_PROTOCOL": "the other end speaks no TLS 1.3",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the other end speaks no TLS 1.3",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "a record was changed on its way",
}


class Tls(Layer):
    """`inner` over TLS. A session that sends is the server, one that receives the client.

    `server_name` is what the client calls the server: a name or an address, looked for in the
    certificate. `pins` are fingerprints of which the other end must have one, as 64 hexadecimal
    digits; colons may stand between them.
    """

    name = "TLS"

    def __init__(
        self,
        inner: Any,
        context: ssl.SSLContext,
        *,
        server_name: str | None = None,
        pins: Collection[str] | None = None,
    ) -> None:
        super().__init__(inner)
        self._server = self.role is Role.SENDER
        self._pins = None if pins is None else frozenset(map(plain_fingerprint, pins))
        self._check_context(context, server_name)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if self._server else server_name
        try:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, self._server, name)
        except ValueError as error:  # the name is none
            raise BadInput(f"{name!r} is no name of a server: {error}", "localhost") from error
        self._taken = 0
        self._heard = False

    def _check_context(self, context: ssl.SSLContext, server_name: str | None) -> None:
        """A context that would let anybody in is a mistake of ours."""
        if context.minimum_version < ssl.TLSVersion.TLSv1_3:
            raise LocalProtocolError("TLS below version 1.3: context.minimum_version")
        if self._server:
            if self._pins is not None and context.verify_mode is not ssl.CERT_REQUIRED:
                raise LocalProtocolError("pins of clients, but no client is asked: CERT_REQUIRED")
        elif context.verify_mode is not ssl.CERT_REQUIRED and self._pins is None:
            raise LocalProtocolError("a client that trusts anybody: an authority, or pins")
        elif context.check_hostname and server_name is None:
            raise LocalProtocolError("a client needs to know the server's name: server_name")

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the other end's certificate, in hexadecimal; None before and without."""
        try:
            certificate = self._tls.getpeercert(binary_form=True)
        except ValueError:  # in mid-handshake
            return None
        return None if certificate is None else hashlib.sha256(certificate).hexdigest()

    # The handshake ----------------------------------------------------------------------------

    def _begin(self, now: int) -> None:
        self._shake_hands(now)

    def _shake_hands(self, now: int) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._hand_over()
            if self._taken > MAX_HANDSHAKE:
                why = f"a TLS handshake of more than {MAX_HANDSHAKE} bytes"
                self._fail(RemoteProtocolError(why), now)
            return
        except ssl.SSLError as error:
            self._hand_over()  # the alert that tells the other end
            self._refuse(error, now)
            return
        self._hand_over()
        if self._pins is not None and self.fingerprint not in self._pins:
            who = "client" if self._server else "server"
            self._goodbye()
            why = f"the {who}'s certificate is not pinned"
            self._fail(AuthenticationError(why, reason="pin"), now)
            return
        self._opened(now)

    def _refuse(self, error: ssl.SSLError, now: int) -> None:
        """Say what OpenSSL found. Its reason is a name of OpenSSL's, and nothing secret."""
        reason = error.reason or ""
        by = "peer" if "ALERT" in reason else "us"
        if isinstance(error, ssl.SSLCertVerificationError):
            words = _CERTIFICATE_WORDS.get(error.verify_code, error.verify_message)
            who = "client" if self._server else f"server {self._tls.server_hostname or ''}".rstrip()
            refusal = AuthenticationError(f"the {who} is refused: {words}", reason="certificate")
            self._fail(refusal, now, by=by)
        elif reason in _ALERT_WORDS:
            self._fail(AuthenticationError(_ALERT_WORDS[reason], reason="certificate"), now, by=by)
        else:
            words = _OTHER_WORDS.get(reason, reason.lower().replace("_", " ") or "TLS failed")
            self._fail(RemoteProtocolError(words), now, by=by)

    # Records ----------------------------------------------------------------------------------

    def _wrap(self, wanted: Sequence[bytes]) -> None:
        """As few records as will do: each has a header and a tag of 22 bytes in all."""
        self._tls.write(b"".join(wanted))
        self._hand_over()

    def _receive(self, data: bytes, now: int) -> None:
        self._incoming.write(data)
        if self.stage is Stage.OPENING:
            self._taken += len(data)
            self._shake_hands(now)
        if self.stage in (Stage.OPEN, Stage.LEAVING):
            self._read(now)
            self._hand_over()  # what OpenSSL says by itself, a new key for example

    def _read(self, now: int) -> None:
        """Give the session everything that can be read."""
        try:
            while data := self._tls.read(MAX_RECORD):
                self._heard = True
                self.inner.receive_data(data, now)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError as error:
            self._hand_over()
            self._refuse(error, now)
            return
        self._take_close(now)

    def _hand_over(self) -> None:
        if self._outgoing.pending:
            self._give(self._outgoing.read())

    # The end ----------------------------------------------------------------------------------

    def _take_close(self, now: int) -> None:
        """close_notify came: an end, and not a cut."""
        if not self._server and not self._heard and not self.closed:
            why = "the server ended TLS before its first word: perhaps it does not know us"
            self._goodbye()
            self._fail(AuthenticationError(why, reason="certificate"), now, by="peer")
            return
        self._end(now)

    def _goodbye(self) -> Stage:
        """Ours is said; the other end's may come or not: each direction ends by itself."""
        with contextlib.suppress(ssl.SSLError):  # WantRead: the other end has not said it yet
            self._tls.unwrap()
        self._hand_over()
        return Stage.DONE

    def _cut_off(self, now: int) -> None:
        self._end(now, why="cut off: the connection ended without a close_notify of TLS")


def plain_fingerprint(text: str) -> str:
    """A fingerprint as 64 lower-case hexadecimal digits. `LocalProtocolError` when it is none."""
    digits = text.replace(":", "").lower()
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise LocalProtocolError(f"{text[:80]!r} is no SHA-256 fingerprint of 64 digits")
    return digits

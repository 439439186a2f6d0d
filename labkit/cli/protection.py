"""`--srtp`: RTP that nobody else can follow, on the command line.

    streamer serve --proto rtp --srtp dtls               whoever comes shakes hands first
    receiver connect --proto rtp --addr … --pin SHA256   with who has a certificate of this name

    streamer serve --proto rtp --srtp sdes --to … --sdp f    the key stands in the description
    receiver connect --proto rtp --sdp f                     so the description is a secret

A key is never an argument: descriptions with one are files for their owner alone. A fingerprint is
no secret; it has only to come from the right one.
"""

import argparse
import os
from collections import Counter
from pathlib import Path
from typing import Any

from labkit.core.session import DEFAULT_LIMITS
from labkit.words.errors import BadInput
from labkit.words.machine import Address


def identity() -> Any:
    """A certificate for one run: what counts is its fingerprint."""
    from labkit.live.certs import Authority

    return Authority.make(days=1).server(["labkit"], days=1)


def fingerprints(pins: list[str]) -> Any:
    """What `--pin` says, as SDP has it."""
    from labkit.endpoints.quictls import pins as plain
    from labkit.wire.sdpdtls import Fingerprint

    return [Fingerprint("sha-256", bytes.fromhex(pin)) for pin in sorted(plain(pins))]


class Clear:
    """No protection: RTP as it is."""

    security: Any = None
    advice = ""

    def protect(self, session: Any, address: Address) -> Any:
        """The session itself."""
        del address
        return session

    def around(self, machine: Any) -> Any:
        """The server itself."""
        return machine


class Sdes(Clear):
    """A key of our own in the description: for a listener that we push to."""

    def __init__(self) -> None:
        from labkit.endpoints.srtp import Reason, new_key
        from labkit.wire.sdes import Crypto

        self._key = new_key()
        self._refusals: Counter[Reason] = Counter()
        self.security = (Crypto.of(1, self._key),)

    def protect(self, session: Any, address: Address) -> Any:
        """Ours with the key; nothing that comes back is believed, there is no key for it."""
        from labkit.endpoints.srtp import Srtp

        del address
        return Srtp(session, self._key, None, refusals=self._refusals)


class Dtls(Clear):
    """A handshake with whoever comes, or only with `pins`."""

    def __init__(self, pins: list[str]) -> None:
        from labkit.endpoints.dtls import fingerprint
        from labkit.endpoints.dtlsdoor import DtlsDoor
        from labkit.wire.sdpdtls import DtlsParameters, Setup

        ours = identity()
        self._door = DtlsDoor(ours, fingerprints(pins) if pins else None, limits=DEFAULT_LIMITS)
        self.security = DtlsParameters((fingerprint(ours.certificate),), Setup.PASSIVE)
        self.advice = f" --pin {ours.fingerprint}"

    def protect(self, session: Any, address: Address) -> Any:
        """With the keys that were agreed on at the door."""
        return self._door.protect(session, address)

    def around(self, machine: Any) -> Any:
        """The door, with the server behind it."""
        self._door.open_to(machine)
        return self._door


def protection(options: argparse.Namespace) -> Clear:
    """What `--srtp` asks for."""
    if options.srtp == "dtls":
        if options.to:
            raise BadInput("nobody shakes hands with who is pushed to", "--srtp sdes --sdp FILE")
        return Dtls(options.pin)
    if options.srtp == "sdes":
        if not (options.to and options.sdp):
            raise BadInput(
                "with sdes the key goes with the description, to somebody whom we know",
                "--to HOST:PORT --sdp FILE, or --srtp dtls",
            )
        return Sdes()
    return Clear()


def protected(session: Any, options: argparse.Namespace, description: Any) -> Any:
    """A receiver's session, protected as its options or the description say."""
    if options.pin:
        from labkit.endpoints.dtls import Handshake
        from labkit.endpoints.dtlssrtp import DtlsSrtp
        from labkit.wire.sdpdtls import Setup

        shake = Handshake(identity(), Setup.ACTIVE, fingerprints(options.pin))
        return DtlsSrtp(session, shake)
    if description is None or description.security is None:
        return session
    from labkit.endpoints.secured import secured

    return secured(session, description, identity)


def write_description(path: Path, text: str, *, secret: bool) -> None:
    """Write an SDP; one with a key for its owner alone, whatever was there before."""
    if secret:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return
    path.write_text(text, encoding="utf-8", newline="")

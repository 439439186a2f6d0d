"""Everything that can go wrong, as one tree.

    LabError
    ├── WireError                the bytes are wrong
    │   ├── Truncated            there are too few of them
    │   └── Malformed            a field has a value it must not have
    ├── ProtocolError            right bytes, wrong moment
    │   ├── LocalProtocolError   you asked for something illegal
    │   └── RemoteProtocolError  the peer did something illegal
    ├── AuthenticationError      token, certificate, SRTP tag, replay
    ├── SessionClosed            the session is over: cleanly or not, and by whom
    ├── BadInput                 a file, an address or an option that cannot be used
    │   └── Encrypted            it could be, with keys that are not here
    └── MissingCapability        no device, no libopus, no tshark: the remedy says what to do

Two promises hold everywhere. A parser in `labkit.wire` raises `WireError` and nothing else,
whatever bytes it is given. A command shows a `LabError` as one line with the next step, never as
a traceback.

This module knows no protocol: who raises what is written where it is raised.
"""


class LabError(Exception):
    """The root: catch this to catch everything that `labkit` raises on purpose."""


class WireError(LabError):
    """The bytes are wrong.

    `field` names the header field, `offset` is the byte where it starts, `why` says what is wrong
    with it in words, `spec` is the section that says so ("RFC 3550 section 5.1").
    """

    def __init__(self, field: str, offset: int, why: str, spec: str = "") -> None:
        self.field = field
        self.offset = offset
        self.why = why
        self.spec = spec
        where = f" ({spec})" if spec else ""
        super().__init__(f"{field} at byte {offset}: {why}{where}")


class Truncated(WireError):
    """There are fewer bytes than the format needs."""


class Malformed(WireError):
    """A field has a value that the format forbids."""


class ProtocolError(LabError):
    """Right bytes at the wrong moment."""


class LocalProtocolError(ProtocolError):
    """You asked a machine for something that its state forbids."""


class RemoteProtocolError(ProtocolError):
    """The peer did something that its state forbids."""


class AuthenticationError(LabError):
    """A token, a certificate, an authentication tag or a replayed packet was refused.

    `reason` is a word for counters and labels: it never says what was refused.
    """

    def __init__(self, why: str, *, reason: str = "authentication") -> None:
        self.why = why
        self.reason = reason
        super().__init__(why)


class SessionClosed(LabError):
    """The session is over. `clean` says whether it ended as agreed, `by` is "us" or "peer"."""

    def __init__(self, why: str, *, clean: bool, by: str) -> None:
        self.why = why
        self.clean = clean
        self.by = by
        super().__init__(f"{why} ({'clean' if clean else 'not clean'}, by {by})")


class BadInput(LabError):
    """Something a person gave cannot be used. `remedy` says what to try instead."""

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}\n  try: {remedy}" if remedy else what)


class Encrypted(BadInput):
    """What a person wants to hear or see is encrypted, and the keys are not here."""


class MissingCapability(LabError):
    """This machine lacks a part. `remedy` is the command or the step that brings it."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}\n  try: {remedy}")

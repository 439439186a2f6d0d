"""SDP, the text that tells a receiver what the payload types mean: RFC 8866 (week 8).

    v=0                                  version
    o=- 0 0 IN IP4 192.0.2.1             who made it: session, version, address
    s=labkit                             name
    c=IN IP4 192.0.2.1                   where media goes
    t=0 0                                for ever
    m=audio 5004 RTP/AVP 111             port and payload type
    a=rtpmap:111 opus/48000/2            payload type to encoding, clock rate, channels
    a=fmtp:111 useinbandfec=1            parameters of the encoding, for Opus from RFC 7587
    a=ptime:20                           milliseconds of sound in a packet
    a=rtcp-mux                           RTCP on the same port (RFC 5761)

`describe` writes one stream of sound, `parse` reads the first that a description has. Payload
types 0, 8, 9, 10 and 11 need no rtpmap (RFC 3551 section 6).

A stream that is protected says so by its profile, RTP/SAVP instead of RTP/AVP, and says with it how
the keys come: as a=crypto lines (`sdes`), which makes the whole description a secret, or by DTLS
(`sdpdtls`). A `SessionDescription` with `security` must never be played or sent as plain RTP.

This module knows no offer and answer (RFC 3264), no video and no cipher; it skips what it does not
know, as section 5 demands. It resolves no names and opens no ports.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple, NoReturn, TypeAlias

from labkit.wire import sdes
from labkit.wire.sdpdtls import DtlsParameters, unpack_fingerprint, unpack_setup
from labkit.words.errors import LocalProtocolError, Malformed
from labkit.words.format import AudioFormat

STATIC: Final[Mapping[int, tuple[str, int, int]]] = MappingProxyType(
    {
        0: ("PCMU", 8_000, 1),
        8: ("PCMA", 8_000, 1),
        9: ("G722", 8_000, 1),
        10: ("L16", 44_100, 2),
        11: ("L16", 44_100, 1),
    }
)
"""Payload type to encoding, clock rate and channels: RFC 3551 table 4."""

OPUS: Final = ("opus", 48_000, 2)
"""What the rtpmap of Opus must say, mono or not: RFC 7587 section 7."""

MAX_PORT: Final = 65_535

DEFAULT_PTIME: Final = 20
"""Milliseconds in a packet when SDP does not say: RFC 3551 section 4.2."""

_SPELLING: Final = {name.lower(): name for name in ("opus", "L16", "PCMU", "PCMA", "G722")}
"""Encoding names are case-insensitive (RFC 3551 section 3); the rest of labkit spells them so."""

Security: TypeAlias = tuple[sdes.Crypto, ...] | DtlsParameters | None
"""How keys come: written here, by DTLS, in a way not told here (empty), or not at all (None)."""

_MEDIA: Final = re.compile(
    r"audio ([0-9]{1,5})(?:/[0-9]+)? ((?:UDP/TLS/)?RTP/S?AVPF?) ([0-9]{1,3})(?: [0-9 ]*)?"
)
_CONNECTION: Final = re.compile(r"IN IP[46] ([^\s/]+)(?:/[0-9/]+)?")
_RTPMAP: Final = re.compile(r"([0-9]{1,3}) +([^\s/]+)/([0-9]{1,6})(?:/([0-9]{1,2}))? *")
_FMTP: Final = re.compile(r"([0-9]{1,3}) +(.*)")
_PTIME: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,6})?")
_RTCP: Final = re.compile(r"([0-9]{1,5})(?: .*)?")


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """One stream of sound, and where it goes."""

    audio: AudioFormat
    host: str
    """An IPv4 or IPv6 address or a name, as it was written."""
    port: int
    """Where RTP goes."""
    rtcp_port: int
    """Where RTCP goes: the same port with `rtcp_mux`, else the next or the one of RFC 3605."""
    rtcp_mux: bool
    name: str
    security: Security = None


def describe(
    audio: AudioFormat,
    *,
    host: str,
    port: int,
    name: str = "labkit",
    rtcp_mux: bool = True,
    security: Security = None,
) -> str:
    """The description of one stream that goes to `host` and `port`, lines ended by CRLF.

    Without `rtcp_mux` RTCP goes to the next port. Its session id is 0: for descriptions that are
    announced (RFC 2974) it would have to be unique. With a=crypto lines it is a secret: `sdes` says
    where it may go. `LocalProtocolError` for what SDP cannot say.
    """
    if not 0 <= port <= MAX_PORT or not 0 <= audio.payload_type <= 127:
        raise LocalProtocolError(f"port {port} or payload type {audio.payload_type} out of range")
    if audio.clock_rate < 1 or audio.channels < 1 or not 0 < audio.ptime < 10_000:
        raise LocalProtocolError(f"{audio}, {audio.ptime} ms in a packet: cannot be said")
    family = "IP6" if ":" in host else "IP4"
    encoding, rate, channels = audio.encoding, audio.clock_rate, audio.channels
    if encoding.lower() == "opus":
        encoding, rate, channels = OPUS
    lines = [
        "v=0",
        f"o=- 0 0 IN {family} {_word(host)}",
        f"s={_line(name)}",
        f"c=IN {family} {host}",
        "t=0 0",
        f"m=audio {port} {_profile(security)} {audio.payload_type}",
        f"a=rtpmap:{audio.payload_type} {_word(encoding)}/{rate}/{channels}",
    ]
    if audio.parameters:
        lines.append(f"a=fmtp:{audio.payload_type} {_pack_parameters(audio.parameters)}")
    lines.append(f"a=ptime:{audio.ptime:.10g}")
    if rtcp_mux:
        lines.append("a=rtcp-mux")
    lines += [f"a={line}" for line in _pack_security(security)]
    return "\r\n".join(lines) + "\r\n"


def _profile(security: Security) -> str:
    """RFC 3551, RFC 3711 section 12 and RFC 5764 section 8."""
    if isinstance(security, DtlsParameters):
        return "UDP/TLS/RTP/SAVP"
    return "RTP/AVP" if security is None else "RTP/SAVP"


def _pack_security(security: Security) -> list[str]:
    if isinstance(security, DtlsParameters):
        fingerprints = [f"fingerprint:{each}" for each in security.fingerprints]
        return [*fingerprints, f"setup:{security.setup.value}"]
    return [f"crypto:{_line(sdes.pack(each))}" for each in security or ()]


def _line(text: str) -> str:
    """A text that cannot begin a line of its own, and is not empty (section 5.3)."""
    if not text or re.search("[\r\n\0]", text):
        raise LocalProtocolError(f"{text!r} is empty or more than one line")
    return text


def _word(text: str) -> str:
    if re.search(r"[\s/]", _line(text)):
        raise LocalProtocolError(f"{text!r} is more than one word")
    return text


def _pack_parameters(parameters: Mapping[str, str]) -> str:
    if any("=" in key for key in parameters) or ";" in "".join([*parameters, *parameters.values()]):
        raise LocalProtocolError(f"{dict(parameters)}: no `=` in a name, no `;` anywhere")
    packed = [f"{key}={value}" if value else key for key, value in parameters.items()]
    return _line(";".join(packed))


class _Line(NamedTuple):
    offset: int
    """Characters before it."""
    type: str
    value: str

    def malformed(self, why: str, section: str) -> NoReturn:
        raise Malformed(f"{self.type}=", self.offset, f"{why}: {self.value[:80]!r}", section)

    def match(self, pattern: re.Pattern[str], value: str, section: str) -> re.Match[str]:
        found = pattern.fullmatch(value)
        return found or self.malformed("unreadable", section)


def parse(text: str) -> SessionDescription:
    """The first stream of sound in a description. `Malformed` when there is none to be read.

    Lines may end in LF alone (section 5). Of several payload types the first is taken: the one
    that the sender prefers.
    """
    session, section = _first_audio(list(_lines(text)))
    media = section[0]
    found = media.match(_MEDIA, media.value, "RFC 8866 section 5.14")
    port, profile, payload_type = int(found[1]), found[2], int(found[3])
    attributes = list(_attributes(section))
    mux = any(key == "rtcp-mux" for _, key, _ in attributes)
    rtcp_port = port if mux else _rtcp_port(port, attributes)
    if max(port, rtcp_port) > MAX_PORT or payload_type > 127:
        media.malformed("port or payload type out of range", "RFC 8866 section 5.14")
    name = next((line.value for line in session if line.type == "s"), "")
    return SessionDescription(
        audio=_audio_format(media, payload_type, attributes),
        host=_host(session, section),
        port=port,
        rtcp_port=rtcp_port,
        rtcp_mux=mux,
        name=name,
        security=_security(media, profile, [*attributes, *_attributes(session)]),
    )


def _lines(text: str) -> Iterator[_Line]:
    offset = 0
    for raw in text.split("\n"):
        line = raw.removesuffix("\r")
        if line:
            if line[1:2] != "=" or "\r" in line or "\0" in line:
                raise Malformed("line", offset, "is not <type>=<value>", "RFC 8866 section 5")
            yield _Line(offset, line[0], line[2:])
        offset += len(raw) + 1


def _first_audio(lines: list[_Line]) -> tuple[list[_Line], list[_Line]]:
    """The lines before the first m=, and the lines from the first m=audio to the next m=."""
    if not lines or lines[0][1:] != ("v", "0"):
        raise Malformed("v=", 0, "a description begins with v=0", "RFC 8866 section 5.1")
    starts = [i for i, line in enumerate(lines) if line.type == "m"] + [len(lines)]
    for start, end in pairwise(starts):
        if lines[start].value.startswith("audio "):
            return lines[: starts[0]], lines[start:end]
    offset = lines[-1].offset
    raise Malformed("m=", offset, "no sound is described", "RFC 8866 section 5.14")


def _attributes(section: list[_Line]) -> Iterator[tuple[_Line, str, str]]:
    """Each a= line with its key and its value."""
    for line in section:
        if line.type == "a":
            key, _, value = line.value.partition(":")
            yield line, key, value.strip(" ")


def _host(session: list[_Line], section: list[_Line]) -> str:
    """The address of the section's c= line, else of the session's (section 5.7)."""
    for line in (*section, *session):
        if line.type == "c":
            return line.match(_CONNECTION, line.value, "RFC 8866 section 5.7")[1]
    raise Malformed("c=", section[0].offset, "no address", "RFC 8866 section 5.7")


def _rtcp_port(port: int, attributes: list[tuple[_Line, str, str]]) -> int:
    for line, key, value in attributes:
        if key == "rtcp":
            return int(line.match(_RTCP, value, "RFC 3605 section 2.1")[1])
    return port + 1


def _security(media: _Line, profile: str, attributes: list[tuple[_Line, str, str]]) -> Security:
    """What a protected stream must say. Those of the media come before those of the session."""
    if "SAVP" not in profile:
        return None
    found = {key: [(line.offset, value) for line, each, value in attributes if each == key]
             for key in ("crypto", "fingerprint", "setup")}  # fmt: skip
    if found["crypto"] and "TLS" not in profile:
        return tuple(sdes.unpack(value, offset) for offset, value in found["crypto"])
    if not found["fingerprint"] and "TLS" not in profile:
        return ()
    if not found["fingerprint"] or not found["setup"]:
        media.malformed("no a=fingerprint, or no a=setup", "RFC 5763 section 5")
    fingerprints = tuple(unpack_fingerprint(value, at) for at, value in found["fingerprint"])
    offset, setup = found["setup"][0]
    return DtlsParameters(fingerprints, unpack_setup(setup, offset))


def _audio_format(
    media: _Line, payload_type: int, attributes: list[tuple[_Line, str, str]]
) -> AudioFormat:
    coding, ptime = STATIC.get(payload_type), float(DEFAULT_PTIME)
    parameters: dict[str, str] = {}
    for line, key, value in attributes:
        if key == "rtpmap" and _concerns(value, payload_type):
            coding = _parse_rtpmap(line, value)
        elif key == "fmtp" and _concerns(value, payload_type):
            found = line.match(_FMTP, value, "RFC 8866 section 6.15")
            parameters |= _parse_parameters(found[2])
        elif key == "ptime":
            ptime = float(line.match(_PTIME, value, "RFC 8866 section 6.4")[0])
    if coding is None:
        media.malformed(f"no rtpmap for payload type {payload_type}", "RFC 8866 section 6.6")
    if ptime == 0:
        media.malformed("ptime is 0", "RFC 8866 section 6.4")
    return AudioFormat(*coding, payload_type, ptime, MappingProxyType(parameters))


def _concerns(value: str, payload_type: int) -> bool:
    return value.split(" ", 1)[0] == str(payload_type)


def _parse_rtpmap(line: _Line, value: str) -> tuple[str, int, int]:
    found = line.match(_RTPMAP, value, "RFC 8866 section 6.6")
    encoding, rate, channels = found[2], int(found[3]), int(found[4] or 1)
    encoding = _SPELLING.get(encoding.lower(), encoding)
    if rate == 0 or channels == 0:
        line.malformed("clock rate or channels are 0", "RFC 8866 section 6.6")
    if encoding == "opus" and (encoding, rate, channels) != OPUS:
        line.malformed("not opus/48000/2", "RFC 7587 section 7")
    return encoding, rate, channels


def _parse_parameters(text: str) -> dict[str, str]:
    """`a=1; b=2` as a dict; names are case-insensitive (RFC 6838 section 4.3)."""
    pairs = (each.partition("=") for each in text.split(";"))
    return {key.strip().lower(): value.strip() for key, _, value in pairs if key.strip()}

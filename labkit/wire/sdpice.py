"""What SDP says of ICE, as far as an answer with one address needs it: RFC 8839 (week 12).

    a=ice-lite                                        we answer checks and send none
    a=ice-ufrag:Yx1b                                  who is meant by a check
    a=ice-pwd:...                                     by which a check is protected: a secret
    a=candidate:1 1 udp 2130706431 127.0.0.1 5004 typ host

The password keeps strangers from pretending to be the peer, for as long as the call lasts; it
encrypts nothing. `answer` writes what a browser wants to read beside `sdp.describe`.

This module knows no check: `labkit.endpoints.icelite` answers them.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from labkit.wire import sdp
from labkit.wire.sdpdtls import DtlsParameters
from labkit.words.errors import Malformed
from labkit.words.format import AudioFormat

PRIORITY: Final = 2_130_706_431
"""Of the only candidate, a host's: RFC 8445 section 5.1.2.1, (126 << 24) + (65535 << 8) + 255."""

_UFRAG: Final = re.compile(r"(?m)^a=ice-ufrag:([A-Za-z0-9+/]{4,256})\r?$")
_PASSWORD: Final = re.compile(r"(?m)^a=ice-pwd:([A-Za-z0-9+/]{22,256})\r?$")
_MID: Final = re.compile(r"(?m)^a=mid:([!-~]{1,64})\r?$")


class Direction(Enum):
    """What we want to do: RFC 8866 section 6.7."""

    SENDONLY = "sendonly"
    RECVONLY = "recvonly"


@dataclass(frozen=True, slots=True)
class IceParameters:
    """The two words of one side: RFC 8839 section 5.4."""

    ufrag: str
    password: str = field(repr=False)


def parse_ice(text: str) -> IceParameters:
    """The words of whoever wrote a description. `Malformed` when it has none."""
    ufrag, password = _UFRAG.search(text), _PASSWORD.search(text)
    if ufrag is None or password is None:
        why = "no a=ice-ufrag with 4 or no a=ice-pwd with 22 characters or more"
        raise Malformed("a=ice-ufrag", 0, why, "RFC 8839 section 5.4")
    return IceParameters(ufrag[1], password[1])


def answer(
    offer: str,
    audio: AudioFormat,
    *,
    host: str,
    port: int,
    dtls: DtlsParameters,
    ice: IceParameters,
    ssrc: int,
    direction: Direction = Direction.SENDONLY,
) -> str:
    """The answer to a browser's offer: one voice, at one address, by DTLS-SRTP.

    `ssrc` is that of what we send: media, or reports about theirs.
    """
    text = sdp.describe(audio, host=host, port=port, security=dtls)
    session, media = text.replace("RTP/SAVP ", "RTP/SAVPF ", 1).split("m=", 1)
    session += "a=ice-lite\r\n"
    media += (
        f"a={direction.value}\r\n"
        f"a=ice-ufrag:{ice.ufrag}\r\n"
        f"a=ice-pwd:{ice.password}\r\n"
        f"a=candidate:1 1 udp {PRIORITY} {host} {port} typ host\r\n"
        "a=end-of-candidates\r\n"
        f"a=ssrc:{ssrc} cname:labkit\r\n"
        "a=msid:labkit voice\r\n"
    )
    mid = _MID.search(offer)
    if mid is not None:  # RFC 9143: the name by which the offer calls this stream
        session += f"a=group:BUNDLE {mid[1]}\r\n"
        media += f"a=mid:{mid[1]}\r\n"
    return f"{session}m={media}"

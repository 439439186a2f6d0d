"""What a packet asks of the routers on its way: six bits, and their names.

    IPv4's second byte, IPv6's traffic class:   +---+---+---+---+---+---+---+---+
                                                |         DSCP          |  ECN  |
                                                +---+---+---+---+---+---+---+---+

- RFC 2474: the Differentiated Services Code Point is the upper six bits; CSx (class selectors) are
  those of IP precedence, the first three bits, which came before it. 0 is the default: best effort
- RFC 2597: AFxy (assured forwarding), four classes x, in each of which y = 3 is dropped first
- RFC 3246: EF (expedited forwarding): hardly any queue before it, up to a rate that was agreed
- RFC 5865: VOICE-ADMIT, as EF, for calls that were admitted one by one
- RFC 8622: LE (lower effort): what nobody else wants
- RFC 3168: the lower two bits are ECN's, by which a router says that its queue grows

A mark is a wish. It costs nothing to write, so networks trust only their own: at the border it is
checked, changed or wiped out (RFC 2475 section 2.3). Which mark is for what: RFC 4594 section 2.3.

This module knows no packet and no socket: `labkit.live.sockopts` sets a mark.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from labkit.words.errors import BadInput


class Dscp(IntEnum):
    """The code points that have a name (IANA's registry of DSCPs)."""

    CS0 = 0
    LE = 1
    CS1 = 8
    AF11 = 10
    AF12 = 12
    AF13 = 14
    CS2 = 16
    AF21 = 18
    AF22 = 20
    AF23 = 22
    CS3 = 24
    AF31 = 26
    AF32 = 28
    AF33 = 30
    CS4 = 32
    AF41 = 34
    AF42 = 36
    AF43 = 38
    CS5 = 40
    VOICE_ADMIT = 44
    EF = 46
    CS6 = 48
    CS7 = 56


class Ecn(IntEnum):
    """What the two lower bits say (RFC 3168 section 5)."""

    NOT_ECT = 0
    """The sender does not listen to such signs."""
    ECT_1 = 1
    ECT_0 = 2
    CE = 3
    """Congestion experienced: a router's word in place of a loss."""


class Mark(NamedTuple):
    """The second byte of an IP header, taken apart."""

    dscp: int
    ecn: Ecn = Ecn.NOT_ECT

    @property
    def tos(self) -> int:
        """The byte."""
        return self.dscp << 2 | self.ecn

    def __str__(self) -> str:
        return f"{name_of(self.dscp)}{'' if self.ecn == Ecn.NOT_ECT else f', {self.ecn.name}'}"


def read_tos(tos: int) -> Mark:
    """Take the byte apart. Any byte is one."""
    return Mark(tos >> 2 & 0x3F, Ecn(tos & 3))


def name_of(dscp: int) -> str:
    """`EF`, or the number of a code point that has no name."""
    try:
        return Dscp(dscp).name.replace("_", "-")
    except ValueError:
        return str(dscp)


def read_dscp(words: str | int) -> int:
    """What somebody wrote: a name ("EF", "af41", "voice-admit", "default"), or 0 to 63.

    A number may be written as Wireshark does (46, 0x2e). `BadInput` for anything else.
    """
    text = str(words).strip().upper().replace("-", "_")
    if text in ALIASES:
        return ALIASES[text]
    if text in Dscp.__members__:
        return Dscp[text]
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if 0 <= number <= LARGEST:
        return number
    hint = f"; {number} is the byte of {name_of(number >> 2)}" if 63 < number < 256 else ""
    raise BadInput(f"{words!r} is no DSCP{hint}", "EF for voice, LE for what can wait, 0 to 63")


LARGEST: Final = 63
ALIASES: Final = {"DEFAULT": Dscp.CS0, "DF": Dscp.CS0, "BE": Dscp.CS0, "VA": Dscp.VOICE_ADMIT}

SERVICES: Final[dict[str, Dscp]] = {
    "network control": Dscp.CS6,
    "telephony": Dscp.EF,
    "signalling": Dscp.CS5,
    "multimedia conferencing": Dscp.AF41,
    "real-time interactive": Dscp.CS4,
    "multimedia streaming": Dscp.AF31,
    "broadcast video": Dscp.CS3,
    "low-latency data": Dscp.AF21,
    "operations": Dscp.CS2,
    "high-throughput data": Dscp.AF11,
    "standard": Dscp.CS0,
    "low-priority data": Dscp.LE,
}
"""The service classes of RFC 4594 section 2.3 (figure 3), with RFC 8622's word on the last."""


class AccessCategory(IntEnum):
    """The four queues of a Wi-Fi station (IEEE 802.11e), which the trade calls WMM."""

    BACKGROUND = 0
    BEST_EFFORT = 1
    VIDEO = 2
    VOICE = 3


_CATEGORY: Final = (1, 0, 0, 1, 2, 2, 3, 3)
"""Of each IEEE 802.1D user priority (IEEE 802.11-2016 table 10-1)."""
_RFC8325: Final[dict[int, int]] = {
    Dscp.EF: 6,
    Dscp.VOICE_ADMIT: 6,
    Dscp.CS2: 0,
    Dscp.CS3: 4,
    **dict.fromkeys((Dscp.AF21, Dscp.AF22, Dscp.AF23), 3),
    **dict.fromkeys((Dscp.AF31, Dscp.AF32, Dscp.AF33), 4),
    **dict.fromkeys((Dscp.AF41, Dscp.AF42, Dscp.AF43), 4),
    **dict.fromkeys((Dscp.AF11, Dscp.AF12, Dscp.AF13), 0),
    Dscp.CS1: 1,
    Dscp.LE: 1,
}


def access_category(dscp: int, *, rfc8325: bool = True) -> AccessCategory:
    """The Wi-Fi queue that a mark ends in.

    RFC 8325 section 4.3 says which it should be. Without it a station takes the first three bits,
    as many do: then EF (101110) is user priority 5 and stands among the videos.
    """
    bits = dscp >> 3
    return AccessCategory(_CATEGORY[_RFC8325.get(dscp, bits) if rfc8325 else bits])

"""What stands before IP in a captured packet: Ethernet, Linux's cooked header, loopback, nothing.

The link type of a capture (the tcpdump group's list of LINKTYPEs) says which. Ethernet and its
kin name what follows by a type of 16 bits; VLAN tags (IEEE 802.1Q) come between, any number of
them. Each function takes a column of packets at once.

    Ethernet        destination, source: 6 bytes each, type
    VLAN            tag, type
    SLL             kind, hardware, address: 14 bytes, type
    SLL2            type, reserved, interface, hardware, kind, address: 20 bytes in all
    NULL, LOOP      address family, 32 bits in the capturing host's or in network byte order

This module knows no IP but its version number.
"""

from typing import Final

import numpy as np

from labkit.wire.columns import Bytes, Column, number

NULL, ETHERNET, LOOP, SLL, SLL2 = 0, 1, 108, 113, 276
RAW: Final = (101, 12, 14, 228, 229)
"""Link types without a link layer: RAW, what it is called on BSD, IPv4 and IPv6."""

TYPE_IPV4, TYPE_IPV6 = 0x0800, 0x86DD
VLAN_TAGS: Final = (0x8100, 0x88A8, 0x9100)
MOST_TAGS: Final = 8
IPV6_FAMILIES: Final = (10, 24, 28, 30)
"""AF_INET6 is 10 on Linux, 24, 28 and 30 on the BSDs and macOS."""
ETHERTYPES: Final = {0x0806: "ARP", 0x88CC: "LLDP", 0x888E: "EAPOL", 0x8864: "PPPoE"}


def after_link(data: Bytes, at: Column, end: Column, link: int) -> tuple[Column, Column]:
    """Where IP begins, and the type, of packets with one link type. Type 0: not known."""
    if link == ETHERNET:
        place, kind = at + 14, number(data, ">u2", at + 12)
    elif link == SLL:
        place, kind = at + 16, number(data, ">u2", at + 14)
    elif link == SLL2:
        place, kind = at + 20, number(data, ">u2", at)
    elif link in (NULL, LOOP):
        # The family is in the byte order of whoever captured: one of the two reads small.
        family = np.minimum(number(data, "<u4", at), number(data, ">u4", at))
        kind = np.where(family == 2, TYPE_IPV4, 0)
        kind[np.isin(family, IPV6_FAMILIES)] = TYPE_IPV6
        place = at + 4
    elif link in RAW:
        version = data[at] >> 4
        kind = np.where(version == 4, TYPE_IPV4, np.where(version == 6, TYPE_IPV6, 0))
        place = at
    else:
        return at, np.zeros(len(at), np.int64)
    for _ in range(MOST_TAGS):
        tagged = np.isin(kind, VLAN_TAGS)
        if not tagged.any():
            break
        kind[tagged] = number(data, ">u2", np.minimum(place, end)[tagged] + 2)
        place[tagged] += 4
    kind[place > end] = 0
    return np.minimum(place, end), kind


def ethertype_name(kind: int) -> str:
    """What people call it."""
    if kind == 0:
        return "unknown link layer"
    if kind < 0x0600:
        return "IEEE 802.2"  # a length, not a type
    return ETHERTYPES.get(kind, f"Ethernet type {kind:#06x}")

"""TUN devices and their addresses: the network cards of a lab's hosts.

A TUN device is a network card whose wire is a file: what the kernel sends we read, and what we
write the kernel has received, one IP packet at a time (the kernel's networking/tuntap.rst). Here
are the ioctls of netdevice(7) that give it an address, and the one that adds a route; each acts
in the network namespace of whoever calls.

This module sends nothing and reads no packet.
"""

import ctypes
import fcntl
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from labkit.live.link.plan import NETMASK, Interface
from labkit.live.link.support import TUN

TUNSETIFF: Final = 0x400454CA
IFF_TUN: Final = 0x0001
IFF_NO_PI: Final = 0x1000
"""No header of its own before each packet."""

SIOCADDRT: Final = 0x890B
SIOCSIFFLAGS: Final = 0x8914
SIOCSIFADDR: Final = 0x8916
SIOCSIFNETMASK: Final = 0x891C
SIOCSIFMTU: Final = 0x8922
IFF_UP: Final = 1
IFF_MULTICAST: Final = 0x1000
RTF_UP: Final = 1
RTF_GATEWAY: Final = 2

QUEUE: Final = 10_000
"""Packets that the device holds for us. With the kernel's 500 it would lose some of a burst, and
only the profile shall lose packets."""

IFREQ_FLAGS: Final = struct.Struct("16sh22x")
IFREQ_NUMBER: Final = struct.Struct("16si20x")
IFREQ_ADDRESS: Final = struct.Struct("16s16s8x")
LINK_MESSAGE: Final = struct.Struct("=IHHII BxHiII HHI")
# nlmsghdr: length, type, flags, sequence, port; ifinfomsg: family, type, index, flags, mask;
# rtattr: length, type, value
RTM_NEWLINK: Final = 16
NLM_F_REQUEST_ACK: Final = 5
IFLA_TXQLEN: Final = 13
NETLINK_ERROR: Final = struct.Struct("=16xi")

SOCKADDR: Final = struct.Struct("=HH4s8x")
ROUTE: Final = struct.Struct("@L 16s 16s 16s H h L P h P L L H 0L")
# struct rtentry of linux/route.h: nothing, destination, gateway, mask, flags, three times nothing,
# metric, the device's name, MTU, window, round-trip time


def open_device(interface: Interface, mtu: int) -> int:
    """Make a device with an address and its routes; the file that is its wire."""
    wire = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    name = interface.device.encode()
    fcntl.ioctl(wire, TUNSETIFF, IFREQ_FLAGS.pack(name, IFF_TUN | IFF_NO_PI))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFMTU, IFREQ_NUMBER.pack(name, mtu))
        fcntl.ioctl(sock, SIOCSIFADDR, IFREQ_ADDRESS.pack(name, _sockaddr(interface.address)))
        fcntl.ioctl(sock, SIOCSIFNETMASK, IFREQ_ADDRESS.pack(name, _sockaddr(NETMASK)))
        fcntl.ioctl(sock, SIOCSIFFLAGS, IFREQ_FLAGS.pack(name, IFF_UP | IFF_MULTICAST))
        for network, mask, gateway in interface.routes:
            _add_route(sock, network, mask, gateway, name)
    _lengthen_queue(interface.device)
    return wire


def prepare_host(*, forwards: bool) -> None:
    """Loopback up; no IPv6, which would speak unasked into every capture; a router forwards."""
    settings = Path("/proc/sys/net")
    for ipv6 in settings.glob("ipv6/conf/*/disable_ipv6"):
        with suppress(OSError):  # read-only in many containers
            ipv6.write_text("1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, IFREQ_FLAGS.pack(b"lo", IFF_UP))
    if forwards:
        (settings / "ipv4/ip_forward").write_text("1")


def _sockaddr(address: str) -> bytes:
    return SOCKADDR.pack(socket.AF_INET, 0, socket.inet_aton(address))


def _add_route(sock: socket.socket, network: str, mask: str, gateway: str, device: bytes) -> None:
    name = ctypes.create_string_buffer(device)
    flags = RTF_UP | (RTF_GATEWAY if gateway else 0)
    ends = (_sockaddr(one) for one in (network, gateway or "0.0.0.0", mask))  # noqa: S104
    entry = ROUTE.pack(0, *ends, flags, 0, 0, 0, 0, ctypes.addressof(name), 0, 0, 0)
    fcntl.ioctl(sock, SIOCADDRT, entry)


def _lengthen_queue(device: str) -> None:
    """By rtnetlink(7), because the ioctl for this one thing wants root outside too."""
    index = socket.if_nametoindex(device)
    header = LINK_MESSAGE.size, RTM_NEWLINK, NLM_F_REQUEST_ACK, 1, 0
    request = LINK_MESSAGE.pack(*header, 0, 0, index, 0, 0, 8, IFLA_TXQLEN, QUEUE)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.sendto(request, (0, 0))
        (error,) = NETLINK_ERROR.unpack_from(sock.recv(4096))
    if error:
        raise OSError(-error, f"queue of {device}: {os.strerror(-error)}")

"""UDP multicast: one datagram for a whole group (RFC 1112, RFC 4607; week 10).

    endpoint = await open_udp(server, host=interface)
    server.admit(group)                                 # the sender: a session whose peer it is
    await join_group(endpoint, group, interface=…)      # what the group says comes from `group`

The network makes the copies, where ways part; a sender with a thousand listeners sends once. What
it takes is a network that does it: the local one nearly always, the Internet not.

- *Addresses.* 239.0.0.0/8 is administratively scoped (RFC 2365): for everybody's own use, and
  routers at the border keep it inside. ff15::/16 is the same for a site of IPv6 (RFC 4291 section
  2.7). Groups of 232.0.0.0/8 are source-specific (RFC 4607): who joins names the sender too, and
  gets nothing of others: `source`.
- *TTL.* How many routers it may pass, less one; 1, the default, stays in the local network.
- *Loop.* Whether listeners on the sender's own computer get it; they do unless told otherwise.

A machine knows one address, that of the group, and speaks with it as with a peer. For what arrives
is passed on as coming from the group, whoever of it has sent it; what we sent ourselves, and the
network gives back, is not passed on. So `RtpSession` needs nothing new: senders are told apart by
their SSRC, reports go to the group and are heard by all (RFC 3550 section 6: that is how RTCP was
meant), and the more members, the rarer each one reports, so that all together take five per cent
of the bandwidth. A player that never reports hears as well, and is not known of.

Our own header of week 5 says nothing of who speaks. In a group it works as long as nobody says BYE,
which everybody would take for the sender's: let receivers have `Limits(goodbyes=0)`. And all say
HELLO every two seconds, and all hear every answer: for a classroom, not for a town.

This module knows no protocol and sends nothing.
"""

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any, Final

from labkit.live.sockopts import receive_buffer
from labkit.live.udp import RECEIVE_BUFFER, UdpEndpoint
from labkit.words.errors import BadInput
from labkit.words.machine import Address

IP_ADD_SOURCE_MEMBERSHIP: Final = {"linux": 39, "darwin": 70, "win32": 15}.get(sys.platform)
"""Python has no name for it before 3.12."""
ANY: Final = "0.0.0.0"  # noqa: S104 - compared with, never bound to
V4_HEADS: Final = range(224, 240)


def is_group(host: str) -> bool:
    """Whether an address in digits is one of multicast."""
    try:
        if ":" in host:
            return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[0] == 0xFF
        return socket.inet_pton(socket.AF_INET, host)[0] in V4_HEADS
    except OSError:
        return False


def send_to_groups(
    sock: socket.socket, *, interface: str = "", ttl: int = 1, loop: bool = True
) -> None:
    """Say how what this socket sends to groups leaves. It holds for all groups.

    `interface`: by its own IPv4 address; for an IPv6 socket by its name ("eth0"). Empty: the
    system's choice, which is where its route for the group leads.
    """
    with _explained(interface or "any interface"):
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, _index(interface))
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, loop)
        else:
            address = socket.inet_aton(interface or ANY)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, loop)


def group_socket(
    group: str, port: int, *, interface: str = "", source: str | None = None
) -> socket.socket:
    """A socket that gets what is sent to a group; several programs may have one each.

    `interface` as in `send_to_groups`. With `source`, an IPv4 address, only what that one sends
    (RFC 4607). `BadInput` when it cannot be.
    """
    if not is_group(group):
        raise BadInput(f"{group} is no multicast group", "239.255.0.1, or ff15::1")
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receive_buffer(sock, RECEIVE_BUFFER)
        with _explained(f"{group}:{port}"):
            # Bound to the group, it gets nothing that was sent to our own address; on Windows
            # that is not allowed, and there it gets all that comes to the port.
            here = "" if sys.platform == "win32" else group
            scope = (0, _index(interface)) if family == socket.AF_INET6 else ()
            sock.bind((here, port, *scope))
            _join(sock, group, interface, source)
    except BaseException:
        sock.close()
        raise
    return sock


def _join(sock: socket.socket, group: str, interface: str, source: str | None) -> None:
    if sock.family == socket.AF_INET6:
        if source is not None:
            raise BadInput("one source of an IPv6 group", "a group of IPv4, or no source")
        request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("=I", _index(interface))
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        return
    here = socket.inet_aton(interface or ANY)
    where = socket.inet_aton(group)
    if source is None:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, where + here)
        return
    if IP_ADD_SOURCE_MEMBERSHIP is None:
        raise BadInput("one source of a group, on this system", "no source")
    whom = socket.inet_aton(source)
    # struct ip_mreq_source: Linux has the interface in the middle, all others at the end.
    request = where + (here + whom if sys.platform == "linux" else whom + here)
    sock.setsockopt(socket.IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, request)


def _index(interface: str) -> int:
    return socket.if_nametoindex(interface) if interface else 0


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what the system says into an error for people."""
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"multicast on {what}: {error.strerror or error}",
            "an interface of this computer (`ip address`), and a group like 239.255.0.1",
        ) from error


class _Group(asyncio.DatagramProtocol):
    """Passes on to an endpoint's machine what the group says, as coming from the group."""

    def __init__(self, endpoint: UdpEndpoint, group: Address, ours: Address) -> None:
        self._endpoint = endpoint
        self._group = group
        self._ours = ours

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr[:2] != self._ours:
            self._endpoint.datagram_received(data, self._group)


async def join_group(
    endpoint: UdpEndpoint,
    group: tuple[str, int],
    *,
    interface: str = "",
    ttl: int = 1,
    loop: bool = True,
    source: str | None = None,
) -> None:
    """Send to a group from `endpoint`'s socket, and hear it; options as above.

    With IPv4 the interface is that to whose address the endpoint is bound, unless it is given.
    `BadInput` when the endpoint is bound to any address and no interface is given: then it could
    not tell its own datagrams from those of others.
    """
    host, port = endpoint.address
    if endpoint.sock.family == socket.AF_INET:
        interface = interface or ("" if host == ANY else host)
        host = interface if host == ANY else host
    if host in ("", "::"):
        raise BadInput("a group, from a socket that is bound to any address", "one address of ours")
    for each in endpoint.sockets:
        send_to_groups(each, interface=interface, ttl=ttl, loop=loop)
    sock = group_socket(*group, interface=interface, source=source)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Group(endpoint, group, (host, port)), sock=sock
    )
    endpoint.attach(transport)

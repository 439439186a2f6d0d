"""One datagram to a whole group, on this computer (week 10).

    received = await to_group(b"sound", members=3)

Three sockets join a group of multicast on the loopback interface, a fourth sends one datagram to
it: the kernel makes the copies. `MissingCapability` where loopback carries no multicast.
"""

import asyncio
import contextlib
import socket
from typing import Final

from labkit.live.multicast import group_socket, send_to_groups
from labkit.words.errors import BadInput, MissingCapability

HOST: Final = "127.0.0.1"
GROUP: Final = "239.255.10.1"
"""Administratively scoped: for everybody's own use (RFC 2365)."""
PATIENCE_S: Final = 5


async def to_group(data: bytes, members: int = 3, *, group: str = GROUP) -> list[bytes]:
    """What each of `members` sockets receives when `data` is sent to their group once."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        try:
            sender = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            sender.setblocking(False)
            sender.bind((HOST, 0))
            port = sender.getsockname()[1]  # nobody else has it
            ears = [
                stack.enter_context(group_socket(group, port, interface=HOST))
                for _ in range(members)
            ]
            send_to_groups(sender, interface=HOST)
            await loop.sock_sendto(sender, data, (group, port))
            async with asyncio.timeout(PATIENCE_S):
                return [await loop.sock_recv(ear, 65_535) for ear in ears]
        except (OSError, BadInput) as error:  # a timeout is one too
            raise MissingCapability(
                "no multicast on this computer's loopback interface",
                'look at the shipped capture: capture("10_multicast")',
            ) from error

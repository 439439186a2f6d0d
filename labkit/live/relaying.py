"""What both relays need: a profile that starts now, and the server's address.

This module relays nothing and opens no socket.
"""

import asyncio
import socket
from typing import Final

from labkit.core.impairment import Impairment
from labkit.live.clock import now
from labkit.resources import load_delays
from labkit.words.errors import BadInput
from labkit.words.profile import Profile

Address = tuple[str, int]

MAX_CLIENTS: Final = 64
"""Clients at a time: an open port must not cost memory."""


def both_directions(profile: Profile, seed: int, headers: int) -> tuple[Impairment, Impairment]:
    """What happens on the way to the server and on the way back, on a link that comes up now."""
    start = now()
    ways = []
    for name, spec in (("up", profile.up), ("down", profile.down)):
        delays = load_delays(spec.delay_trace) if spec.delay_trace else ()
        ways.append(Impairment(spec, f"{seed} {name}", delays, headers=headers, start=start))
    up, down = ways
    return up, down


async def resolve(to: Address, kind: socket.SocketKind) -> Address:
    """The numeric address of a server, IPv4 if it has one. `BadInput` when its name is unknown."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(*to, type=kind)
    except OSError as error:
        raise BadInput(
            f"there is no host {to[0]!r}: {error.strerror or error}", "an address such as 127.0.0.1"
        ) from error
    # Where nobody answers, datagrams tell nothing; and 127.0.0.1 is where servers listen.
    best = min(found, key=lambda one: one[0] != socket.AF_INET)
    host, port = best[4][:2]
    return str(host), int(port)

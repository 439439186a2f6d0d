"""`labkit stun`: how one looks from outside, and a server that tells others."""

import argparse
import asyncio
import socket
import sys
from typing import Any

from labkit.cli import common
from labkit.words.errors import BadInput
from labkit.words.units import to_ms

SERVE_EXAMPLES = """\
  labkit stun serve                               on UDP port 3478, for everybody who asks
  labkit stun serve --host 127.0.0.1 --port 0     for a try on this machine
"""
ASK_EXAMPLES = """\
  labkit stun ask 192.0.2.1:3478                  the address and port that the server sees
  labkit stun ask 192.0.2.1:3478 --port 5004      for the port that a receiver will use
"""


def add(commands: Any) -> None:
    """Hang `stun` and what belongs to it into the commands of `labkit`."""
    stun = commands.add_parser(
        "stun",
        help="how one looks from outside, through a NAT",
        description="STUN (RFC 8489): how one looks from outside, through a NAT.",
        epilog=f"examples:\n{SERVE_EXAMPLES}{ASK_EXAMPLES}",
        formatter_class=common.Help,
    )
    kinds = stun.add_subparsers(metavar="COMMAND", required=True)
    sub = common.subcommand(kinds, "serve", "tell others how they look", SERVE_EXAMPLES, serve)
    sub.add_argument("--host", default="0.0.0.0", help="(0.0.0.0: all)")  # noqa: S104 - a server
    sub.add_argument("--port", type=common.port, default=3478, help="(3478)")
    sub = common.subcommand(kinds, "ask", "ask how one looks", ASK_EXAMPLES, ask)
    sub.add_argument("server", type=common.address, metavar="HOST:PORT")
    sub.add_argument("--port", type=common.port, default=0, help="ours (0: any free one)")


def serve(options: argparse.Namespace) -> int:
    """Answer until Ctrl-C."""
    return common.run_until_interrupt(lambda stop: _serve(options, stop))


async def _serve(options: argparse.Namespace, stop: asyncio.Event) -> int:
    from labkit.endpoints.stunserver import StunServer
    from labkit.live.udp import open_udp

    server = StunServer()
    endpoint = await open_udp(server, host=options.host, port=options.port)
    host, port = endpoint.address
    print(f"STUN on UDP {host}:{port}; Ctrl-C ends it")
    sys.stdout.flush()
    await stop.wait()
    endpoint.close()
    print(f"{server.answered} requests answered, {server.refused} datagrams were none")
    return 0


def ask(options: argparse.Namespace) -> int:
    """Ask once, with all the patience of RFC 8489: 39.5 s. Exit code 2 when nobody answers."""
    return common.run_until_interrupt(lambda stop: _ask(options, stop))


async def _ask(options: argparse.Namespace, stop: asyncio.Event) -> int:
    from labkit.core.stunclient import Answered, StunClient
    from labkit.live.clock import now
    from labkit.live.relaying import resolve
    from labkit.live.udp import open_udp

    server = await resolve(options.server, socket.SOCK_DGRAM)
    local = _local_host(server)
    found: list[Any] = []

    def take(event: Any) -> None:
        found.append(event)
        stop.set()

    client = StunClient()
    endpoint = await open_udp(client, host=local, port=options.port, on_event=take)
    client.ask(server, now())
    endpoint.turn()
    await stop.wait()
    here = endpoint.address
    endpoint.close()
    if not found:
        return 130
    (event,) = found
    if not isinstance(event, Answered) or event.mapped is None:
        why = "it did not say" if isinstance(event, Answered) else event.why
        raise BadInput(
            f"{_written(server)} does not tell how we look: {why}",
            "another STUN server, or a network that lets UDP through",
        )
    took = "" if event.round_trip is None else f", after {to_ms(event.round_trip):.1f} ms"
    print(f"seen as {_written(event.mapped)}{took}")
    same = event.mapped == here
    print(f"here    {_written(here)}: {'no NAT between' if same else 'a NAT stands between'}")
    return 0


def _local_host(server: tuple[str, int]) -> str:
    """Our address on the way to a server. Connecting a UDP socket sends nothing."""
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(server)
        host: str = probe.getsockname()[0]
    return host


def _written(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

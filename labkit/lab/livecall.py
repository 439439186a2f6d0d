"""A call on real sockets: the objects of `Call.simulate`, driven by the event loop.

Sender and receiver have a socket each on the loopback interface, and between them stands a relay
that does to real datagrams what the profile says. Nothing here decides anything: decisions are
the machines'.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.lab.layered import STREAMS
from labkit.lab.notes import Notes
from labkit.lab.result import Result
from labkit.live.clock import wallclock_offset
from labkit.live.relay import UdpRelay
from labkit.live.stopwatch import Stopwatch
from labkit.live.tcp import TcpConnection, connect_tcp, serve_tcp
from labkit.live.tcprelay import TcpRelay
from labkit.live.udp import open_udp
from labkit.words.errors import SessionClosed
from labkit.words.machine import Event

if TYPE_CHECKING:
    from labkit.lab.call import Call

GRACE_S = 30
"""How long a call may last beyond its sound before it is given up."""


async def run(call: "Call") -> Result:
    """Run `call` in real time. `SessionClosed` if it does not come to an end."""
    notes = Notes()
    done = asyncio.Event()

    def take(event: Event) -> None:
        notes.take(event)
        if notes.finished:
            done.set()

    connect = _over_tcp if call.transport in STREAMS else _over_udp
    try:
        async with asyncio.timeout(call.seconds + GRACE_S):
            return await connect(call, notes, take, done)
    except TimeoutError:
        raise SessionClosed("the call did not end in time", clean=False, by="us") from None


async def _over_udp(
    call: "Call", notes: Notes, take: Callable[[Event], None], done: asyncio.Event
) -> Result:
    offset = wallclock_offset()
    watch = Stopwatch(call.codec)
    watched = replace(call, codec=watch)
    sender = watch.sender(watched.sender(offset))
    alice = await open_udp(sender)
    async with await UdpRelay.start(
        ("127.0.0.1", 0), alice.address, call.profile, call.seed
    ) as relay:
        receiver = watch.receiver(watched.receiver(relay.address, offset))
        bob = await open_udp(receiver, on_event=take)
        try:
            await _until(done, alice.done, bob.done)
        finally:
            bob.close()
            alice.close()
    return call.result(sender, receiver, notes)


async def _over_tcp(
    call: "Call", notes: Notes, take: Callable[[Event], None], done: asyncio.Event
) -> Result:
    watch = Stopwatch(call.codec)
    watched = replace(call, codec=watch)
    sender, receiver = watch.sender(watched.sender()), watch.receiver(watched.receiver(None))
    alice = TcpConnection(sender)
    server = await serve_tcp(lambda: alice)
    address = server.sockets[0].getsockname()[:2]
    async with await TcpRelay.start(("127.0.0.1", 0), address, call.profile, call.seed) as relay:
        bob = await connect_tcp(receiver, *relay.address, on_event=take)
        try:
            await _until(done, alice.done, bob.done)
        finally:
            bob.close()
            alice.close()
            server.close()
    return call.result(sender, receiver, notes)


async def _until(done: asyncio.Event, *ends: "asyncio.Future[None]") -> None:
    """Until the last frame was played. What a student's part raises meanwhile is raised here."""
    for end in ends:
        end.add_done_callback(lambda end: done.set() if end.exception() else None)
    await done.wait()
    for end in ends:
        if end.done():
            end.result()

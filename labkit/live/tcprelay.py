"""A slow network for connections, on any system: what a profile says and a byte stream survives.

    relay = await TcpRelay.start(("127.0.0.1", 0), ("127.0.0.1", 5000), profile, seed=7)
    async with relay:
        ...                  # connect to relay.address what was meant for port 5000

Delay, jitter without overtaking, and rate are done to the bytes of each connection. Nothing is
lost, doubled, reordered or damaged: two kernels have already acknowledged these bytes, so a loss
here would be a hole in the stream and not what TCP makes of loss. To see retransmissions, lose
packets below TCP, in a lab network or with `tc`.

A server that does not read is felt by the client: a bounded number of pieces waits in each
direction, and then the relay stops reading too.

This module knows nothing of what it relays.
"""

import asyncio
import socket
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from labkit.core.impairment import Impairment
from labkit.live.clock import now
from labkit.live.relaying import MAX_CLIENTS, Address, both_directions, resolve
from labkit.live.sockopts import cannot_bind, no_delay
from labkit.words.linkspec import LinkSpec, Step
from labkit.words.profile import Profile
from labkit.words.units import to_seconds

SEGMENT: Final = 1448
"""Bytes that are moved at a time."""
TCP_HEADERS: Final = 52
"""What the rate counts beside them: IPv4, TCP and its timestamps."""
PIECES: Final = 1000
"""Pieces that wait in each direction before the relay stops reading."""


def lossless(spec: LinkSpec) -> LinkSpec:
    """The same link without what would break a byte stream."""
    steps = tuple(Step(step.at, lossless(step.spec)) for step in spec.steps)
    return replace(
        spec,
        loss=0.0,
        gemodel=None,
        duplicate=0.0,
        reorder=None,
        corrupt=0.0,
        limit=1 << 30,  # the relay's own queue is bounded, and makes the sender wait instead
        steps=steps,
    )


class TcpRelay:
    """Relays connections to one server. Made by `start`."""

    def __init__(self, to: Address, profile: Profile, seed: int, max_clients: int) -> None:
        self.to = to
        self.profile = replace(profile, up=lossless(profile.up), down=lossless(profile.down))
        self.seed = seed
        self.refused = 0
        """Connections closed at once: no place for them, or no server behind."""
        self._max_clients = max_clients
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @classmethod
    async def start(
        cls,
        listen: Address,
        to: Address,
        profile: Profile,
        seed: int = 0,
        *,
        max_clients: int = MAX_CLIENTS,
    ) -> Self:
        """Listen at `listen` (port 0: any free one) and relay to `to`. `BadInput` when busy.

        `profile.up` is what happens on the way to the server.
        """
        to = await resolve(to, socket.SOCK_STREAM)
        relay = cls(to, profile, seed, max_clients)
        try:
            relay._server = await asyncio.start_server(relay._accept, *listen, limit=SEGMENT)
        except OSError as error:
            raise cannot_bind(
                f"cannot listen on TCP {listen[0]}:{listen[1]}", error, "port 0"
            ) from error
        return relay

    @property
    def address(self) -> Address:
        """Where clients connect to."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self._max_clients:
            self.refused += 1
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._relay(reader, writer)
        except asyncio.CancelledError:
            pass  # `close` has cut it; Python 3.11 logs an error when a task of a server ends so
        finally:
            self._connections.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: both directions, until both have ended or one is cut."""
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.to, limit=SEGMENT)
        except OSError:
            self.refused += 1
            return
        for end in (writer, far_writer):
            no_delay(end.get_extra_info("socket"))
        forth, back = both_directions(self.profile, self.seed, TCP_HEADERS)
        try:
            async with asyncio.TaskGroup() as tasks:
                _pump(tasks, reader, far_writer, forth)
                _pump(tasks, far_reader, writer, back)
        except* OSError:  # one side was reset: cut both
            writer.transport.abort()
            far_writer.transport.abort()
        finally:
            far_writer.close()


def _pump(
    tasks: asyncio.TaskGroup,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    link: Impairment,
) -> None:
    """Move the bytes of one direction."""
    under_way: _Pieces = asyncio.Queue(PIECES)
    tasks.create_task(_collect(reader, link, under_way))
    tasks.create_task(_deliver(under_way, writer))


_Pieces = asyncio.Queue[tuple[int, bytes]]
"""Bytes with the instant at which they leave the link; without bytes: the end."""


async def _collect(reader: asyncio.StreamReader, link: Impairment, under_way: _Pieces) -> None:
    """Read, and decide for each piece when it leaves."""
    latest = 0
    data = b"-"
    while data:
        data = await reader.read(SEGMENT)
        for leaves, _ in link.push(data, now()):
            latest = max(latest, leaves)  # nothing overtakes in a stream
        await under_way.put((latest, data))


async def _deliver(under_way: _Pieces, writer: asyncio.StreamWriter) -> None:
    """Write each piece when its time has come, and then the end."""
    while True:
        leaves, data = await under_way.get()
        wait = leaves - now()
        if wait > 0:
            await asyncio.sleep(to_seconds(wait))
        if not data:
            writer.write_eof()
            return
        writer.write(data)
        await writer.drain()

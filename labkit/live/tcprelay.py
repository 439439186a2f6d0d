"""A slow network for connections, on any system: what a profile says and a byte stream survives.

    relay = await TcpRelay.start(("127.0.0.1", 0), ("127.0.0.1", 5000), profile, seed=7)
    async with relay:
        ...                  # connect to relay.address what was meant for port 5000

Delay, jitter without overtaking, and rate are done to the bytes of each connection. Nothing is
lost, doubled, reordered or damaged: two kernels have already acknowledged these bytes, so a loss
here would be a hole in the stream and not what TCP makes of loss. To see retransmissions, lose
packets below TCP, in a lab network or with `tc`.

A server that does not read is felt by the client: no more than `limit` pieces wait in each
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
from labkit.live.relay import MAX_CLIENTS, Address, impairment, resolve
from labkit.live.sockopts import no_delay
from labkit.words.errors import BadInput
from labkit.words.linkspec import LinkSpec, Step
from labkit.words.profile import Profile
from labkit.words.units import to_seconds

SEGMENT: Final = 1448
"""Bytes that are moved at a time."""
TCP_HEADERS: Final = 52


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
        self.profile = profile
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
        """Listen at `listen` (port 0: any free one) and relay to `to`. `BadInput` when busy."""
        relay = cls(await resolve(to, socket.SOCK_STREAM), profile, seed, max_clients)
        try:
            relay._server = await asyncio.start_server(relay._accept, *listen, limit=SEGMENT)
        except OSError as error:
            raise BadInput(
                f"cannot listen on TCP {listen[0]}:{listen[1]}: {error.strerror or error}",
                "another port, or port 0 for any free one",
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
        try:
            async with asyncio.TaskGroup() as tasks:
                self._pump(tasks, reader, far_writer, "up", self.profile.up)
                self._pump(tasks, far_reader, writer, "down", self.profile.down)
        except* OSError:  # one side was reset: cut the other one too
            writer.transport.abort()
        finally:
            far_writer.transport.abort()

    def _pump(
        self,
        tasks: asyncio.TaskGroup,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: str,
        spec: LinkSpec,
    ) -> None:
        """Move the bytes of one direction."""
        link = impairment(lossless(spec), direction, self.seed, headers=TCP_HEADERS)
        under_way: _Pieces = asyncio.Queue(spec.limit)
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

"""A metrics endpoint: a page of numbers that Prometheus and `labkit top` read.

    async with exporter(9464, lambda now: receiver_figures(receiver, now)) as metrics:
        print(metrics.url)

It answers on the event loop of the call, so it reads figures without locks, and they are all of
one instant. Writing 200 clients out takes longer than a packet may wait, so the page is written
family by family, and the loop turns in between.

An open port must cost nothing, whoever comes to it. A connection is one request: at most
`MAX_REQUEST` bytes, `PATIENCE` from the first to the last byte of the answer, and then it is
closed. At most `MAX_CONNECTIONS` are still asking, and as many are being answered; another one
takes the place of the oldest of its kind. So who connects and says nothing keeps nobody else from
reading, and who has asked is answered however many do. It listens on this machine only, unless told
otherwise: numbers are no secret, but they say who listens.

Of HTTP (RFC 9110) it knows GET and HEAD of `/metrics`. It knows no figure by name.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import chain
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

import labkit
from labkit.live.clock import now
from labkit.live.metrics import Figures, FiguresCollector
from labkit.live.sockopts import cannot_bind

MAX_CONNECTIONS: Final = 8
MAX_REQUEST: Final = 8192
"""Bytes: what nginx and Apache allow for a request line and its headers."""
PATIENCE: Final = 5.0
"""Seconds for one request and its answer."""
END_OF_HEAD: Final = b"\r\n\r\n"
OPENMETRICS: Final = "application/openmetrics-text"
EOF: Final = b"# EOF\n"
"""How OpenMetrics ends."""


class Exporter:
    """Answers requests for metrics. Made by `exporter`."""

    def __init__(self, figures: Callable[[int], Figures]) -> None:
        self.scrapes = 0
        """Pages given out."""
        self.dropped = 0
        """Connections that were cut off: too slow, too long, or too many."""
        self._collectors: tuple[Collector, ...] = (
            FiguresCollector(lambda: figures(now())),
            ProcessCollector(registry=None),
        )
        self._asking: dict[asyncio.StreamWriter, None] = {}  # the oldest first
        self._answering: dict[asyncio.StreamWriter, None] = {}
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    @property
    def url(self) -> str:
        """What a browser or Prometheus is told."""
        host, port = self.address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    async def listen(self, host: str, port: int) -> None:
        """Begin. `BadInput` when the port is taken."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_REQUEST)
        except OSError as error:
            raise cannot_bind(
                f"metrics cannot be served on {host}:{port}", error, "--metrics 0"
            ) from error

    async def close(self) -> None:
        """End, with every connection."""
        assert self._server is not None
        self._server.close()
        for writer in [*self._asking, *self._answering]:
            writer.transport.abort()
        await self._server.wait_closed()

    # One connection ---------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        closed = False
        _seat(writer, self._asking)
        try:
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(END_OF_HEAD)
                self._asking.pop(writer, None)
                _seat(writer, self._answering)
                await self._answer(head.decode("latin-1"), writer)
                writer.close()
                await writer.wait_closed()
                closed = True  # what has closed and is aborted, asyncio would end twice
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            self.dropped += 1
        finally:
            self._asking.pop(writer, None)
            self._answering.pop(writer, None)
            if not closed:
                writer.transport.abort()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        request, *fields = head.splitlines()
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in ("GET", "HEAD"):
            status, kind, body = "405 Method Not Allowed", "text/plain", b"GET /metrics\n"
        elif path not in ("/metrics", "/"):
            status, kind, body = "404 Not Found", "text/plain", b"GET /metrics\n"
        else:
            status, kind, body = await self._page(_accepted(fields))
        allow = "Allow: GET, HEAD\r\n" if status.startswith("405") else ""
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"{allow}Connection: close\r\n\r\n".encode("latin-1")
        )
        if method != "HEAD":
            writer.write(body)
        await writer.drain()

    async def _page(self, accept: str) -> tuple[str, str, bytes]:
        """The metrics of this moment, in the format that the reader asks for."""
        try:
            kind, page = await self._write(accept)
        except Exception as error:  # noqa: BLE001 - whoever gave the figures is told, and the call goes on
            problem = {"message": "figures for metrics could not be had", "exception": error}
            asyncio.get_running_loop().call_exception_handler(problem)
            return "500 Internal Server Error", "text/plain", b"no figures\n"
        self.scrapes += 1
        return "200 OK", kind, page

    async def _write(self, accept: str) -> tuple[str, bytes]:
        wanted = OPENMETRICS in accept
        encode = openmetrics.generate_latest if wanted else generate_latest
        # Now: what follows is written from these values, however often the loop turns.
        figures, process = (collector.collect() for collector in self._collectors)
        pieces = []
        for family in chain([_build()], figures, process):
            pieces.append(encode(_Alone(family)).removesuffix(EOF))
            await asyncio.sleep(0)
        if wanted:
            return f"{OPENMETRICS}; version=1.0.0; charset=utf-8", b"".join([*pieces, EOF])
        return CONTENT_TYPE_PLAIN_0_0_4, b"".join(pieces)


def _seat(writer: asyncio.StreamWriter, seats: dict[asyncio.StreamWriter, None]) -> None:
    """Give it a seat, and when there is none that of the oldest."""
    seats[writer] = None
    if len(seats) > MAX_CONNECTIONS:
        oldest = next(iter(seats))
        del seats[oldest]
        oldest.transport.abort()


class _Alone(Collector):
    """One family, where `prometheus_client` wants a collection."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> Iterable[Family]:
        return (self._family,)


def _build() -> Family:
    family = GaugeMetricFamily("labkit_build_info", "Which labkit this is.", labels=["version"])
    family.add_metric([labkit.__version__], 1)
    return family


def _accepted(fields: list[str]) -> str:
    """The value of the Accept field, "" without one."""
    named = (field.partition(":") for field in fields)
    return next((value.strip() for name, _, value in named if name.lower() == "accept"), "")


@asynccontextmanager
async def exporter(
    port: int, figures: Callable[[int], Figures], *, host: str = "127.0.0.1"
) -> AsyncIterator[Exporter]:
    """Serve metrics on TCP `port` (0: any free one) as long as the block runs.

    `figures(now)` is called on the event loop, once for every page.
    """
    serving = Exporter(figures)
    await serving.listen(host, port)
    try:
        yield serving
    finally:
        await serving.close()

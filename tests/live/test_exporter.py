"""The metrics endpoint on a real port: who reads it, and who tries to hurt it."""

import asyncio
import urllib.request
from dataclasses import replace

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text

from labkit.core.figures import ClientFigures, ReceiverFigures, ServerFigures
from labkit.live import exporter as module
from labkit.live.exporter import MAX_CONNECTIONS, MAX_REQUEST, exporter
from labkit.words.errors import BadInput

pytestmark = pytest.mark.live
FIGURES = ReceiverFigures(received=50, expected=51, lost=1)


def get(url, accept="text/plain"):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept})) as page:
        return page.headers["Content-Type"], page.read().decode()


async def ask(metrics, request):
    """Send these bytes; everything that comes back until the end."""
    reader, writer = await asyncio.open_connection(*metrics.address)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def serving(test, figures=lambda now: FIGURES):
    async def run():
        async with asyncio.timeout(20), exporter(0, figures) as metrics:
            await test(metrics)

    asyncio.run(run())


def test_prometheus_reads_it_in_both_formats():
    """Asked as Prometheus asks, through Python's own HTTP client."""

    async def test(metrics):
        wish = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
        kind, page = await asyncio.to_thread(get, metrics.url, wish)
        assert kind.startswith("application/openmetrics-text; version=1.0.0")
        strict = {f.name: f for f in parse_open(page)}
        kind, page = await asyncio.to_thread(get, metrics.url)
        assert kind.startswith("text/plain; version=0.0.4")
        loose = {f.name: f for f in parse_text(page)}
        assert strict.keys() == loose.keys()
        assert strict["labkit_receiver_packets"].samples[0].value == 50
        assert strict["labkit_build_info"].samples[0].labels["version"]
        assert "process_cpu_seconds" in strict
        assert metrics.scrapes == 2

    serving(test)


def test_numbers_are_those_of_the_moment_of_asking():
    count = iter(range(1, 100))

    async def test(metrics):
        for n in (1, 2):
            page = await ask(metrics, b"GET /metrics HTTP/1.0\r\n\r\n")
            assert f"labkit_receiver_packets_total {n}.0".encode() in page

    serving(test, lambda now: replace(FIGURES, received=next(count)))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"200"),
        (b"GET /metrics?x=1 HTTP/1.1\r\nAccept: text/plain;version=x\r\n\r\n", b"200"),
        (b"GET /metrics HTTP/1.1\r\nAccept: \xff\xfe;;;,,\r\n\r\n", b"200"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b"405"),
        (b"GET /token HTTP/1.1\r\n\r\n", b"404"),
        (b"\r\n\r\n", b"405"),
        (b"\x16\x03\x01\x02\r\n\r\n", b"405"),
    ],
)
def test_whatever_is_asked_there_is_an_answer(request_, status):
    async def test(metrics):
        assert (await ask(metrics, request_)).startswith(b"HTTP/1.1 " + status)

    serving(test)


def test_head_has_the_length_and_no_page():
    async def test(metrics):
        answer = await ask(metrics, b"HEAD /metrics HTTP/1.1\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"Content-Length: " in head
        assert not body

    serving(test)


def test_a_megabyte_where_a_request_belongs_is_cut_off():
    async def test(metrics):
        assert await ask(metrics, b"GET /" + b"a" * 1_000_000) == b""
        assert await ask(metrics, b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_REQUEST) == b""
        assert metrics.dropped == 2
        assert b"200 OK" in await ask(metrics, b"GET / HTTP/1.1\r\n\r\n")

    serving(test)


def test_who_says_nothing_keeps_nobody_from_reading():
    """Fifty connections that send half a line each; a reader comes and is served at once."""

    async def test(metrics):
        slow = []
        for _ in range(50):
            reader, writer = await asyncio.open_connection(*metrics.address)
            writer.write(b"GET /met")
            slow.append((reader, writer))
        assert b"200 OK" in await ask(metrics, b"GET / HTTP/1.1\r\n\r\n")
        assert len(metrics._asking) < MAX_CONNECTIONS
        for reader, _ in slow[: 50 - MAX_CONNECTIONS]:
            assert await read_rest(reader) == b""
        for _, writer in slow:
            writer.close()

    serving(test)


async def read_rest(reader):
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def test_half_a_request_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.05)

    async def test(metrics):
        reader, writer = await asyncio.open_connection(*metrics.address)
        writer.write(b"GET /metrics HT")
        assert await read_rest(reader) == b""
        assert metrics.dropped == 1
        assert not metrics._asking
        writer.close()

    serving(test)


def test_who_does_not_read_the_answer_is_cut_off(monkeypatch):
    """More than the socket's buffers hold, so the answer cannot be got rid of."""
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    big = GaugeMetricFamily("labkit_big", "x" * 8_000_000)
    monkeypatch.setattr(module, "_build", lambda: big)

    async def test(metrics):
        _, writer = await asyncio.open_connection(*metrics.address, limit=1024)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        while not metrics.dropped:
            await asyncio.sleep(0.01)
        assert not metrics._answering
        writer.transport.abort()

    serving(test)


def test_who_has_asked_is_answered_however_many_say_nothing(monkeypatch):
    """While its page is being written, more come than there is room for."""
    asked = asyncio.Event()

    async def slow(self, accept):
        asked.set()
        await asyncio.sleep(0.2)
        return "text/plain", b"figures"

    monkeypatch.setattr(module.Exporter, "_write", slow)

    async def test(metrics):
        reader, writer = await asyncio.open_connection(*metrics.address)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        await asked.wait()
        silent = [await asyncio.open_connection(*metrics.address) for _ in range(20)]
        answer = await reader.read()
        assert answer.endswith(b"figures")
        for _, each in (*silent, (reader, writer)):
            each.transport.abort()

    serving(test)


def test_the_loop_turns_while_a_page_for_many_is_written():
    """500 listeners: between two families others get their turn."""
    clients = tuple(ClientFigures(f"10.0.0.1:{n}", queued=n) for n in range(500))
    figures = ServerFigures(listening=500, clients=clients)
    turns = 0

    async def count():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def test(metrics):
        counting = asyncio.create_task(count())
        page = await ask(metrics, b"GET /metrics HTTP/1.0\r\n\r\n")
        counting.cancel()
        assert page.count(b"\nlabkit_client_queue_packets{") == 500
        assert turns > 15

    serving(test, lambda now: figures)


def test_figures_that_fail_are_reported_and_the_endpoint_lives(caplog):
    def broken(now):
        raise ZeroDivisionError

    async def test(metrics):
        for _ in range(2):
            assert b" 500 " in await ask(metrics, b"GET / HTTP/1.1\r\n\r\n")

    serving(test, broken)
    assert "figures for metrics could not be had" in caplog.text


def test_a_port_that_is_taken_is_said_in_words():
    async def test(metrics):
        with pytest.raises(BadInput, match="--metrics 0"):
            async with exporter(metrics.address[1], lambda now: FIGURES):
                pass

    serving(test)

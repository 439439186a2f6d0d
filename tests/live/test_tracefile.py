"""Lines of JSON that grow with a call."""

import asyncio
import json
import stat

import pytest

from labkit.core.figures import Basis, ClientFigures, ReceiverFigures, ServerFigures
from labkit.core.session import Closed, Joined, Refused, Report
from labkit.endpoints.receiver import Finished
from labkit.lab.tracelog import load_trace
from labkit.live import tracefile
from labkit.live.tracefile import MAX_EVENTS, TraceFile, tracing
from labkit.words.errors import AuthenticationError, BadInput, Malformed
from labkit.words.units import ms, seconds

FIGURES = ReceiverFigures(received=50, expected=51, lost=1, mouth_to_ear_by=Basis.SENDER_REPORT)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_figures_and_events_with_both_times(tmp_path):
    path = tmp_path / "call.jsonl"
    with TraceFile(path, wallclock=lambda: 1_700_000_000.5) as trace:
        trace.take(Joined("v=0"), seconds(100))
        trace.figures(FIGURES, seconds(101))
        trace.take(Report(7, True, 0.125, 3, 9, ms(2), None), seconds(101) + ms(1))
        trace.take(Refused(Malformed("version", 0, "is 3", "RFC 3550")), seconds(102))
        trace.take(Closed(True, "peer", "BYE"), seconds(103))
        joined, figures, report, refused, closed = lines(path)  # each is there at once
    assert joined == {"t": 0.0, "wall": 1_700_000_000.5, "what": "joined"}
    assert (figures["t"], figures["what"], figures["received"]) == (1.0, "receiver", 50)
    assert figures["loss"] == pytest.approx(1 / 51)
    assert figures["mouth_to_ear_by"] == "sender report"
    assert (report["t"], report["fraction_lost"]) == (1.001, 0.125)
    assert refused["why"] == "version at byte 0: is 3 (RFC 3550)"
    assert (closed["clean"], closed["by"], closed["why"]) == (True, "peer", "BYE")
    assert lines(path)[-1]["what"] == "end"


def test_no_secret_gets_in(tmp_path):
    """A description may hold the keys of SRTP (RFC 4568); what is no news is not written."""
    path = tmp_path / "call.jsonl"
    with TraceFile(path) as trace:
        trace.take(Joined("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET"), 0)
        trace.take(Finished(), 0)
        trace.take(Refused(AuthenticationError("the token has expired")), 0)
    assert "SECRET" not in path.read_text()
    assert [line["what"] for line in lines(path)] == ["joined", "refused", "end"]


def test_a_flood_of_refusals_fills_no_disk(tmp_path):
    path = tmp_path / "call.jsonl"
    with TraceFile(path) as trace:
        for n in range(1000):
            trace.take(Refused(Malformed("version", n, "x" * 1000)), seconds(5) + n)
        trace.figures(FIGURES, seconds(6))
        trace.take(Closed(True, "us", "done"), seconds(6))
    seen = lines(path)
    assert sum(line["what"] == "refused" for line in seen) == MAX_EVENTS
    assert seen[MAX_EVENTS]["events_omitted"] == 1000 - MAX_EVENTS
    assert max(map(len, path.read_text().splitlines())) < 1200
    assert seen[-2]["what"] == "closed"


def test_the_file_is_put_aside_and_two_is_all_there_ever_is(tmp_path):
    path = tmp_path / "call.jsonl"
    with TraceFile(path, limit=20_000) as trace:
        for n in range(500):
            trace.figures(FIGURES, seconds(n))
    files = sorted(tmp_path.iterdir())
    assert files == [path, tmp_path / "call.jsonl.1"]
    assert all(file.stat().st_size <= 20_000 for file in files)
    log = load_trace(path)
    assert log.t[-1] == 499
    assert (log.t[1:] - log.t[:-1] == 1).all()  # nothing is missing at the joint

    with TraceFile(path):
        assert list(tmp_path.iterdir()) == [path]  # another call, another trace


def test_a_full_disk_ends_the_trace_and_not_the_call():
    full = pytest.importorskip("pathlib").Path("/dev/full")
    if not (full.exists() and stat.S_ISCHR(full.stat().st_mode)):
        pytest.fail("there is no /dev/full here")
    with TraceFile(full) as trace:
        for n in range(100):
            trace.figures(FIGURES, n)
    assert "space" in str(trace.failure)


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path):
    with pytest.raises(BadInput, match="--trace"), TraceFile(tmp_path):
        pass


@pytest.mark.live
def test_figures_come_by_themselves(tmp_path, monkeypatch):
    path = tmp_path / "server.jsonl"
    count = iter(range(10_000))
    enough = asyncio.Event()

    def figures(now):
        n = next(count)
        if n == 5:
            enough.set()
        return ServerFigures(listening=n, clients=(ClientFigures("a", queued=n),))

    async def run():
        async with tracing(path, figures, every=0.005) as trace:
            trace.take(Joined())
            await asyncio.wait_for(enough.wait(), 10)

    asyncio.run(run())
    log = load_trace(path)
    assert list(log["listening"][:6]) == list(range(6))
    assert list(log.clients("queued")["a"][:6]) == list(range(6))
    assert log.events[0]["what"] == "joined"
    assert log.t[5] >= 0.02


def test_the_module_has_a_bound_for_everything():
    assert tracefile.LIMIT * 2 < 100_000_000

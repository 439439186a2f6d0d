"""The dashboard, by its traits: what reaches the page is the value of one HTML widget."""

import asyncio
import re
from xml.etree import ElementTree as ET

import pytest

from labkit.codec import Blank
from labkit.core.figures import Basis, ClientFigures, ReceiverFigures, ServerFigures
from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.dashboard import MOST, Dashboard, HtmlView
from labkit.lab.dashboardview import MOST_CLIENTS, SPAN, shares
from labkit.lab.sources import speech
from labkit.words.errors import BadInput, LocalProtocolError
from labkit.words.units import ms, seconds


def in_html(*arguments, **settings):
    """A dashboard whose page we can read."""
    return Dashboard(*arguments, view=HtmlView(), **settings)


def second(n):
    return ReceiverFigures(
        received=45 * n, expected=50 * n, lost=5 * n, depth=ms(60), target=ms(55), bitrate=32_000,
        mouth_to_ear=ms(135), mouth_to_ear_by=Basis.SENDER_REPORT,
    )  # fmt: skip


def parsed(dashboard):
    """The page, which is well-formed, as a tree."""
    return ET.fromstring(f"<page>{dashboard.view.value}</page>")


def tiles(dashboard):
    """Label to value."""
    found = parsed(dashboard).iterfind(".//div[@class='tile']")
    return {tile.text: tile.find("b").text for tile in found}


def nothing(now):
    return None


def test_a_receiver_in_tiles():
    dashboard = in_html(nothing)
    for n in range(1, 6):
        dashboard.update(second(n), seconds(n))
    seen = tiles(dashboard)
    assert seen["loss"] == "10.0%"
    assert (seen["buffer"], seen["mouth to ear"]) == ("60 ms", "135 ms")
    assert seen["bitrate"] == "32.0 kbit/s"
    assert "round trip" not in seen  # and is not 0
    paths = [p.get("d") for p in parsed(dashboard).iterfind(".//path[@fill='none']")]
    assert any(path.count("L") == 4 for path in paths)  # five seconds, one line


def test_shares_are_of_the_last_two_seconds():
    history = [(seconds(n), second(n)) for n in range(1, 4)]
    history += [(seconds(4), ReceiverFigures(expected=200, lost=65)), (seconds(5), second(5))]
    assert shares(history, "lost") == [None, 0.1, 0.1, 0.55, 0.1]


def test_a_server_with_a_row_for_each_listener():
    clients = tuple(
        ClientFigures(f"192.0.2.{n}:5000", queued=n, queue_limit=50, lag=ms(n), dropped=n)
        for n in range(50)
    )
    dashboard = in_html(nothing)
    dashboard.update(ServerFigures(50, 64, 32_000, 3, {"token": 3}, clients), 0)
    assert tiles(dashboard)["listening"] == "50 of 64"
    rows = parsed(dashboard).findall(".//tr")
    assert len(rows) == 1 + MOST_CLIENTS + 1
    cells = [cell.text for cell in rows[1]]
    assert cells[0] == "192.0.2.49:5000"  # the longest queue first
    assert cells[2:4] == ["49 ms", "49"]
    assert rows[-1][0].text == "and 10 more, with less trouble"


def test_names_from_the_network_are_text():
    evil = ServerFigures(1, refused={"<script>": 1}, clients=(ClientFigures("<img onerror=x>"),))
    dashboard = in_html(nothing)
    dashboard.update(evil, 0)
    assert "<script" not in dashboard.view.value
    assert "<img" not in dashboard.view.value
    parsed(dashboard)


def test_memory_and_message_are_bounded():
    """An hour at ten a second: half a minute of it is kept, in less than 40 kB."""
    dashboard = in_html(nothing)
    for n in range(36_000):
        dashboard._note(second(n // 10), ms(100) * n)
    dashboard._draw()
    kept = dashboard._history
    assert len(kept) <= MOST
    assert kept[-1][0] - kept[0][0] <= SPAN
    assert len(dashboard.view.value) < 40_000


def test_it_starts_and_stops_with_its_block():
    calls = []

    def figures(now):
        calls.append(now)
        return second(len(calls))

    async def use():
        changes = []
        enough = asyncio.Event()
        dashboard = in_html(figures, every=0.002)

        def changed(change):
            changes.append(change.new)
            if len(changes) == 5:
                enough.set()

        dashboard.view.observe(changed, "value")
        assert not dashboard.running
        with dashboard:
            assert dashboard.running
            await asyncio.wait_for(enough.wait(), 10)
        assert not dashboard.running
        asked = len(calls)
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(calls) == asked
        assert {task for task in asyncio.all_tasks() if not task.done()} == {asyncio.current_task()}
        dashboard.close()

    asyncio.run(use())


def test_figures_that_fail_are_said_and_end_the_updates():
    def broken(now):
        raise ZeroDivisionError("<no figures>")

    async def use():
        with in_html(broken, every=0.001) as dashboard:
            while dashboard.running:
                await asyncio.sleep(0)
        assert isinstance(dashboard.failure, ZeroDivisionError)
        assert "&lt;no figures&gt;" in dashboard.view.value

    asyncio.run(asyncio.wait_for(use(), 10))


def test_without_a_loop_it_says_what_it_needs():
    with pytest.raises(BadInput, match="notebook cell"):
        in_html(nothing).start()


def test_a_call_in_virtual_time_at_a_hundred_times_its_speed():
    """What is shown at last is what the call came to."""
    call = Call(speech(), codec=Blank(), link="voip-10", seed=3)
    dashboard = in_html(call, every=0.02)
    result = asyncio.run(dashboard.replay(100))
    plain = call.simulate()
    assert result.received_trace.entries == plain.received_trace.entries  # looking changes nothing
    assert call.watch is None
    assert 3 < dashboard.updates < 40
    assert dashboard.figures.lost == pytest.approx(plain.timeline.lost * len(plain.timeline), abs=3)
    assert tiles(dashboard)["mouth to ear"] != "-"


@pytest.mark.live
def test_a_live_call_is_watched_while_it_runs():
    clip = Clip(speech().samples[: 2 * 48_000])
    dashboard = in_html(Call(clip, codec=Blank(), link="clear"), every=0.05)
    result = asyncio.run(dashboard.run())
    assert not dashboard.running
    assert dashboard.updates > 10
    assert dashboard.figures.received >= len(result.timeline) - 1
    assert re.fullmatch(r"\d+(\.\d)? ms", tiles(dashboard)["buffer"])


def test_who_has_no_call_cannot_run_one():
    with pytest.raises(LocalProtocolError, match="no call"):
        asyncio.run(in_html(nothing).run())
    with pytest.raises(BadInput, match="speed"):
        asyncio.run(in_html(Call(codec=Blank())).replay(0))

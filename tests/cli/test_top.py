"""`labkit top`: the page, and the command on a real endpoint and a real terminal."""

import asyncio
import contextlib
import errno
import os
import pty
import re
import subprocess
import sys
import threading

import pytest

from labkit.cli import labkit
from labkit.cli.top import target
from labkit.cli.topview import ASCII, BLOCKS, bar, page, sparkline
from labkit.core.figures import Basis, ClientFigures, ReceiverFigures, ServerFigures
from labkit.live.exporter import exporter
from labkit.words.units import ms


def second(n, **more):
    """A receiver that loses one packet of fifty each second, and in the last one ten."""
    lost = n + 9 * (n == 5)
    return ReceiverFigures(received=50 * n - lost, expected=50 * n, lost=lost, **more)


# The page -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "drawn"), [(0, "...."), (0.001, "#..."), (0.5, "##.."), (1, "####"), (7, "####")]
)
def test_a_bar_shows_what_is_not_nothing(share, drawn):
    assert bar(share, 4, ASCII) == drawn


def test_a_sparkline_has_a_gap_where_nothing_was_known():
    assert sparkline([0, None, 2, 4], 4, BLOCKS) == "▁ ▅█"
    assert sparkline([9, 9, 1, 2], 2, BLOCKS) == "▅█"
    assert sparkline([], 4, BLOCKS) == ""
    assert sparkline([None], 4, BLOCKS) == " "


def test_loss_is_that_of_the_last_ten_seconds():
    """Of 200 packets since the first page 13 were lost; the graph is by the second."""
    lines = page([second(n) for n in range(1, 6)], 120, 40, ASCII)
    assert re.search(r"loss +6\.5%  \.\.\.# +14 of 250 in all", lines[0])


def test_what_is_not_known_is_a_dash():
    lines = page([ReceiverFigures()], 120, 40, BLOCKS)
    assert [line.split()[-1] for line in lines if "trip" in line or "mouth" in line] == ["-", "-"]


@pytest.mark.parametrize(
    ("basis", "said"), [(Basis.SENDER_REPORT, "measured"), (Basis.HALF_ROUND_TRIP, "estimated")]
)
def test_how_the_delay_is_known_is_said(basis, said):
    lines = page([second(1, mouth_to_ear=ms(135), mouth_to_ear_by=basis)], 120, 40, BLOCKS)
    (line,) = [line for line in lines if "mouth to ear" in line]
    assert "135 ms" in line
    assert said in line


def many(count):
    return tuple(
        ClientFigures(f"192.0.2.{n}:5000", queued=n % 51, queue_limit=50, lag=ms(20) * (n % 51))
        for n in range(count)
    )


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 60), (20, 3)])
@pytest.mark.parametrize("count", [0, 1, 3, 200])
def test_a_page_fits_the_terminal(size, count):
    width, height = size
    lines = page([ServerFigures(listening=count, clients=many(count))], width, height, BLOCKS)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_who_is_worst_off_comes_first_and_the_rest_is_counted():
    lines = page([ServerFigures(listening=40, clients=many(40))], 120, 20, BLOCKS)
    assert "192.0.2.39:5000" in lines[6]
    assert "39/50" in lines[6]
    assert lines[-1].strip() == f"and {40 - (len(lines) - 7)} more, with less trouble"


def test_a_name_cannot_command_the_terminal():
    evil = ServerFigures(
        refused={"\x1b]0;owned\x07": 1}, clients=(ClientFigures("\x1b[2J\r\nname" + "x" * 99),)
    )
    text = "\n".join(page([evil], 200, 40, BLOCKS))
    assert text.replace("\n", "").isprintable()


# The command ----------------------------------------------------------------------------------


@contextlib.contextmanager
def endpoint(figures):
    """Metrics on a free port, served from a thread of their own."""
    ready, port = threading.Event(), []

    async def serve():
        async with exporter(0, figures) as metrics:
            port.append(metrics.address[1])
            ended = asyncio.Event()
            port.append((asyncio.get_running_loop(), ended))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    loop, ended = port[1]
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)


@pytest.mark.live
@pytest.mark.parametrize("form", ["{}", "127.0.0.1:{}", "http://127.0.0.1:{}/metrics", "[::1]:1"])
def test_once_writes_one_page(capsys, form):
    with endpoint(lambda now: second(3)) as port:
        code = labkit.main(["top", form.format(port), "--once"])
    out, err = capsys.readouterr()
    if form.startswith("[::1]"):
        assert code == 2
        assert "nobody serves metrics on ::1:1" in err
        return
    assert code == 0
    assert out.startswith(f"labkit top   receiver at 127.0.0.1:{port}\n")
    assert "3 of 150 in all" in out
    assert "\x1b" not in out


@pytest.mark.live
def test_nobody_there_says_what_to_start(capsys):
    assert labkit.main(["top", "127.0.0.1:9", "--once"]) == 2
    assert "streamer serve … --metrics 9" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "x", "localhost", "70000", "ftp://h:1", "h:x", "a\x1b:1"])
def test_what_is_no_address_is_said_in_words(text, capsys):
    with pytest.raises(SystemExit):
        labkit.main(["top", text])
    assert "is not where metrics are" in capsys.readouterr().err


def test_targets():
    assert target("9464") == ("127.0.0.1", 9464, "/metrics")
    assert target("http://[::1]:1/x") == ("::1", 1, "/x")


@pytest.mark.live
@pytest.mark.parametrize(("key", "name"), [(b"q", "q"), (b"\x03", "Ctrl-C")])
def test_on_a_terminal_it_refreshes_until_a_key_and_leaves_no_trace(key, name):
    """A pseudo-terminal; pages come until they have come three times."""
    seconds = iter(range(1, 1000))
    with endpoint(lambda now: second(next(seconds))) as port:
        master, slave = pty.openpty()
        argv = ["top", str(port), "--every", "0.05"]
        code = f"import sys; from labkit.cli.labkit import main; sys.exit(main({argv!r}))"
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=_own_terminal,
        )  # fmt: skip
        os.close(slave)
        seen = _read_until(master, lambda text: text.count("\x1b[H") >= 3)
        os.write(master, key)
        seen += _read_until(master, lambda text: False)
        assert process.wait(10) == 0, seen
        os.close(master)
    assert seen.startswith("\x1b[?1049h\x1b[?25l")
    assert seen.endswith("\x1b[?25h\x1b[?1049l")
    assert "\x1b[2J" not in seen  # nothing is cleared before it is drawn again


def _own_terminal():
    """So that Ctrl-C typed there is SIGINT here."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read_until(master, enough):
    text = ""
    while not enough(text):
        try:
            data = os.read(master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # that is: the other end is closed
                raise
            return text
        if not data:
            return text
        text += data.decode(errors="replace")
    return text

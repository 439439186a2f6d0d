"""`labkit top`: the figures of a running streamer or receiver, once a second, in the terminal.

It reads the metrics endpoint that `--metrics` opens, so it needs nothing of the process it looks
at, and sees what Prometheus sees. The page is drawn over the one before, line by line, so nothing
flickers; where the output is no terminal it is written once.
"""

import argparse
import contextlib
import http.client
import os
import select
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from labkit.cli import common
from labkit.cli.topview import ASCII, BLOCKS, Glyphs, page, printable
from labkit.words.errors import BadInput

EXAMPLES = """\
  labkit top 9464                                 who serves metrics on this port of this machine
  labkit top 192.0.2.7:9464                       on another one
  labkit top http://192.0.2.7:9464/metrics --once | less
"""
PORT: Final = 9464
PATIENCE: Final = 2.0
"""Seconds that an endpoint may take."""
LARGEST: Final = 8_000_000
"""Bytes of a page: some two thousand listeners."""
HISTORY: Final = 60

CLEAR_REST_OF_LINE: Final = "\x1b[K"
CLEAR_BELOW: Final = "\x1b[J"
HOME: Final = "\x1b[H"
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"
# Another screen without a cursor; afterwards the terminal is as it was before.
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def add(commands: Any) -> None:
    """Hang `top` into the commands of `labkit`."""
    sub = common.subcommand(
        commands, "top", "what a running streamer or receiver is doing", EXAMPLES, top
    )
    sub.add_argument(
        "target",
        type=target,
        nargs="?",
        default=target(str(PORT)),
        metavar="PORT|HOST:PORT|URL",
        help=f"where --metrics is served ({PORT})",
    )
    sub.add_argument("--once", action="store_true", help="write one page, and end")
    sub.add_argument(
        "--every", type=common.positive, default=1.0, metavar="SECONDS", help="between pages (1)"
    )


def target(text: str) -> tuple[str, int, str]:
    """Host, port and path as an argument type."""
    if text.isascii() and text.isdecimal():
        text = f"127.0.0.1:{text}"
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme != "http" or not (host + parts.path).isprintable():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not where metrics are, for example {PORT}, 192.0.2.7:{PORT} "
            f"or http://127.0.0.1:{PORT}/metrics"
        )
    return host, port, parts.path if parts.path not in ("", "/") else "/metrics"


def fetch(where: tuple[str, int, str]) -> Any:
    """The figures of this moment. `BadInput` when there are none."""
    from labkit.live.metricsreader import read_figures

    host, port, path = where
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(LARGEST + 1)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise BadInput(
            f"nobody serves metrics on {host}:{port} ({why})",
            f"streamer serve … --metrics {port}, or receiver connect … --metrics {port}",
        ) from error
    finally:
        connection.close()
    if response.status != 200 or len(body) > LARGEST:
        raise BadInput(f"{host}:{port} serves something else at {path}", "the port of --metrics")
    return read_figures(body.decode(errors="replace"))


def top(options: argparse.Namespace) -> int:
    """Show pages until q or Ctrl-C."""
    history = deque([fetch(options.target)], maxlen=HISTORY)
    glyphs = _glyphs()
    if options.once or not sys.stdout.isatty():
        lines = [_heading(options.target, history), "", *page(history, 200, 10_000, glyphs)]
        print("\n".join(lines))
        return 0
    with _screen(), contextlib.suppress(KeyboardInterrupt):
        _watch(options, history, glyphs)
    return 0


def _watch(options: argparse.Namespace, history: deque[Any], glyphs: Glyphs) -> None:
    trouble = ""
    due = time.monotonic()
    while True:
        _draw(f"{_heading(options.target, history)}{trouble}", history, glyphs)
        due = max(due + options.every, time.monotonic())
        if _quits(due):
            return
        try:
            history.append(fetch(options.target))
            trouble = ""
        except BadInput as error:  # it may come back: what was known last stays
            trouble = f"   {printable(error.what)}"


def _heading(where: tuple[str, int, str], history: deque[Any]) -> str:
    from labkit.core.figures import ServerFigures

    kind = "streamer" if isinstance(history[-1], ServerFigures) else "receiver"
    return f"labkit top   {kind} at {where[0]}:{where[1]}"


def _draw(heading: str, history: deque[Any], glyphs: Glyphs) -> None:
    """One write for the whole page, over the one before."""
    width, height = shutil.get_terminal_size()
    lines = ["", *page(history, width - 1, height - 4, glyphs), "", "  q ends"]
    text = f"{HOME}{BOLD}{heading[: width - 1]}{PLAIN}{CLEAR_REST_OF_LINE}\n"
    text += "\n".join(line + CLEAR_REST_OF_LINE for line in lines[: height - 1]) + CLEAR_BELOW
    sys.stdout.write(text)
    sys.stdout.flush()


def _glyphs() -> Glyphs:
    try:
        f"{BLOCKS.full}{BLOCKS.empty}{BLOCKS.sparks}{BLOCKS.more}".encode(
            sys.stdout.encoding or "ascii"
        )
    except UnicodeEncodeError:
        return ASCII
    return BLOCKS


@contextlib.contextmanager
def _screen() -> Iterator[None]:
    """Another screen, and keys that come without Enter."""
    sys.stdout.write(ENTER)
    try:
        with _keys():
            yield
    finally:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    if not _has_keys():
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _has_keys() -> bool:
    """Elsewhere Ctrl-C is the way to end."""
    return sys.platform != "win32" and sys.stdin.isatty()


def _quits(due: float) -> bool:
    """Wait until then; True when somebody pressed q."""
    while (left := due - time.monotonic()) > 0:
        if not _has_keys():
            time.sleep(left)
        elif select.select([sys.stdin], [], [], left)[0]:
            key = os.read(sys.stdin.fileno(), 1)
            if key in (b"q", b"Q", b""):
                return True
    return False

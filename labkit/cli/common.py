"""What the three commands share: options, sources, the status line, errors, Ctrl-C.

A `LabError` becomes one line on standard error and exit code 2, never a traceback. Exit code 0:
it worked; 1: it worked, and the answer is no; 130: stopped by Ctrl-C before anything began.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from labkit.words.errors import BadInput, LabError

EXIT_ERROR = 2
LARGEST = 1_000_000
"""Of any number on a command line: bits a second, milliseconds, or eleven days of seconds."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in a line, and where to look, instead of repeating all its options."""

    def error(self, message: str) -> NoReturn:
        """Print the line; exit code 2."""
        self.exit(EXIT_ERROR, f"{self.prog}: {message}\n  try: {self.prog} --help\n")


LONGEST_REPORT = 12
"""Seconds: one report may be lost, and the other end does not give us up yet."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the layout of examples and leaves room for long options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)

    def add_argument(self, action: argparse.Action) -> None:
        """Argparse forgets that subcommands are indented, and breaks the line of the longest."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            self._action_max_length += self._indent_increment


def parser(prog: str, what: str, examples: str) -> argparse.ArgumentParser:
    """A parser whose help ends with examples that can be pasted."""
    return Parser(
        prog=prog, description=what, epilog=f"examples:\n{examples}", formatter_class=Help
    )


def subcommand(
    commands: Any, name: str, what: str, examples: str, run: Callable[[Any], int]
) -> argparse.ArgumentParser:
    """Add one subcommand, with its help and what it runs."""
    sub: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=f"examples:\n{examples}",
        formatter_class=Help,
    )
    sub.set_defaults(run=run)
    return sub


def run(make_parser: Callable[[], argparse.ArgumentParser], argv: Sequence[str] | None) -> int:
    """Parse, run, and turn what goes wrong into a line and an exit code."""
    options = make_parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except LabError as error:
        print(f"{make_parser().prog}: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:  # a full disk, a folder that is a file: the system says it best
        where = f" {error.filename}" if error.filename else ""
        print(
            f"{make_parser().prog}: the system refused{where}: {error.strerror or error}\n"
            "  try: another file or folder, one that can be read and written",
            file=sys.stderr,
        )
        return EXIT_ERROR
    return code


def run_until_interrupt(main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    """Run a coroutine; Ctrl-C and SIGTERM set its `stop` event, so that it ends in order."""
    from labkit.live.loop import run as run_loop

    async def supervised() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt instead
                loop.add_signal_handler(signum, stop.set)
        return await main(stop)

    return run_loop(supervised())


def address(text: str) -> tuple[str, int]:
    """`host:port`, `[v6]:port` or `:port` as an argument type."""
    host, colon, port = text.rpartition(":")
    if not colon or not _is_port(port) or int(port) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not host:port, for example 127.0.0.1:5000")
    return host.strip("[]") or "127.0.0.1", int(port)


def port(text: str) -> int:
    """A port to listen on, 0 for any free one, as an argument type."""
    if not _is_port(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) < 65536


def output_path(text: str) -> Path:
    """A file that can be written, as an argument type."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: that is a folder")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: permission denied")
    return path


def positive(text: str) -> float:
    """A number above zero, as an argument type."""
    value = number(text)
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return value


def report_interval(text: str) -> float:
    """Seconds between two RTCP reports, as an argument type.

    Who says nothing for 25 s is taken for gone, and up to half is added to each interval at random
    (RFC 3550 section 6.3).
    """
    value = positive(text)
    if value > LONGEST_REPORT:
        raise argparse.ArgumentTypeError(
            f"{text} s: at most {LONGEST_REPORT}, or the other end takes us for gone"
        )
    return value


def number(text: str) -> float:
    """A number from zero to `LARGEST`, as an argument type."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= LARGEST:  # what is no number (nan) is not in between either
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number above zero, and below a million"
        )
    return value


def count(text: str) -> int:
    """A whole number, zero or more, as an argument type."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def some(text: str) -> int:
    """A whole number above zero, as an argument type."""
    value = count(text)
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return value


def kilobits(text: str) -> tuple[int, ...]:
    """Bitrates in kbit/s with commas, as an argument type; in bits a second."""
    bitrates = tuple(int(positive(each) * 1000) for each in text.split(","))
    if len(set(bitrates)) != len(bitrates):
        raise argparse.ArgumentTypeError(f"{text!r} has a bitrate twice")
    return bitrates


def dscp(text: str) -> int:
    """A DSCP by name or number, as an argument type."""
    from labkit.words.dscp import read_dscp

    try:
        return read_dscp(text)
    except BadInput as error:
        raise argparse.ArgumentTypeError(f"{error.what}; {error.remedy}") from error


class StatusLine:
    """One line that is written over itself on a terminal, and now and then to a file or pipe."""

    EVERY = 5.0
    """Seconds between two lines, where nothing can be written over."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._next = time.monotonic() + self.EVERY
        self._width = 0

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._live:
            text = text[: shutil.get_terminal_size().columns - 1]  # a line that wraps stays
            print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(text)
        elif time.monotonic() >= self._next:
            self._next += self.EVERY
            print(text, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """A line that stays, above the one that changes."""
        if self._live and self._width:
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr)
        print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the last line standing."""
        if self._live and self._width:
            print(file=sys.stderr)
            self._width = 0


def add_codec_options(sub: argparse.ArgumentParser) -> None:
    """The options that describe a codec."""
    group = sub.add_argument_group("codec")
    group.add_argument("--codec", choices=["opus", "pcm"], default="opus")
    group.add_argument(
        "--bitrate", type=positive, default=32_000, help="Opus, bits a second (32000)"
    )
    group.add_argument("--frame-ms", type=float, default=20, help="sound in a frame (20)")
    group.add_argument("--channels", type=int, choices=[1, 2], default=1)
    group.add_argument("--complexity", type=int, choices=range(11), default=10, metavar="0-10")
    group.add_argument(
        "--fec", action="store_true", help="Opus: carry each frame again in the next"
    )
    group.add_argument("--dtx", action="store_true", help="Opus: send next to nothing in silence")


def codec_from(options: argparse.Namespace) -> Any:
    """The codec that the options describe. `BadInput` when they do not go together."""
    if options.codec == "pcm":
        if options.fec or options.dtx:
            raise BadInput("--fec and --dtx belong to Opus", "--codec opus")
        from labkit.codec.pcm import Pcm

        return Pcm(channels=options.channels, frame_ms=options.frame_ms)
    from labkit.codec.opus import Opus

    codec = Opus(
        int(options.bitrate),
        frame_ms=options.frame_ms,
        channels=options.channels,
        complexity=options.complexity,
        fec=options.fec,
        dtx=options.dtx,
    )
    most = int(codec.max_payload * 8 * 1000 / codec.frame_ms)
    if codec.bitrate > most:  # the encoder would keep to the payload, and say nothing
        raise BadInput(
            f"{codec.bitrate} bit/s in frames of {codec.frame_ms:g} ms do not fit into payloads "
            f"of {codec.max_payload} bytes",
            f"--bitrate {most}, or a shorter --frame-ms",
        )
    return codec


def source_from(name: str, sample_rate: int, channels: int) -> Any:
    """A paced source: `speech`, `tone`, or the path of a WAV file."""
    from labkit.lab.sources import speech, tone, wav

    if name == "speech":
        clip = speech()
    elif name == "tone":
        clip = tone()
    else:
        clip = wav(name)
    from labkit.lab.sources import converted

    return converted(clip, sample_rate, channels)


@contextlib.contextmanager
def closing_status() -> Iterator[StatusLine]:
    """A status line that leaves the cursor on a fresh line, however the block ends."""
    status = StatusLine()
    try:
        yield status
    finally:
        status.end()

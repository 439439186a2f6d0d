"""`labkit replay`: the streams of a capture, heard again through a buffer of your choice."""

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

from labkit.cli import common
from labkit.words.errors import BadInput
from labkit.words.units import ms, to_ms

EXAMPLES = """\
  labkit replay call.pcapng --list                 the streams, and what else there is
  labkit replay call.pcapng --out voice.wav        the first stream, as an adaptive buffer plays it
  labkit replay call.pcapng --stream 1 --buffer-ms 40 --out voice.wav
  labkit replay odd.pcap --codec opus --out voice.wav      where nothing says what the payload is
  labkit replay call.pcapng --send 127.0.0.1:5004  onto the wire again, with the original timing
"""
LONG = 64 << 20
"""Bytes after which progress is shown."""
BAR = 30
CODECS = ("g722", "l16", "l16-stereo", "opus", "pcma", "pcmu")


def add(commands: Any) -> None:
    """Add the subcommand."""
    sub = common.subcommand(commands, "replay", "hear the voices in a capture", EXAMPLES, replay)
    sub.add_argument("file", metavar="FILE", help="a pcap or pcapng file")
    sub.add_argument("--list", action="store_true", help="only list what is in it")
    sub.add_argument("--stream", type=int, default=0, metavar="N", help="which stream (0)")
    group = sub.add_mutually_exclusive_group()
    group.add_argument("--buffer-ms", type=common.positive, metavar="N", help="a fixed delay")
    group.add_argument(
        "--adaptive", action="store_true", help="a delay that follows the network (default)"
    )
    sub.add_argument(
        "--codec", choices=CODECS, help="what the payload is, if the capture is silent"
    )
    sub.add_argument(
        "--out", type=common.output_path, metavar="FILE.wav", help="write what is heard"
    )
    sub.add_argument(
        "--send", type=common.address, metavar="HOST:PORT", help="send the packets there instead"
    )


def replay(options: argparse.Namespace) -> int:
    """List the streams; play or send one. 1 when there is none."""
    from labkit.lab.replay import Replay

    with common.closing_status() as status:
        found = Replay(options.file, timeline=False, progress=_bar(status.show))
    print(found)
    if options.list:
        return 0
    if not found.streams:
        return 1
    if options.send is not None:
        return common.run_until_interrupt(lambda stop: _send(found, options, stop))
    return _play(found, options)


def _play(found: Any, options: argparse.Namespace) -> int:
    from labkit.core.delaypolicy import Adaptive, Fixed

    result = found.play(
        options.stream,
        policy=Fixed(ms(options.buffer_ms)) if options.buffer_ms else Adaptive(),
        codec=_codec(options.codec) if options.codec else None,
    )
    print(result)
    if options.out is not None:
        result.save_wav(options.out)
        print(f"written to {options.out}")
    return 0


async def _send(found: Any, options: argparse.Namespace, stop: asyncio.Event) -> int:
    with common.closing_status() as status:

        def progress(sent: int, packets: int) -> None:
            status.show(f"{sent} of {packets} packets sent")

        sending = await found.send(options.stream, options.send, stop=stop, progress=progress)
    host, port = options.send
    print(
        f"{sending.packets} packets sent to {host}:{port}, "
        f"none more than {to_ms(sending.latest):.1f} ms late"
    )
    if sending.refused:
        raise BadInput(
            f"{sending.refused} of them were refused: does anybody listen on {host}:{port}?",
            f"receiver connect --proto rtp --sdp FILE, or ffplay on port {port}",
        )
    return 0


def _bar(show: Callable[[str], None]) -> Callable[[int, int], None]:
    """Shows how far a long file is read."""

    def progress(done: int, size: int) -> None:
        if size >= LONG:
            full = BAR * done // size
            bar = "#" * full + "." * (BAR - full)
            show(f"[{bar}] {done / 1e6:,.0f} of {size / 1e6:,.0f} MB")

    return progress


def _codec(name: str) -> Any:
    """What `--codec` says."""
    from labkit.codec.formats import codec_for
    from labkit.words.format import AudioFormat

    encoding, rate, channels = {
        "g722": ("G722", 8_000, 1),
        "l16": ("L16", 48_000, 1),
        "l16-stereo": ("L16", 48_000, 2),
        "opus": ("opus", 48_000, 2),
        "pcma": ("PCMA", 8_000, 1),
        "pcmu": ("PCMU", 8_000, 1),
    }[name]
    return codec_for(AudioFormat(encoding, rate, channels, 0))

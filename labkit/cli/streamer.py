"""`streamer`: record a voice, or serve it to whoever connects."""

import argparse
import asyncio
from collections.abc import Sequence
from typing import Any

from labkit.cli import common, transports, watching
from labkit.words.errors import BadInput
from labkit.words.units import FRAME_MS, SAMPLE_RATE

RECORD_EXAMPLES = """\
  streamer record --out demo.wav                    the microphone, until Ctrl-C
  streamer record --out demo.wav --seconds 5
  streamer record --out demo.wav --source speech    the spoken sample: no microphone needed
"""
SERVE_EXAMPLES = """\
  streamer serve --proto tcp --port 5000 --source speech
  streamer serve --proto udp --port 5000 --source tone --codec pcm
  streamer serve --proto rtp --port 5000 --source voice.wav --fec --bitrate 24000
  streamer serve --proto rtp --port 5000 --source speech --srtp dtls
  streamer serve --proto rtp --source speech --host 192.0.2.7 --to 239.255.0.1:5004
  streamer serve --proto rtp --port 5000 --source speech --loop --simulcast
  streamer serve --proto wss --port 5000 --source speech --certs certs --secret secret.txt
  streamer serve --proto quic --port 5000 --source speech --certs certs --metrics 9464
  streamer serve --proto rtp --port 5000 --to 127.0.0.1:6000 --sdp voice.sdp
      then: ffplay -protocol_whitelist file,udp,rtp voice.sdp
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return common.run(make_parser, argv)


def make_parser() -> argparse.ArgumentParser:
    """The whole command line of `streamer`."""
    parser = common.parser(
        "streamer", "Record a voice, or send it over a network.", RECORD_EXAMPLES + SERVE_EXAMPLES
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    sub = common.subcommand(commands, "record", "record to a WAV file", RECORD_EXAMPLES, record)
    sub.add_argument("--out", type=common.output_path, required=True, metavar="FILE.wav")
    _add_source(sub)
    sub.add_argument("--seconds", type=common.positive, help="stop after so long (until Ctrl-C)")
    sub.add_argument("--channels", type=int, choices=[1, 2], default=1)
    sub = common.subcommand(
        commands, "serve", "serve a voice to whoever connects", SERVE_EXAMPLES, serve
    )
    sub.add_argument("--proto", choices=transports.PROTOS, required=True)
    sub.add_argument("--host", default="127.0.0.1", help="address to bind (127.0.0.1)")
    sub.add_argument("--port", type=common.port, default=5000, help="0 for any free one (5000)")
    sub.add_argument("--nodelay", action="store_true", help="TCP: switch Nagle's algorithm off")
    _add_source(sub)
    sub.add_argument("--loop", action="store_true", help="begin again when the source ends")
    sub.add_argument(
        "--to", type=common.address, metavar="HOST:PORT",
        help="RTP: send here unasked; a group of multicast too, by way of --host",
    )  # fmt: skip
    sub.add_argument(
        "--ttl", type=common.some, default=1, metavar="N", help="routers that a group is behind (1)"
    )
    sub.add_argument(
        "--sdp", type=common.output_path, metavar="FILE", help="RTP: write the SDP here"
    )
    sub.add_argument(
        "--report-every", type=common.report_interval, default=5, metavar="S", help="RTCP (5)"
    )
    sub.add_argument("--dscp", type=common.dscp, metavar="NAME", help="mark what is sent: EF")
    group = sub.add_argument_group("many listeners")
    group.add_argument("--max-clients", type=common.some, default=64, metavar="N", help="(64)")
    group.add_argument(
        "--queue", type=common.some, default=50, metavar="N",
        help="frames that may wait for a slow listener (50)",
    )  # fmt: skip
    group.add_argument(
        "--drop", choices=["oldest", "newest", "to-key-point"], default="oldest",
        help="what goes when they are too many (oldest)",
    )  # fmt: skip
    group.add_argument(
        "--simulcast", type=common.kilobits, nargs="?", const="64,32,16", metavar="KBIT,…",
        help="to each the bitrate that its line carries (64,32,16)",
    )  # fmt: skip
    transports.add_server_options(sub)
    watching.add_options(sub)
    common.add_codec_options(sub)
    return parser


def _add_source(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--source", default="mic", metavar="mic|speech|tone|FILE.wav", help="what to send (mic)"
    )
    sub.add_argument("--device", help="which microphone; `labkit doctor` lists them")


def record(options: argparse.Namespace) -> int:
    """Write a source to a WAV file until it ends, the time is up, or Ctrl-C."""
    from labkit.live.wav import WavWriter

    rate = SAMPLE_RATE
    limit = None if options.seconds is None else round(options.seconds * rate)

    async def work(stop: asyncio.Event) -> int:
        written = 0
        with (
            common.closing_status() as status,
            WavWriter(options.out, rate, options.channels) as out,
        ):
            async for block in _blocks(options, rate, stop):
                part = block if limit is None else block[: limit - written]
                out.write(part)
                written += len(part)
                status.show(f"recording {written / rate:6.1f} s   level {_level(part)}")
                if limit is not None and written >= limit:
                    break
        print(
            f"{options.out}: {written / rate:.2f} s, {rate} Hz, 16 bit, "
            f"{options.channels} channel{'s' if options.channels > 1 else ''}, "
            f"{rate * 16 * options.channels // 1000} kbit/s"
        )
        return 0

    return common.run_until_interrupt(work)


async def _blocks(options: argparse.Namespace, rate: int, stop: asyncio.Event) -> Any:
    """Blocks of the chosen source: as fast as it can be read, a microphone as it is captured."""
    if options.source != "mic":
        source = common.source_from(options.source, rate, options.channels)
        while not stop.is_set() and (block := source.read(rate * FRAME_MS // 1000)) is not None:
            yield block
        return
    from labkit.live.soundcard import captured

    async with captured(rate, options.channels, options.device) as blocks:
        async for block in blocks:
            yield block
            if stop.is_set():
                return


def _level(samples: Any) -> str:
    """How loud, in decibels below full scale, and as a bar."""
    import numpy as np

    peak = float(np.abs(samples.astype(np.int32)).max(initial=1)) / 32768
    decibels = 20 * np.log10(max(peak, 1e-4))
    return f"{decibels:6.1f} dBFS {'▮' * int((decibels + 60) / 4):<15}"


def serve(options: argparse.Namespace) -> int:
    """Serve until the source ends or Ctrl-C."""
    from labkit.cli.serving import serve as run

    if options.to and options.proto != "rtp":
        raise BadInput("--to is for RTP; over TCP and UDP the receiver comes to us", "--proto rtp")
    transports.check(
        options,
        nodelay=transports.STREAMS,
        secret=transports.ADMITTING,
        pin=(*transports.SECURE, "rtp"),
        srtp=("rtp",),
        origin=("ws", "wss"),
    )
    return common.run_until_interrupt(lambda stop: run(options, stop))

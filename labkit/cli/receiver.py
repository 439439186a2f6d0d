"""`receiver`: play a WAV file through a small buffer, or connect to a streamer and hear it."""

import argparse
from collections.abc import Sequence

from labkit.cli import common, transports, watching
from labkit.words.errors import BadInput

PLAY_EXAMPLES = """\
  receiver play demo.wav --buffer-ms 80
  receiver play demo.wav --buffer-ms 20 --jitter-ms 40    a producer that is often late
  receiver play demo.wav --sweep                          delay against underruns, as a picture
"""
CONNECT_EXAMPLES = """\
  receiver connect --proto tcp --addr 127.0.0.1:5000
  receiver connect --proto udp --addr 127.0.0.1:5000 --buffer-ms 60 --out heard.wav
  receiver connect --proto rtp --addr 127.0.0.1:5000 --adaptive
  receiver connect --proto rtp --sdp voice.sdp            whoever sends to the port in the SDP
  receiver connect --proto rtp --addr 239.255.0.1:5004 --interface 192.0.2.8
  receiver connect --proto wss --addr localhost:5000 --certs certs --token token.txt
  receiver connect --proto quic --addr localhost:5000 --certs certs --metrics 9465
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return common.run(make_parser, argv)


def make_parser() -> argparse.ArgumentParser:
    """The whole command line of `receiver`."""
    parser = common.parser("receiver", "Hear a voice.", PLAY_EXAMPLES + CONNECT_EXAMPLES)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    sub = common.subcommand(commands, "play", "play a WAV file", PLAY_EXAMPLES, play)
    sub.add_argument("file", metavar="FILE.wav")
    sub.add_argument("--buffer-ms", type=common.positive, default=80, help="ring buffer (80)")
    sub.add_argument(
        "--jitter-ms", type=common.number, default=0, help="make the producer late at random"
    )
    sub.add_argument("--seed", type=int, default=0, help="of that randomness (0)")
    sub.add_argument("--device", help="which speaker; `labkit doctor` lists them")
    sub.add_argument(
        "--sweep", nargs="?", const="buffer-sweep.png", type=common.output_path, metavar="FILE.png",
        help="no sound: underruns at every buffer size, in virtual time",
    )  # fmt: skip
    sub = common.subcommand(
        commands, "connect", "connect to a streamer and play it", CONNECT_EXAMPLES, connect
    )
    sub.add_argument("--proto", choices=transports.PROTOS, required=True)
    sub.add_argument(
        "--addr", type=common.address, metavar="HOST:PORT", help="where the streamer is"
    )
    sub.add_argument(
        "--interface", metavar="ADDRESS", help="multicast: ours, on the network of the group"
    )
    sub.add_argument("--sdp", metavar="FILE", help="RTP: what comes, and without --addr where")
    group = sub.add_mutually_exclusive_group()
    group.add_argument("--buffer-ms", type=common.positive, help="a fixed playout delay")
    group.add_argument(
        "--adaptive", action="store_true", help="a delay that follows the network (default)"
    )
    sub.add_argument(
        "--out", type=common.output_path, metavar="FILE.wav", help="write what is heard"
    )
    sub.add_argument("--no-sound", action="store_true", help="do not open the sound card")
    sub.add_argument("--device", help="which speaker; `labkit doctor` lists them")
    sub.add_argument("--seconds", type=common.positive, help="leave after so long (until the end)")
    sub.add_argument(
        "--retries", type=common.count, default=8,
        help="TCP, WebSocket: attempts to find it again (8)",
    )  # fmt: skip
    sub.add_argument(
        "--report-every", type=common.report_interval, default=5, metavar="S", help="RTCP (5)"
    )
    transports.add_client_options(sub)
    watching.add_options(sub)
    return parser


def play(options: argparse.Namespace) -> int:
    """Play a file; count how often the sound card found nothing."""
    from labkit.cli.receiving import play as run
    from labkit.cli.receiving import sweep

    if options.sweep:
        return sweep(options)
    return common.run_until_interrupt(lambda stop: run(options, stop))


def connect(options: argparse.Namespace) -> int:
    """Receive until the stream ends, the time is up, or Ctrl-C."""
    from labkit.cli.receiving import connect as run

    if options.addr is None and options.sdp is None:
        raise BadInput("where is the streamer?", "--addr HOST:PORT, or --proto rtp --sdp FILE")
    if options.sdp and options.proto != "rtp":
        raise BadInput("--sdp describes an RTP stream", "--proto rtp")
    transports.check(
        options,
        token=transports.ADMITTING,
        client=transports.SECURE,
        server_name=transports.SECURE,
        keys=transports.SECURE,
        pin=("wss", "rtp"),
    )
    if options.no_sound and options.out is None:
        raise BadInput("without sound and without a file there is nothing to do", "--out heard.wav")
    return common.run_until_interrupt(lambda stop: run(options, stop))

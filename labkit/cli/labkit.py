"""`labkit`: what this machine can do, and a demonstration."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from labkit.cli import (
    captures,
    certs,
    check,
    common,
    completion,
    course,
    grade,
    gradebook,
    net,
    replay,
    stun,
    token,
    top,
)

DEMO_EXAMPLES = """\
  labkit demo                           ten seconds of reading and hearing, in virtual time
  labkit demo --live                    the same objects, on real sockets, in real time
  labkit demo --link train --bitrate 24000 --out mydemo
"""
DOCTOR_EXAMPLES = """\
  labkit doctor                         what works here, and how to get what does not
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    return common.run(make_parser, argv)


def make_parser() -> argparse.ArgumentParser:
    """The whole command line of `labkit`."""
    import labkit

    parser = common.parser(
        "labkit", "Real-time networking by ear.", DOCTOR_EXAMPLES + DEMO_EXAMPLES
    )
    parser.add_argument("--version", action="version", version=f"labkit {labkit.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    common.subcommand(commands, "doctor", "list what this machine can do", DOCTOR_EXAMPLES, doctor)
    sub = common.subcommand(
        commands, "demo", "a voice over a bad network, heard by two receivers", DEMO_EXAMPLES, demo
    )
    sub.add_argument("--live", action="store_true", help="on real sockets, in real time")
    sub.add_argument("--link", default="voip-10", metavar="PROFILE", help="the network (voip-10)")
    sub.add_argument("--source", default="speech", metavar="speech|tone|FILE.wav")
    sub.add_argument("--bitrate", type=common.positive, default=32_000, help="of Opus (32000)")
    sub.add_argument("--seed", type=int, default=6, help="of the network's dice (6)")
    sub.add_argument("--out", type=Path, default=Path("demo"), metavar="FOLDER", help="(demo)")
    net.add(commands)
    stun.add(commands)
    certs.add(commands)
    token.add(commands)
    replay.add(commands)
    captures.add(commands)
    check.add(commands)
    course.add(commands)
    gradebook.add(commands)
    grade.add(commands)
    top.add(commands)
    completion.add(commands)
    return parser


def doctor(options: argparse.Namespace) -> int:
    """Examine this machine."""
    del options
    from labkit.lab import doctor

    return doctor.main()


def demo(options: argparse.Namespace) -> int:
    """Send speech over a bad network to a naive receiver and to a good one."""
    from labkit.lab.demo import run

    return run(
        options.out,
        link=options.link,
        source=options.source,
        bitrate=int(options.bitrate),
        seed=options.seed,
        live=options.live,
    )

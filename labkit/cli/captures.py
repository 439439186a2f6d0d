"""`labkit capture` and `labkit captures`: take the shipped captures, list them, verify them."""

import argparse
from typing import Any

from labkit.cli import common

CAPTURE_EXAMPLES = """\
  labkit capture 04_zero_window         take this one again, from our own programs
  labkit capture 04                     all of week 4
"""
LIST_EXAMPLES = """\
  labkit captures list                  what there is, a line each
  labkit captures list 04_rst           what one shows, how it was taken, what can be asked of it
"""
VERIFY_EXAMPLES = """\
  labkit captures verify                digests, numbers of packets, and what each claims to show
"""


def add(commands: Any) -> None:
    """Hang both into the commands of `labkit`."""
    take = common.subcommand(
        commands, "capture", "take shipped captures again", CAPTURE_EXAMPLES, capture
    )
    take.add_argument("names", nargs="+", metavar="NAME", help="a capture, or the number of a week")
    shelf = commands.add_parser(
        "captures",
        help="the shipped captures: list and verify",
        description="The shipped captures: what there is, and whether it is what it claims to be.",
        epilog=f"examples:\n{LIST_EXAMPLES}{VERIFY_EXAMPLES}",
        formatter_class=common.Help,
    )
    kinds = shelf.add_subparsers(metavar="COMMAND", required=True)
    sub = common.subcommand(kinds, "list", "list the captures", LIST_EXAMPLES, list_)
    sub.add_argument("name", nargs="?", metavar="NAME", help="say everything about this one")
    sub = common.subcommand(
        kinds, "verify", "compare the captures with their manifest", VERIFY_EXAMPLES, verify
    )
    sub.add_argument("names", nargs="*", metavar="NAME", help="only these (all of them)")


def capture(options: argparse.Namespace) -> int:
    """Take captures; then verify them."""
    from labkit.lab import captures
    from labkit.lab.recipes import take

    names = [name for wanted in options.names for name in _names(wanted)]
    for name in names:
        taken = take(name)
        print(f"{name}: {taken.packets} packets, {taken.bytes} bytes, {taken.seconds:.1f} s")
    return _tell(captures.verify(names=names))


def _names(wanted: str) -> list[str]:
    """A name, or all those of a week."""
    from labkit.lab.captures import describe, manifest

    week = [name for name in manifest() if name.startswith(f"{wanted}_") and wanted.isdecimal()]
    return week or [describe(wanted).name]


def list_(options: argparse.Namespace) -> int:
    """A line for each, or everything about one."""
    from labkit.lab.captures import describe, manifest

    if options.name:
        print(describe(options.name))
        return 0
    known = manifest()
    width = max(map(len, known))
    for name, entry in known.items():
        size = f"{entry.taken.bytes / 1000:4.0f} kB" if entry.taken else "not yet"
        print(f"{name:<{width}}  {size}  {entry.title}")
    return 0


def verify(options: argparse.Namespace) -> int:
    """0 when all is as the manifest says, 1 when not."""
    import shutil

    from labkit.lab import captures

    names = [name for wanted in options.names for name in _names(wanted)]
    code = _tell(captures.verify(names=names))
    if not shutil.which("tshark"):
        print("without tshark, what they claim to show was not counted")
    return code


def _tell(problems: list[str]) -> int:
    for problem in problems:
        print(problem)
    print("wrong" if problems else "all is as the manifest says")
    return 1 if problems else 0

"""`labkit course`: the notebooks of the course, made from their one source."""

import argparse
import json
from pathlib import Path
from typing import Any

from labkit.cli import common

RELEASE_EXAMPLES = """\
  labkit course release                 write exercises/ from solutions/
  labkit course release --check         only say whether they agree
  labkit course release --from mine/solved --to mine/given
"""
KERNEL_EXAMPLES = """\
  labkit course kernel                  in this Python's environment
  labkit course kernel --prefix /usr/local
"""
LEADERBOARD_EXAMPLES = """\
  labkit course leaderboard class/*.jsonl
  labkit course leaderboard class/*.jsonl --picture board.png
"""


def add(commands: Any) -> None:
    """Hang it into the commands of `labkit`."""
    course = commands.add_parser(
        "course",
        help="make the notebooks of the course",
        description="The notebooks of the course, made from their one source.",
        epilog=f"examples:\n{RELEASE_EXAMPLES}",
        formatter_class=common.Help,
    )
    kinds = course.add_subparsers(metavar="COMMAND", required=True)
    sub = common.subcommand(
        kinds, "release", "write the exercises without their solutions", RELEASE_EXAMPLES, release
    )
    folder: Any = {"type": Path, "metavar": "FOLDER"}
    sub.add_argument(
        "--from", dest="source", default=Path("solutions"), help="(solutions)", **folder
    )
    sub.add_argument("--to", dest="target", default=Path("exercises"), help="(exercises)", **folder)
    sub.add_argument("--check", action="store_true", help="write nothing; 1 when they differ")
    sub = common.subcommand(
        kinds, "kernel", "a kernel in a sandbox, for nbgrader", KERNEL_EXAMPLES, kernel
    )
    sub.add_argument("--prefix", metavar="FOLDER", help="where Jupyter looks for kernels")
    sub = common.subcommand(
        kinds, "leaderboard", "merge the cards of a capstone", LEADERBOARD_EXAMPLES, leaderboard
    )
    sub.add_argument("files", type=Path, nargs="+", metavar="FILE", help="lines of JSON")
    sub.add_argument("--picture", type=Path, metavar="FILE", help="draw it there, as PNG")


def leaderboard(options: argparse.Namespace) -> int:
    """Show who has come how far, by their own word; 1 when a line was refused."""
    from labkit.words.errors import MissingCapability

    try:
        from labkit.lab.leaderboard import read_boards
    except ImportError as error:
        raise MissingCapability(
            f"{error.name} is not installed", "pip install 'labkit[lab]'"
        ) from None
    board = read_boards(options.files)
    print(board)
    for line in board.refused:
        print(f"refused: {line}")
    if options.picture:
        print(f"{board.show().save(options.picture)}: written")
    return 1 if board.refused else 0


def kernel(options: argparse.Namespace) -> int:
    """Tell Jupyter of the kernel in a sandbox, and say how nbgrader is told."""
    from labkit.words.errors import MissingCapability

    try:
        from labkit.grading import provisioner
    except ImportError as error:
        what = f"{error.name} is not installed"
        raise MissingCapability(what, "pip install 'labkit[lab]'") from None
    print(f"{provisioner.install(options.prefix)}: written")
    print("nbgrader runs notebooks in it when it is told so:")
    print(f"  nbgrader autograde NAME --ExecutePreprocessor.kernel_name={provisioner.NAME}")
    return 0


def release(options: argparse.Namespace) -> int:
    """Write every notebook, or compare."""
    from labkit.checks.release import released, to_text
    from labkit.words.errors import BadInput

    sources = sorted(options.source.glob("*.ipynb"))
    if not sources:
        raise BadInput(f"no notebooks in {options.source}", "--from FOLDER")
    code = 0
    options.target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        text = to_text(released(json.loads(source.read_text(encoding="utf-8"))))
        target = options.target / source.name
        same = target.is_file() and target.read_text(encoding="utf-8") == text
        if options.check:
            code = code if same else 1
            print(f"{target}: {'as it should be' if same else 'not made from its source'}")
        else:
            target.write_text(text, encoding="utf-8")
            print(f"{target}: {'as it was' if same else 'written'}")
    return code

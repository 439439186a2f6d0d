"""`labkit completion`: let the shell complete our commands and their options.

The script is made by `shtab` from the parsers themselves, so it cannot disagree with `--help`. It
is static: pressing the tabulator starts no Python.
"""

import argparse
from typing import Any

from labkit.cli import common

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
EXAMPLES = """\
  eval "$(labkit completion bash)"                        for this shell; in ~/.bashrc for all
  eval "$(labkit completion zsh)"                         the same in ~/.zshrc, after compinit
  labkit completion fish > ~/.config/fish/completions/labkit.fish
"""


def add(commands: Any) -> None:
    """Add `completion` to the command line of `labkit`."""
    sub = common.subcommand(
        commands, "completion", "a script that lets the shell complete our commands", EXAMPLES, run
    )
    sub.add_argument("shell", choices=SHELLS)


def run(options: argparse.Namespace) -> int:
    """Print the script for all three commands; 0."""
    import shtab

    from labkit.cli import labkit, receiver, streamer

    for module in (labkit, streamer, receiver):
        print(shtab.complete(module.make_parser(), options.shell))
    return 0

"""`labkit token`: who may listen, and until when.

A secret and a token are never arguments: those are seen in the list of processes and kept in the
history of the shell. They are read from files and from standard input.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from labkit.cli import common
from labkit.words.errors import AuthenticationError

MAKE_EXAMPLES = """\
  labkit token secret secret.txt                  32 bytes by chance, for its owner alone
"""
ISSUE_EXAMPLES = """\
  labkit token issue alice --secret secret.txt --out alice.token   good for 12 hours
  labkit token issue bob --secret secret.txt --hours 1             to standard output
"""
SHOW_EXAMPLES = """\
  labkit token show < alice.token                 what it says, true or not
  labkit token show --secret secret.txt < alice.token              and whether it is good
"""


def add(commands: Any) -> None:
    """Hang `token` and what belongs to it into the commands of `labkit`."""
    token = commands.add_parser(
        "token",
        help="who may listen: make a secret, issue tokens, read them",
        description="Who may listen, and until when.",
        epilog=f"examples:\n{MAKE_EXAMPLES}{ISSUE_EXAMPLES}{SHOW_EXAMPLES}",
        formatter_class=common.Help,
    )
    kinds = token.add_subparsers(metavar="COMMAND", required=True)
    sub = common.subcommand(kinds, "secret", "make a secret", MAKE_EXAMPLES, secret)
    sub.add_argument("file", type=Path, metavar="FILE")
    sub = common.subcommand(kinds, "issue", "make a token for somebody", ISSUE_EXAMPLES, issue)
    sub.add_argument("subject", metavar="NAME", help="whom it is for")
    sub.add_argument("--secret", type=Path, required=True, metavar="FILE")
    sub.add_argument("--hours", type=common.positive, default=12, help="good for so long (12)")
    sub.add_argument("--out", type=Path, metavar="FILE", help="a new file for its owner alone")
    sub = common.subcommand(
        kinds, "show", "say what a token on standard input says", SHOW_EXAMPLES, show
    )
    sub.add_argument("--secret", type=Path, metavar="FILE", help="check it too")


def secret(options: argparse.Namespace) -> int:
    """Make a secret."""
    from labkit.live.secretfile import make_secret

    make_secret(options.file)
    print(f"{options.file}: whoever reads it can make tokens. Next:")
    print(f"  labkit token issue NAME --secret {options.file} --out NAME.token")
    return 0


def issue(options: argparse.Namespace) -> int:
    """Print a token and nothing else, or write it where nobody else reads it."""
    from labkit.core.token import issue as issue_token
    from labkit.live.secretfile import read_secret, write_private

    expires = int(time.time() + options.hours * 3600)
    token = issue_token(read_secret(options.secret), options.subject, expires)
    if options.out is None:
        print(token)
    else:
        write_private(options.out, token + "\n")
        print(f"{options.out}: whoever has it may listen. Next, for {options.subject}:")
        print(f"  receiver connect --proto wss --addr HOST:PORT --token {options.out}")
    return 0


def show(options: argparse.Namespace) -> int:
    """Print what a token says; 1 when it is not good."""
    from labkit.core.token import MAX_TOKEN, unverified, verify
    from labkit.live.secretfile import read_secret

    token = sys.stdin.read(MAX_TOKEN + 2).strip()
    try:
        claims = unverified(token)
        ends = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(claims.expires))
        print(f"for {claims.subject}, until {ends}")
        if options.secret is not None:
            verify(read_secret(options.secret), token, time.time_ns())
            print("good")
    except AuthenticationError as error:
        print(f"not good: {error}")
        return 1
    return 0

"""`labkit certs`: an authority to throw away, and certificates for servers and clients."""

import argparse
from pathlib import Path
from typing import Any

from labkit.cli import common
from labkit.words.errors import BadInput

MAKE_EXAMPLES = """\
  labkit certs make                               for this machine, in certs/, good for 30 days
  labkit certs make --name lab.example.org --name 192.0.2.7 --client alice --client bob
"""
CLIENT_EXAMPLES = """\
  labkit certs client carol                       one more, from the authority in certs/
"""
NODE_EXAMPLES = """\
  labkit certs node                               certs/node.pem, for scheduler, workers and grader
  labkit certs node --folder grading --days 120   an authority of their own, for a term
"""
SHOW_EXAMPLES = """\
  labkit certs show certs/server.pem              names, validity and fingerprint
"""


def add(commands: Any) -> None:
    """Hang `certs` and what belongs to it into the commands of `labkit`."""
    certs = commands.add_parser(
        "certs",
        help="certificates for wss and quic: an authority, servers, clients",
        description="Certificates to throw away: an authority, servers and clients.",
        epilog=f"examples:\n{MAKE_EXAMPLES}{CLIENT_EXAMPLES}{SHOW_EXAMPLES}",
        formatter_class=common.Help,
    )
    kinds = certs.add_subparsers(metavar="COMMAND", required=True)
    sub = common.subcommand(
        kinds, "make", "make an authority, a server and clients", MAKE_EXAMPLES, make
    )
    sub.add_argument("--folder", type=Path, default=Path("certs"), help="where to (certs)")
    sub.add_argument(
        "--name", action="append", metavar="HOST", help="of the server, again for more (localhost)"
    )
    sub.add_argument("--client", action="append", default=[], metavar="NAME", help="again for more")
    _add_kind(sub)
    sub = common.subcommand(kinds, "client", "make one more client", CLIENT_EXAMPLES, client)
    sub.add_argument("name", metavar="NAME")
    sub.add_argument("--folder", type=Path, default=Path("certs"), help="the authority's (certs)")
    _add_kind(sub)
    sub = common.subcommand(kinds, "node", "make one for a cluster", NODE_EXAMPLES, node)
    sub.add_argument("name", metavar="NAME", nargs="?", default="node", help="(node)")
    sub.add_argument("--folder", type=Path, default=Path("certs"), help="the authority's (certs)")
    _add_kind(sub)
    sub = common.subcommand(kinds, "show", "say what a certificate says", SHOW_EXAMPLES, show)
    sub.add_argument("files", nargs="+", type=Path, metavar="FILE.pem")


def _add_kind(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--days", type=common.positive, default=30, help="good for so long (30)")
    sub.add_argument(
        "--key", choices=["p256", "ed25519"], default="p256", help="browsers take p256 alone"
    )


def make(options: argparse.Namespace) -> int:
    """Make a folder of certificates, and say what each file is for."""
    from labkit.live.certs import LOCAL, Algorithm, make_folder

    names = options.name or list(LOCAL)
    folder: Path = options.folder
    made = make_folder(
        folder,
        names=names,
        clients=options.client,
        algorithm=Algorithm(options.key),
        days=options.days,
    )
    for name, identity in made.items():
        print(f"{folder / name}.pem\n    SHA-256 {identity.fingerprint}")
    print(
        f"""
The server is called {", ".join(names)}; all is good for {options.days:g} days.
  {folder}/server.pem, server-key.pem  stay with the server
  {folder}/ca.pem                      goes to everybody who shall trust it
  {folder}/ca-key.pem                  stays here: whoever has it can be anybody
A client that is given the fingerprint of server.pem as a pin needs no ca.pem."""
    )
    for name in options.client:
        print(
            f"  {folder}/{name}.pem, {name}-key.pem  go to {name}, by a way that nobody else sees"
        )
    return 0


def client(options: argparse.Namespace) -> int:
    """Make one more client."""
    from labkit.live.certs import Algorithm, add_client

    made = add_client(options.folder, options.name, Algorithm(options.key), days=options.days)
    print(f"{options.folder / options.name}.pem\n    SHA-256 {made.fingerprint}")
    print(f"It and {options.name}-key.pem go to {options.name}, by a way that nobody else sees.")
    return 0


def node(options: argparse.Namespace) -> int:
    """Make one for the machines of a cluster."""
    from labkit.live.certs import Algorithm, add_node

    folder: Path = options.folder
    made = add_node(folder, options.name, Algorithm(options.key), days=options.days)
    print(f"{folder / options.name}.pem\n    SHA-256 {made.fingerprint}")
    print(
        f"It, {options.name}-key.pem and ca.pem go to every machine of the cluster.\n"
        "Whoever has the key can have code run on all of them."
    )
    return 0


def show(options: argparse.Namespace) -> int:
    """Print what certificates say; 1 when one of them is not good now."""
    from labkit.live.certinfo import describe

    good = True
    for path in options.files:
        try:
            pem = path.read_bytes()
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}", "labkit certs make") from error
        try:
            said = describe(pem)
        except ValueError as error:
            raise BadInput(f"{path} is no certificate in PEM", "a file like server.pem") from error
        good = good and said.good
        state = "" if said.good else "  NOT GOOD NOW"
        print(f"{path}\n    {said.subject}, for {said.purpose}")
        print(f"    names   {', '.join(said.names) or 'none'}")
        print(f"    good    {said.begins:%Y-%m-%d %H:%M} to {said.ends:%Y-%m-%d %H:%M} UTC{state}")
        print(f"    SHA-256 {said.fingerprint}")
    return 0 if good else 1

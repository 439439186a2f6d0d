"""`labkit net run`: a lab network for as long as one command runs.

The command runs on our terminal, as a child of ours that has gone into the lab: Ctrl-C and job
control are as always. What it needs at other hosts is started before it and ended after it, and
prints to standard error.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from labkit.cli import common
from labkit.words.errors import BadInput

if TYPE_CHECKING:
    from labkit.live.link import Host, LabNetwork, Program

RUN_EXAMPLES: Final = """\
  labkit net run --profile train -- ping -c 10 {bob}
  labkit net run --profile voip-10 --seed 7 --capture call.pcapng \\
      --bob "streamer serve --proto tcp --host {bob} --source speech" \\
      -- receiver connect --proto tcp --addr {bob}:5000 --out heard.wav --no-sound
  labkit net run --nat --router --bottleneck 2mbit --dscp -- traceroute {bob}
  labkit net run --hosts alice,bob,carol --on carol "tcpdump -ni lab0" -- bash
"""
SERVING: Final = 2.0
"""Seconds that a program at another host has to bind a port, before we do not wait for it."""
FATES: Final = ("lost", "queue_dropped", "duplicated", "reordered", "corrupted", "cut", "refused")


def add(kinds: Any) -> None:
    """The subcommand."""
    sub = common.subcommand(
        kinds, "run", "run a command at one of two hosts with a bad link between", RUN_EXAMPLES, run
    )
    add_network_options(sub)
    sub.add_argument(
        "--bob", action="append", default=[], metavar="COMMAND", help="run this at bob meanwhile"
    )
    sub.add_argument(
        "--on", action="append", default=[], nargs=2, metavar=("HOST", "COMMAND"),
        help="run this at another host meanwhile",
    )  # fmt: skip
    sub.add_argument(
        "--at", metavar="HOST", help="where COMMAND runs (the first host, which is alice)"
    )
    sub.add_argument(
        "command",
        nargs="+",
        metavar="COMMAND",
        help="after --; {alice} and {bob} are their addresses",
    )


def add_network_options(sub: argparse.ArgumentParser) -> None:
    """The options that describe a lab network."""
    group = sub.add_argument_group("network")
    group.add_argument("--profile", default="clear", help="what the link does (clear)")
    group.add_argument("--seed", type=int, default=0, help="of the network's dice (0)")
    group.add_argument("--capture", metavar="FILE.pcapng", help="record what crosses the link")
    group.add_argument(
        "--capture-at", default="sent", metavar="sent|HOST",
        help="every packet as it was sent (sent), or what a host sent and got",
    )  # fmt: skip
    group.add_argument("--hosts", default="alice,bob", help="names, with commas (alice,bob)")
    group.add_argument("--router", action="store_true", help="a router between alice and the link")
    group.add_argument(
        "--nat", nargs="?", const=True, default=False, metavar="HOST,…",
        help="a NAT before alice, or before these hosts",
    )  # fmt: skip
    group.add_argument("--bottleneck", metavar="RATE", help="such as 2mbit, whatever the profile's")
    group.add_argument("--dscp", action="store_true", help="there, EF goes first")
    group.add_argument("--police", metavar="RATE", default=0, help="and at most so much of it")
    group.add_argument("--mtu", type=int, default=1500, help="of every link (1500)")


def network(options: argparse.Namespace) -> "LabNetwork":
    """The lab network that the options describe; it is not up."""
    from labkit.live.link import LabNetwork

    return LabNetwork(
        options.profile,
        seed=options.seed,
        hosts=options.hosts.split(","),
        router=options.router,
        nat=options.nat.split(",") if isinstance(options.nat, str) else options.nat,
        bottleneck=options.bottleneck,
        dscp=options.dscp,
        police=options.police,
        mtu=options.mtu,
        capture=options.capture,
        capture_at=options.capture_at,
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit code."""
    from labkit.live.link.namespaces import run_at

    net = network(options)
    with net:
        addresses = {name: host.address for name, host in net.hosts.items()}
        at = net[options.at or next(iter(net.hosts))]
        for name, text in [("bob", text) for text in options.bob] + options.on:
            words = fill_in(shlex.split(text), addresses)
            _wait_until_serving(net[name], net[name].start(words, capture=False))
        command = fill_in(options.command, addresses)
        code = run_at(at.place, command, surroundings(addresses))
        print_counts(net)
    return code


def fill_in(command: Sequence[str], addresses: dict[str, str]) -> list[str]:
    """A command with addresses for {alice} and the others; other braces are left alone."""
    filled = []
    for word in command:
        for name, address in addresses.items():
            word = word.replace(f"{{{name}}}", address)
        filled.append(word)
    return filled


def surroundings(addresses: dict[str, str]) -> dict[str, str]:
    """The environment of a command: each host's address, such as $BOB."""
    from labkit.live.link.host import environment

    return environment() | {name.upper(): address for name, address in addresses.items()}


def _wait_until_serving(host: "Host", program: "Program") -> None:
    """Until something is bound at the host; a program may also be one that binds nothing."""
    deadline = time.monotonic() + SERVING
    while time.monotonic() < deadline:
        if program.poll() is not None:
            what = shlex.join(program.args)
            raise BadInput(f"at {host.name}, {what!r} ended at once with {program.returncode}")
        try:
            host.wait_for_port(timeout=0.1)
        except TimeoutError:
            continue
        return


def print_counts(net: "LabNetwork") -> None:
    """A line for each direction in which something was sent."""
    for way, counts in net.counts().items():
        if not counts.sent:
            continue
        fates = [(getattr(counts, name), name.replace("_", " ")) for name in FATES]
        words = [f"{number} {name}" for number, name in fates if number]
        print(f"{way}: {', '.join([f'{counts.sent} packets', *words])}", file=sys.stderr)

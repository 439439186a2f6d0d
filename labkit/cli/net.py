"""`labkit net`: bad networks to run any program on, from a profile in netem's words.

Here are the commands that work on any system. Those of the lab network are in
`labkit.cli.netlab` (in the foreground) and `labkit.cli.netup` (in the background).
"""

import argparse
import asyncio
import sys
from typing import Any

from labkit.cli import common, netlab, netup

PROFILES_EXAMPLES = """\
  labkit net profiles                   what there is, a line each
"""
TC_EXAMPLES = """\
  labkit net tc voip-10                 the commands that do the same on a real interface
  labkit net tc train --dev eth1        a profile that changes: a command for each moment
"""
RELAY_EXAMPLES = """\
  labkit net relay --listen 127.0.0.1:6000 --to 127.0.0.1:5000 --profile voip-10
      then: receiver connect --proto udp --addr 127.0.0.1:6000
  labkit net relay --listen 0.0.0.0:6000 --to 192.168.1.20:5000 --profile train --seed 3 --proto tcp
"""


def add(commands: Any) -> None:
    """Hang `net` and what belongs to it into the commands of `labkit`."""
    net = commands.add_parser(
        "net",
        help="bad networks: a lab of two hosts, a relay, profiles",
        description="Bad networks to run any program on, from a profile in netem's words.",
        epilog=f"examples:\n{netlab.RUN_EXAMPLES}{PROFILES_EXAMPLES}{TC_EXAMPLES}{RELAY_EXAMPLES}",
        formatter_class=common.Help,
    )
    kinds = net.add_subparsers(metavar="COMMAND", required=True)
    netlab.add(kinds)
    netup.add(kinds)
    common.subcommand(kinds, "profiles", "list the profiles", PROFILES_EXAMPLES, profiles)
    _add_tc(kinds)
    _add_relay(kinds)


def _add_tc(kinds: Any) -> None:
    sub = common.subcommand(kinds, "tc", "print a profile as commands of tc", TC_EXAMPLES, tc)
    sub.add_argument("profile", metavar="PROFILE", help="a name, or the path of a .toml file")
    sub.add_argument("--dev", default="DEV", help="the interface to name in the commands")


def _add_relay(kinds: Any) -> None:
    sub = common.subcommand(
        kinds, "relay", "a bad network for one port, on any system", RELAY_EXAMPLES, relay
    )
    sub.add_argument("--listen", type=common.address, required=True, metavar="HOST:PORT")
    sub.add_argument("--to", type=common.address, required=True, metavar="HOST:PORT")
    sub.add_argument("--profile", default="voip-10", help="what the network does (voip-10)")
    sub.add_argument("--seed", type=int, default=0, help="of the network's dice (0)")
    sub.add_argument("--proto", choices=["udp", "tcp", "both"], default="both")


def profiles(options: argparse.Namespace) -> int:
    """Name and title of each profile."""
    del options
    from labkit.resources import load_profile, profile_names

    names = profile_names()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {load_profile(name).title}")
    return 0


def tc(options: argparse.Namespace) -> int:
    """The commands that do on a real interface what a profile says, for both directions."""
    from labkit.resources import load_profile

    profile = load_profile(options.profile)
    print(f"# {profile.name}: {profile.title}")
    ways = [("both directions", profile.up)]
    if profile.up != profile.down:
        ways = [("up", profile.up), ("down: on the other host", profile.down)]
    for title, spec in ways:
        print(f"# {title}")
        for line in _tc_lines(spec, options.dev):
            print(line)
    return 0


def _tc_lines(spec: Any, device: str) -> list[str]:
    """One command, or for a link that changes one for each moment."""
    from labkit.words.tc import tc_steps, write_time

    lines = []
    for moment, words in tc_steps(spec):
        verb = "change" if moment else "replace"
        after = f"    # after {write_time(moment)}" if moment else ""
        lines.append(f"tc qdisc {verb} dev {device} root netem {' '.join(words)}{after}")
    if spec.repeat:
        lines.append(f"# and from the start again after {write_time(spec.repeat)}")
    return lines


def relay(options: argparse.Namespace) -> int:
    """Relay until Ctrl-C."""
    return common.run_until_interrupt(lambda stop: _relay(options, stop))


async def _relay(options: argparse.Namespace, stop: asyncio.Event) -> int:
    from contextlib import AsyncExitStack

    from labkit.live.relay import TcpRelay, UdpRelay
    from labkit.resources import load_profile

    profile = load_profile(options.profile)
    listen, to = options.listen, options.to
    async with AsyncExitStack() as stack:
        if options.proto != "tcp":
            udp = await UdpRelay.start(listen, to, profile, options.seed)
            await stack.enter_async_context(udp)
        if options.proto != "udp":
            tcp = await TcpRelay.start(listen, to, profile, options.seed)
            await stack.enter_async_context(tcp)
        print(f"{profile.name}: {profile.title}")
        print(f"send to {listen[0]}:{listen[1]} what is meant for {to[0]}:{to[1]}; Ctrl-C ends it")
        sys.stdout.flush()
        await stop.wait()
    return 0

"""A voice on a full line: how late it comes, whoever goes first, and what the others have.

    python benchmarks/qos.py [--seconds 4] [--picture PNG]

One voice (G.711, 50 packets a second, EF) from alice to bob over 2 Mbit/s, 10 ms and a queue of 100
packets, beside one TCP connection of the kernel, or a flood of UDP at 1.2 times the line's rate.
First our bottleneck without priority and with it, then as a peer the kernel's own strict priority
at the same place: classes of HTB on a router (tc-htb(8)), told apart by the same DSCP; and what
Linux does by itself with a mark (pfifo_fast behind a token bucket).

Delays are the kernel's time of arrival less the sender's, of one clock.
"""

import argparse
from pathlib import Path
from typing import Any

from labkit.lab.latencies import before_after
from labkit.lab.qos import QUEUE, RATE, BesideBulk, measure, narrow
from labkit.live.link import LabNetwork
from labkit.words.dscp import name_of
from labkit.words.units import to_ms

LINE = "2mbit"
CLASS = "burst 1600 cburst 1600"
HTB = (
    "qdisc replace dev to-bob root handle 1: htb default 20",
    f"class add dev to-bob parent 1: classid 1:1 htb rate {LINE} {CLASS}",
    f"class add dev to-bob parent 1:1 classid 1:10 htb rate 200kbit ceil {LINE} prio 0 {CLASS}",
    f"class add dev to-bob parent 1:1 classid 1:20 htb rate 1800kbit ceil {LINE} prio 1 {CLASS}",
    f"qdisc add dev to-bob parent 1:10 pfifo limit {QUEUE}",
    f"qdisc add dev to-bob parent 1:20 pfifo limit {QUEUE}",
    "filter add dev to-bob parent 1: protocol ip prio 1 u32 match ip tos 0xb8 0xfc flowid 1:10",
)
PFIFO_FAST = (
    f"qdisc replace dev to-bob root handle 1: tbf rate {LINE} burst 1600 limit {QUEUE * 1500}",
    "qdisc add dev to-bob parent 1: handle 10: pfifo_fast",  # takes the device's own limit
)


def ours(seconds: float, *, first: bool, police: str | int = 0, **words: Any) -> BesideBulk:
    """Our bottleneck."""
    with LabNetwork(narrow(), bottleneck=LINE, dscp=first, police=police) as net:
        return measure(net, seconds, **words)


def kernel(seconds: float, commands: tuple[str, ...], name: str) -> BesideBulk:
    """The kernel's: a router whose device is the line; what we do behind it is the 10 ms."""
    with LabNetwork(narrow(), bottleneck="1gbit", router=True) as net:
        net.router.run(["ip", "link", "set", "to-bob", "txqueuelen", str(QUEUE)], check=True)
        for command in commands:
            net.router.run(["tc", *command.split()], check=True)
        return measure(net, seconds, line_rate=RATE, name=name)


def row(who: str, beside: str, run: BesideBulk) -> str:
    """A line of the table."""
    marks = ", ".join(map(name_of, run.dscps)) or "-"
    if not len(run):
        return f"| {who} | {beside} | {marks} | - | - | - | 100 % | {run.bulk_share:.0%} |"
    delays = " | ".join(f"{to_ms(run.percentile(q)):.1f}" for q in (50, 99, 100))
    return f"| {who} | {beside} | {marks} | {delays} | {run.lost:.1%} | {run.bulk_share:.0%} |"


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=4)
    options.add_argument("--picture", type=Path, metavar="PNG")
    given = options.parse_args()
    s = given.seconds
    print("| who goes first | beside | mark | median, ms | 99 % | worst | lost | bulk has |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    pictured = []
    for first, name in ((False, "first come"), (True, "EF")):
        beside: str
        words: dict[str, str]
        for beside, words in (
            ("nothing", {"bulk": ""}),
            ("TCP, cubic", {}),
            ("TCP, BBR", {"control": "bbr"}),
            ("UDP flood", {"bulk": "flood"}),
        ):
            run = ours(s, first=first, **words)
            pictured += [run] if beside == "TCP, cubic" else []
            print(row(name, beside, run), flush=True)
    flooded = {"bulk": "flood", "bulk_dscp": "EF"}
    print(row("EF", "UDP flood, EF", ours(s, first=True, **flooded)), flush=True)
    print(row("EF", "UDP flood, EF; voice not", ours(s, first=True, dscp="0", **flooded)))
    policed = ours(s, first=True, police="500kbit", dscp="0", **flooded)
    print(row("EF, 500 kbit/s of it", "the same", policed), flush=True)
    print(row("kernel: HTB, EF", "TCP, cubic", kernel(s, HTB, "htb")), flush=True)
    print(row("kernel: pfifo_fast", "TCP, cubic", kernel(s, PFIFO_FAST, "pfifo_fast")), flush=True)
    if given.picture:
        title = "A voice beside one TCP connection, on a line of 2 Mbit/s"
        before_after(*pictured, title=title).save(given.picture)


if __name__ == "__main__":
    main()

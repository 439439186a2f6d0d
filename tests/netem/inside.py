"""What runs inside the kernel that has netem: a cable for each spec, and packets on all of them.

    python inside.py PLAN FOLDER

PLAN is JSON: `packets`, `interval_ms`, and `words`, a list of netem's words for each cable. alice
sends on every cable, bob notes what arrives; FOLDER then holds `sent` and `received`.
"""

import json
import subprocess
import sys
from pathlib import Path

PROBE = Path(__file__).parents[1] / "engines" / "probe.py"
PORT = "7000"
SILENCE_S = "4"


def batch(program: str, host: str, lines: list[str]) -> None:
    """Many commands of ip or tc in one process: starting one takes long in here."""
    command = [program, "-n", host, "-batch", "-"]
    subprocess.run(command, input="\n".join(lines), text=True, check=True)


def lay_cables(words: list[str]) -> list[str]:
    """Cable n is 10.n.0.1 to 10.n.0.2, and its ends know each other: nothing else is sent."""
    for host in ("alice", "bob"):
        subprocess.run(["ip", "netns", "add", host], check=True)
    ends: dict[str, list[str]] = {"alice": [], "bob": []}
    netem = []
    for n, spec in enumerate(words):
        own, other = f"02:00:00:00:{n:02x}:01", f"02:00:00:00:{n:02x}:02"
        ends["alice"] += [
            f"link add c{n} address {own} type veth peer name c{n} netns bob address {other}",
            f"address add 10.{n}.0.1/24 dev c{n}",
            f"link set c{n} up",
            f"neigh replace 10.{n}.0.2 lladdr {other} nud permanent dev c{n}",
        ]
        ends["bob"] += [f"address add 10.{n}.0.2/24 dev c{n}", f"link set c{n} up"]
        netem.append(f"qdisc add dev c{n} root netem {spec}")
    for host, lines in ends.items():
        batch("ip", host, lines)
    batch("tc", "alice", netem)
    return [f"10.{n}.0.2" for n in range(len(words))]


def main(plan_file: str, folder: str) -> None:
    plan = json.loads(Path(plan_file).read_text())
    addresses = lay_cables(plan["words"])
    on = ["ip", "netns", "exec"]
    probe = [sys.executable, str(PROBE)]
    receiver = subprocess.Popen(
        [*on, "bob", *probe, "receive", PORT, SILENCE_S, f"{folder}/received"],
        stdout=subprocess.PIPE,
    )
    assert receiver.stdout is not None
    receiver.stdout.readline()
    many = [str(plan["packets"]), str(plan["interval_ms"])]
    subprocess.run(
        [*on, "alice", *probe, "send", PORT, *many, f"{folder}/sent", *addresses], check=True
    )
    receiver.wait()
    subprocess.run(["tc", "-n", "alice", "-s", "qdisc", "show"], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

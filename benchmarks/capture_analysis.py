"""Analysis of a capture: packets a second, beside tshark, dpkt and scapy in the same run.

    python benchmarks/capture_analysis.py [--json] [--dpkt PYTHON] [--large GIGABYTES]

The capture has 100 000 RTP packets of seven sizes, with loss, reordering and jitter. We and tshark
tell loss and jitter of every stream, and the figures must be the same; dpkt and scapy only read the
sequence number, timestamp and SSRC of every packet, which is less work. tshark's time is that of
the command; what it takes to start, measured on a capture of one packet, is told beside it.

`--dpkt` names a Python that has dpkt, which the project does not depend on. `--large` also counts a
file of that size, and how much memory that takes.
"""

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from labkit.lab.replay import Replay
from labkit.wire import ip, pcap, rtp
from labkit.wire.linklayer import ETHERNET
from labkit.words.packet import Packet

PACKETS = 100_000
ROUNDS = 7

DPKT = """
import dpkt, struct, sys, time
start = time.perf_counter()
count = 0
with open(sys.argv[1], "rb") as file:
    for _, data in dpkt.pcapng.Reader(file):
        packet = dpkt.rtp.RTP(dpkt.ethernet.Ethernet(data).data.data.data)
        packet.seq, packet.ts, packet.ssrc
        count += 1
print(count / (time.perf_counter() - start))
"""
MEMORY = """
import sys
from labkit.lab.replay import Replay

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

before = peak()
replay = Replay(sys.argv[1], timeline=sys.argv[2] == "timeline")
tables = [len(s.counts.timeline) for s in replay.streams if sys.argv[2] == "timeline"]
print(peak() - before, before)
"""


def make_capture(path: Path, packets: int) -> None:
    """A voice at 50 packets a second: 3 % lost, some reordered, 8 ms of jitter."""
    rng = random.Random(1)
    sent = []
    for i in range(packets):
        payload = bytes(rng.choice([77, 91, 148, 160, 172, 188, 200]))
        packet = Packet(i % 65_536, 160 * i % 2**32, payload, i == 0, 0, 0xABC0)
        late = abs(rng.gauss(0, 8e6)) if i else 0
        if i in (0, packets - 1) or rng.random() > 0.03:
            sent.append((10**18 + 20_000_000 * i + int(late), rtp.pack(packet)))
    ethernet = bytes(12) + b"\x08\x00"
    interface = pcap.INTERFACE.pack(ETHERNET, 0, 0)
    options = [(pcap.IF_TSRESOL, pcap.NANOSECONDS)]
    with path.open("wb") as file:
        file.write(pcap.section_header())
        file.write(pcap.block(pcap.INTERFACE_DESCRIPTION, interface, options))
        for now, data in sorted(sent):
            datagram = ip.udp(data, ("10.0.0.1", 5004), ("10.0.0.2", 6004))
            file.write(pcap.enhanced_packet(now, ethernet + datagram))


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def tshark(path: Path) -> str:
    command = ["tshark", "-n", "-q", "-r", str(path), "-o", "rtp.heuristic_rtp:TRUE"]
    done = subprocess.run(
        [*command, "-z", "rtp,streams"], capture_output=True, text=True, check=True
    )
    return done.stdout


def same_figures(path: Path) -> list[str]:
    """Packets, lost, mean and largest jitter: ours; they must be tshark's to the last digit."""
    counts = Replay(path).streams[0].counts
    jitter = [f"{value / 1e6:.3f}" for value in (counts.mean_jitter, counts.max_jitter)]
    ours = [str(counts.packets), str(counts.lost), *jitter]
    line = next(line for line in tshark(path).splitlines() if "0x0000ABC0" in line)
    theirs = re.search(r"(\d+) +(-?\d+) \(", line)
    assert theirs is not None
    assert ours == [*theirs.groups(), *line.split()[-3:-1]], (ours, line)
    return ours


def scapy(path: Path) -> int:
    from scapy.layers.inet import UDP
    from scapy.layers.rtp import RTP
    from scapy.packet import bind_layers
    from scapy.utils import PcapReader

    bind_layers(UDP, RTP, dport=6004)
    count = 0
    with PcapReader(str(path)) as reader:
        for packet in reader:
            header = packet[RTP]
            _ = header.sequence, header.timestamp, header.sourcesync
            count += 1
    return count


def python(interpreter: str, code: str, *arguments: object) -> list[float]:
    command = [interpreter, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def measure(folder: Path, dpkt: str | None) -> dict[str, float]:
    path, single = folder / "many.pcapng", folder / "one.pcapng"
    make_capture(path, PACKETS)
    make_capture(single, 2)
    packets, *_ = figures = same_figures(path)
    print(f"packets, lost, mean and largest jitter, as tshark: {', '.join(figures)}")
    ours, theirs, start, dpkt_rates = [], [], [], [0.0]
    for _ in range(ROUNDS):  # in turns, so that a slow moment meets everybody
        ours.append(timed(lambda: [s.counts.timeline for s in Replay(path).streams]))
        theirs.append(timed(lambda: tshark(path)))
        start.append(timed(lambda: tshark(single)))
        dpkt_rates += python(dpkt, DPKT, path) if dpkt else []
    count = int(packets)
    rates = {"labkit": count / min(ours), "tshark": count / min(theirs)}
    rates["tshark, without its start"] = count / (min(theirs) - min(start))
    if dpkt:
        rates["dpkt"] = max(dpkt_rates)
    rates["scapy"] = count / timed(lambda: scapy(path))  # once: it takes long
    extra, _ = python(sys.executable, MEMORY, path, "timeline")
    rates["memory / file"] = extra * 1024 / path.stat().st_size
    return rates


def measure_large(folder: Path, gigabytes: float) -> dict[str, float]:
    """A long file is a short one many times over, each time a new section."""
    short, long = folder / "many.pcapng", folder / "large.pcapng"
    with long.open("wb") as out:
        while out.tell() < gigabytes * 1e9:
            with short.open("rb") as piece:
                shutil.copyfileobj(piece, out)
    size = long.stat().st_size
    start = time.perf_counter()
    extra, before = python(sys.executable, MEMORY, long, "count")
    seconds = time.perf_counter() - start
    return {
        "MB": size / 1e6,
        "seconds": seconds,
        "extra MB": extra / 1e3,
        "MB at start": before / 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--dpkt", metavar="PYTHON", help="a Python that has dpkt")
    parser.add_argument("--large", type=float, metavar="GB", help="count a file of this size too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rates = measure(Path(name), options.dpkt)
        large = measure_large(Path(name), options.large) if options.large else {}
    if options.json:
        print(json.dumps({**rates, **large}))
        return
    memory = rates.pop("memory / file")
    print("| reads the capture | packets/s | labkit is faster by |\n| --- | ---: | ---: |")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {rates['labkit'] / rate:.1f} |")
    print(f"memory for analysis and timeline: {memory:.1f} times the file")
    if large:
        print(", ".join(f"{value:,.1f} {name}" for name, value in large.items()))


if __name__ == "__main__":
    main()

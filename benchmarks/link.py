"""How fast and how punctual the lab network is.

- TCP between the two kernels over a link on which nothing happens, and over one with 10 ms and 1 %
  loss: what a program that only reads gets.
- 2000 datagrams a second over a link of 40 ms: how late each is in the other kernel, by one clock.

    python benchmarks/link.py
"""

import argparse
import statistics
import sys

from labkit.live.link import LabNetwork
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.units import ms, to_ms

READ_ALL = """
import socket, sys, time
with socket.create_server((sys.argv[1], 5000)) as server:
    with server.accept()[0] as sock:
        started, size = time.monotonic(), 0
        buffer = bytearray(1 << 18)
        while got := sock.recv_into(buffer):
            size += got
        print(size * 8 / (time.monotonic() - started) / 1e6)
"""
SEND_FOR = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 5000)) as sock:
    end = time.monotonic() + float(sys.argv[2])
    data = bytes(1 << 18)
    while time.monotonic() < end:
        sock.send(data)
"""
STAMP = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.connect((sys.argv[1], 5000))
    due = time.monotonic_ns()
    for _ in range(int(sys.argv[2])):
        while (left := due - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        sock.send(time.time_ns().to_bytes(8).ljust(160))
        due += 500_000
"""
LISTEN = """
import socket, struct, sys
SO_TIMESTAMPNS = 35
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.bind((sys.argv[1], 5000))
    delays = []
    while len(delays) < int(sys.argv[2]):
        sent, [(_, _, stamp)], _, _ = sock.recvmsg(200, 64)
        whole, rest = struct.unpack("qq", stamp)
        delays.append(whole * 10**9 + rest - int.from_bytes(sent[:8]))
        sock.settimeout(2)
    print(*delays)
"""


def link(**words: float) -> Profile:
    """A profile that is the same in both directions."""
    spec = LinkSpec(**words)  # type: ignore[arg-type]
    return Profile("benchmark", "", "", spec, spec)


def tcp_throughput(profile: Profile, duration: float) -> float:
    """Megabits a second that arrive."""
    with LabNetwork(profile) as net:
        python = sys.executable, "-c"
        reader = net.bob.start([*python, READ_ALL, net.bob.address])
        net.bob.wait_for_port(5000, proto="tcp")
        net.alice.run([*python, SEND_FOR, net.bob.address, str(duration)], check=True)
        reader.wait(30)
        return float(reader.stdout.text)


def delay_errors(profile: Profile, packets: int) -> list[float]:
    """How much later than the profile says each datagram came, in milliseconds, sorted."""
    with LabNetwork(profile) as net:
        python = sys.executable, "-c"
        listener = net.bob.start([*python, LISTEN, net.bob.address, str(packets)])
        net.bob.wait_for_port(5000, proto="udp")
        net.alice.run([*python, STAMP, net.bob.address, str(packets)], check=True)
        listener.wait(10)
        delays = map(int, listener.stdout.text.split())
    return sorted(to_ms(delay - profile.up.delay) for delay in delays)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description="Throughput and punctuality of the lab network.")
    options.add_argument("--seconds", type=float, default=3)
    seconds = options.parse_args().seconds
    clear = tcp_throughput(link(), seconds)
    lossy = tcp_throughput(link(delay=ms(10), loss=0.01), seconds)
    errors = delay_errors(link(delay=ms(40)), int(2000 * seconds))
    cuts = statistics.quantiles(errors, n=100)
    print(f"TCP, nothing happens      {clear:7.0f} Mbit/s   (wanted: 500)")
    print(f"TCP, 10 ms and 1 % loss   {lossy:7.0f} Mbit/s")
    print(
        f"2000 packets/s, 40 ms     late by {cuts[49]:.3f} ms (median), {cuts[94]:.3f} ms (95 %), "
        f"{cuts[98]:.3f} ms (99 %), {errors[-1]:.3f} ms (most)   (wanted: 95 % under 1)"
    )


if __name__ == "__main__":
    main()

"""Packets through real networks: sends numbered datagrams at even intervals, or notes arrivals.

    python probe.py receive PORT SECONDS FILE               until so long after the last packet
    python probe.py send PORT PACKETS INTERVAL_MS FILE ADDRESS…

Several addresses take turns, so that all of them get PACKETS packets each, at that interval. The
sender writes for each packet when it was sent, the receiver for each one when the kernel took it
in: lines of `place number nanoseconds`, `place` being the address's place in the list. Both read
the clock of the same kernel. Only Python's own library is used, so that it runs anywhere.
"""

import socket
import struct
import sys
import time
from pathlib import Path

SIZE = 200
HEAD = struct.Struct("!HI")
NANOSECONDS = struct.Struct("@qq")
SO_TIMESTAMPNS = 35
"""Linux's; Python knows it from 3.14 on."""


def receive(port: int, silence: float, file: Path) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind(("0.0.0.0", port))
    sock.settimeout(60)
    print("listening", flush=True)
    lines = []
    try:
        while True:
            data, extra, _, _ = sock.recvmsg(SIZE, 64)
            second, nanosecond = NANOSECONDS.unpack(extra[0][2])
            place, number = HEAD.unpack_from(data)
            lines.append(f"{place} {number} {second * 10**9 + nanosecond}\n")
            if len(lines) == 1:
                sock.settimeout(silence)
    except TimeoutError:
        file.write_text("".join(lines))


def send(port: int, packets: int, interval_ms: float, file: Path, addresses: list[str]) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    lines = []
    begin = time.monotonic()
    step = interval_ms / 1e3 / len(addresses)
    rest = bytes(SIZE - HEAD.size)
    for turn in range(packets * len(addresses)):
        number, place = divmod(turn, len(addresses))
        wait = begin + turn * step - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        data = HEAD.pack(place, number) + rest
        instant = time.time_ns()
        sock.sendto(data, (addresses[place], port))
        lines.append(f"{place} {number} {instant}\n")
    file.write_text("".join(lines))


if __name__ == "__main__":
    what, port, *words = sys.argv[1:]
    if what == "receive":
        receive(int(port), float(words[0]), Path(words[1]))
    else:
        send(int(port), int(words[0]), float(words[1]), Path(words[2]), words[3:])

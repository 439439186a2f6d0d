"""Traffic for measurements, each packet of which says when it was sent: programs for a lab's hosts.

    python -m labkit.live.probe hear  HOST PORT [LAST]            prints what came, at the end
    python -m labkit.live.probe voice HOST PORT SECONDS [DSCP]    RTP: G.711, 50 packets a second
    python -m labkit.live.probe drain HOST PORT [udp]             takes bulk; prints how much
    python -m labkit.live.probe pour  HOST PORT SECONDS [DSCP] [CONGESTION-CONTROL]
    python -m labkit.live.probe flood HOST PORT SECONDS [DSCP] RATE      UDP, whatever is lost

The one-way delay of a packet is when the kernel of who hears it had it, less what its payload says
(RFC 7679). That is right only where both read the same clock, as all hosts of a lab do: between
two computers, clocks differ by more than the delay.

These are programs and no machines: the traffic is what matters, and the simpler it is the less of
its delay is our own.
"""

import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from labkit.live.clock import now
from labkit.live.link.punctual import be_punctual
from labkit.live.marks import ask_for_marks, receive_marked
from labkit.live.sockopts import set_mark
from labkit.wire import rtp
from labkit.words.dscp import read_dscp
from labkit.words.errors import WireError
from labkit.words.packet import Packet
from labkit.words.tc import read_rate
from labkit.words.units import NS_PER_S, ms, seconds, to_seconds

FRAME: Final = ms(20)
PAYLOAD: Final = 160
"""Bytes of G.711 in 20 ms (RFC 3551 section 4.5.14)."""
CHUNK: Final = 1 << 16
DATAGRAM: Final = 1472
"""Bytes of a datagram that fills 1500."""
FULL: Final = 1 << 16
"""Bytes after which a drain says that it flows: TCP has filled the queue, or is about to."""
SILENCE_S: Final = 1.0
"""Seconds without a packet after which a voice has ended, if its last packet is lost."""
PATIENCE_S: Final = 30.0
"""Seconds to wait for the first."""


def hear(host: str, port: str, last: str = "-1") -> None:
    """Take a voice to its end; print [seq, delay in ns, DSCP] of each packet as JSON.

    It ends when the packet with the number `last` has come, or nothing comes any more.
    """
    came: list[tuple[int, int, int]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        ask_for_marks(sock)
        sock.bind((host, int(port)))
        sock.settimeout(PATIENCE_S)
        with suppress(TimeoutError):
            while not came or came[-1][0] != int(last):
                arrival = receive_marked(sock)
                sock.settimeout(SILENCE_S)
                stamp = arrival.stamp or time.time_ns()
                try:
                    packet = rtp.unpack(arrival.data)
                except WireError:
                    continue
                delay = stamp - int.from_bytes(packet.payload[:8])
                came.append((packet.seq, delay, arrival.mark.dscp if arrival.mark else 0))
    print(json.dumps(came))


def voice(host: str, port: str, duration: str, dscp: str = "EF") -> None:
    """A packet every 20 ms, with the date in its first eight bytes. Print how many."""
    count = seconds(float(duration)) // FRAME
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        set_mark(sock, read_dscp(dscp))
        sock.connect((host, int(port)))
        due = now()
        for number in range(count):
            while (left := due - now()) > 0:
                time.sleep(to_seconds(left))
            payload = time.time_ns().to_bytes(8).ljust(PAYLOAD, b"\xff")
            sock.send(rtp.pack(Packet(number, number * PAYLOAD, payload, number == 0, 0, 0xEF)))
            due += FRAME
    print(count)


def drain(host: str, port: str, proto: str = "tcp") -> None:
    """Take one connection, or the datagrams of a flood, to the end; print how much, how fast.

    Of TCP the bytes that came in order are counted, of UDP whole packets with their headers.
    """
    if proto == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((host, int(port)))
            _drain(sock, headers=28, patience=SILENCE_S)
    else:
        with socket.create_server((host, int(port))) as server, server.accept()[0] as sock:
            _drain(sock)


def _drain(sock: socket.socket, headers: int = 0, patience: float | None = None) -> None:
    since = until = size = 0
    with suppress(TimeoutError):
        while data := sock.recv(CHUNK):
            sock.settimeout(patience)
            until = now()
            if not since:
                since = until  # what came first says when it began, and not how fast it came
                continue
            if size < FULL <= size + len(data):
                print("it flows", flush=True)
            size += len(data) + headers
    print(json.dumps({"bytes": size, "ns": until - since}))


def pour(host: str, port: str, duration: str, dscp: str = "0", control: str = "") -> None:
    """TCP, as fast as it goes."""
    with socket.socket() as sock:
        set_mark(sock, read_dscp(dscp))
        if control:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
        sock.connect((host, int(port)))
        end = now() + seconds(float(duration))
        sock.settimeout(float(duration) + 1)
        data = bytes(CHUNK)
        while now() < end:
            sock.send(data)


def flood(host: str, port: str, duration: str, dscp: str = "0", rate: str = "1mbit") -> None:
    """UDP at a rate, headers counted."""
    every = (DATAGRAM + 28) * 8 * NS_PER_S // read_rate(rate)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        set_mark(sock, read_dscp(dscp))
        sock.connect((host, int(port)))
        due = now()
        end = due + seconds(float(duration))
        while due < end:
            while (left := due - now()) > 0:
                time.sleep(to_seconds(left))
            try:
                sock.send(bytes(DATAGRAM))
            except ConnectionRefusedError:  # ICMP: nobody listens, which is none of our concern
                continue
            finally:
                due += every


PROGRAMS: Final[dict[str, Callable[..., None]]] = {
    each.__name__: each for each in (hear, voice, drain, pour, flood)
}


def main() -> int:
    """Run the program that is named first."""
    if len(sys.argv) < 4 or sys.argv[1] not in PROGRAMS:
        print(__doc__, file=sys.stderr)
        return 2
    be_punctual()
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())

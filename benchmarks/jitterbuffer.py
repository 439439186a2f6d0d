"""How many packets a second go through the jitter buffer: ours and aiortc's, in one run.

    python benchmarks/jitterbuffer.py

One push and one pull for each packet of a stream in order, against aiortc's `add`, which does both.
The two take turns and the best round of each counts, because other work on the machine only ever
slows things down. Only the ratio carries over to another machine.
"""

import time
from collections.abc import Callable

from aiortc.jitterbuffer import JitterBuffer as AiortcBuffer
from aiortc.rtp import RtpPacket

from labkit.core.delaypolicy import Adaptive, DelayPolicy, Fixed
from labkit.core.jitterbuffer import JitterBuffer
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32
from labkit.words.units import ms

PACKETS = 50_000
ROUNDS = 9
FRAME = ms(20)
PAYLOAD = bytes(80)


def our_packets() -> list[Packet]:
    return [Packet(add16(0, i), add32(0, i * 960), PAYLOAD) for i in range(PACKETS)]


def their_packets() -> list[RtpPacket]:
    packets = []
    for i in range(PACKETS):
        packet = RtpPacket(sequence_number=add16(0, i), timestamp=add32(0, i * 960))
        setattr(packet, "_data", PAYLOAD)  # noqa: B010 - as aiortc's receiver sets it
        packets.append(packet)
    return packets


def ours(policy: Callable[[], DelayPolicy], packets: list[Packet]) -> float:
    """Seconds for all packets."""
    buffer = JitterBuffer(policy())
    push, pull = buffer.push, buffer.pull
    now = 0
    start = time.process_time()
    for packet in packets:
        push(packet, now)
        pull(now)
        now += FRAME
    took = time.process_time() - start
    assert buffer.played > PACKETS - 10
    return took


def theirs(packets: list[RtpPacket]) -> float:
    """Seconds for all packets, with the settings of aiortc's audio receiver."""
    buffer = AiortcBuffer(capacity=16, prefetch=4)
    add = buffer.add
    start = time.process_time()
    for packet in packets:
        add(packet)
    return time.process_time() - start


def main() -> None:
    packets, aiortc_packets = our_packets(), their_packets()
    best = {"aiortc": 1e9, "Fixed": 1e9, "Adaptive": 1e9}
    for _ in range(ROUNDS):
        best["aiortc"] = min(best["aiortc"], theirs(aiortc_packets))
        best["Fixed"] = min(best["Fixed"], ours(Fixed, packets))
        best["Adaptive"] = min(best["Adaptive"], ours(Adaptive, packets))
    for name, took in best.items():
        rate = PACKETS / took
        print(f"{name:10} {rate / 1000:6.0f} k packets/s   {best['aiortc'] / took:4.2f} x aiortc")


if __name__ == "__main__":
    main()

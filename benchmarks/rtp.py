"""RTP: how many packets a second we pack and unpack, beside aiortc in the same run.

    python benchmarks/rtp.py [--json]

Both take the same packet of 160 bytes of payload, the size of 20 ms of Opus at 64 kbit/s, and
both check the header when they read it. The goal is twice aiortc's rate.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

from aiortc.rtp import RtpPacket

from labkit.wire import rtp
from labkit.words.packet import Packet

ROUNDS = 9
PACKETS = 10_000

OURS = Packet(seq=4711, timestamp=960_000, payload=bytes(160), payload_type=111, ssrc=0x1234567)


def their_packet() -> RtpPacket:
    return RtpPacket(
        payload_type=OURS.payload_type,
        sequence_number=OURS.seq,
        timestamp=OURS.timestamp,
        ssrc=OURS.ssrc,
        payload=OURS.payload,
    )


THEIRS = their_packet()
THEIRS_WITH_EXTRAS = their_packet()
THEIRS_WITH_EXTRAS.csrc = [1, 2]
THEIRS_WITH_EXTRAS.padding_size = 4


def ours(count: int) -> None:
    pack, unpack = rtp.pack, rtp.unpack
    for _ in range(count):
        unpack(pack(OURS))


def ours_with_extras(count: int) -> None:
    for _ in range(count):
        rtp.unpack(rtp.pack(OURS, csrcs=(1, 2), padding=4))


def aiortc(count: int) -> None:
    for _ in range(count):
        RtpPacket.parse(THEIRS.serialize())


def aiortc_with_extras(count: int) -> None:
    for _ in range(count):
        RtpPacket.parse(THEIRS_WITH_EXTRAS.serialize())


def rates(*contestants: Callable[[int], None]) -> list[list[float]]:
    """Packets a second in each round. Rounds take turns, so that a slow moment meets everybody."""
    found: list[list[float]] = [[] for _ in contestants]
    for _ in range(ROUNDS):
        for contestant, results in zip(contestants, found, strict=True):
            start = time.perf_counter()
            contestant(PACKETS)
            results.append(PACKETS / (time.perf_counter() - start))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json

    assert rtp.pack(OURS) == THEIRS.serialize(), "the two must do the same work"
    names = ("plain header", "two CSRCs and padding")
    found = rates(ours, aiortc, ours_with_extras, aiortc_with_extras)
    medians = [statistics.median(each) for each in found]
    rows = list(zip(names, medians[::2], medians[1::2], strict=True))
    if as_json:
        print(json.dumps({name: {"labkit": us, "aiortc": peer} for name, us, peer in rows}))
        return
    print("| pack + checked unpack | labkit, packets/s | aiortc, packets/s | ratio |")
    print("| --- | ---: | ---: | ---: |")
    for name, us, peer in rows:
        print(f"| {name} | {us:,.0f} | {peer:,.0f} | {us / peer:.2f} |")


if __name__ == "__main__":
    main()

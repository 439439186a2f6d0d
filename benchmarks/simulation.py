"""How fast is virtual time? One minute of 50 packets a second through the world.

Two machines that do next to nothing are joined by a link with delay, jitter and loss: what is
left is the cost of the world itself.

    python benchmarks/simulation.py
"""

import statistics
import time

from labkit.core.impairment import Impairment
from labkit.sim.world import World
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import Address, Datagram, Event
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds

FRAME = ms(20)
DURATION = seconds(60)
LINK = LinkSpec(delay=ms(50), jitter=ms(20), loss=0.02)
PROFILE = Profile("benchmark", "delay, jitter and loss", "", LINK, LINK)


class Metronome:
    """Sends 160 bytes every 20 ms."""

    def __init__(self, destination: Address) -> None:
        self.destination = destination
        self.due = 0
        self.out: list[Datagram] = []

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Nobody answers."""

    def tick(self, now: int) -> None:
        """Send what is due."""
        while self.due <= now:
            self.out.append(Datagram(bytes(160), self.destination))
            self.due += FRAME

    def deadline(self) -> int | None:
        """When the next frame is due, until the minute is over."""
        return self.due if self.due < DURATION else None

    def transmits(self) -> list[Datagram]:
        """Hand over the frames."""
        out, self.out = self.out, []
        return out

    def events(self) -> list[Event]:
        """Nothing happens."""
        return []


class Listener(Metronome):
    """Takes datagrams, and wants a tick every 20 ms as a playout does."""

    received = 0

    def receive_datagram(self, data: bytes, source: Address, now: int) -> None:
        """Count it."""
        self.received += 1

    def tick(self, now: int) -> None:
        """Let a frame's time pass."""
        while self.due <= now:
            self.due += FRAME


def simulate() -> tuple[float, int]:
    world = World(seed=1)
    sender, receiver = Metronome("bob"), Listener("alice")
    world.add(sender, "alice")
    world.add(receiver, "bob")
    world.connect(sender, receiver, PROFILE)
    start = time.perf_counter()
    world.run(until=DURATION)
    return time.perf_counter() - start, 2 * 3000 + receiver.received


def link_alone() -> float:
    link = Impairment(LINK, 1)
    data = bytes(160)
    start = time.perf_counter()
    for packet in range(3000):
        link.push(data, packet * FRAME)
    return time.perf_counter() - start


def main() -> None:
    runs = [simulate() for _ in range(9)]
    whole = statistics.median(run[0] for run in runs)
    events = runs[0][1]
    link = statistics.median(link_alone() for _ in range(9))
    print(f"one minute of 3000 packets:  {whole * 1e3:6.1f} ms   {events} events")
    print(
        f"  of this the link:          {link * 1e3:6.1f} ms   {link / 3000 * 1e6:.2f} us a packet"
    )
    print(f"  the world and two trivial machines: {(whole - link) / events * 1e6:.2f} us an event")


if __name__ == "__main__":
    main()

"""A machine's place in the world: what drives it through the five steps.

The numbers in the comments are those of `labkit.words.machine`, and `labkit.live` has the same
five. What differs is step 5: here an alarm is an entry in the world's queue.

This module does not know what time it is: it asks the world.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from labkit.core.impairment import Impairment
from labkit.sim.bytestream import ByteStream
from labkit.sim.clock import SkewedClock
from labkit.sim.tap import Crossing
from labkit.words.errors import LocalProtocolError
from labkit.words.machine import Address, Event

if TYPE_CHECKING:
    from labkit.sim.world import World

PATIENCE: Final = 10_000
"""Ticks at one instant after which a machine is taken to be stuck."""
HIGH_WATER: Final = 16 * 1024
"""Bytes waiting in a stream above which its machine must pause; as in `labkit.live.tcp`. When a
quarter of them is left it may write again."""


class Alarm:
    """Something that wants to be woken. At most one of its entries in the queue counts."""

    __slots__ = ("_queue", "_rung", "_rung_at", "armed")

    def __init__(self, world: "World") -> None:
        self._queue = world.schedule
        self.armed: int | None = None
        self._rung_at = -1
        self._rung = 0

    def arm(self, deadline: int | None, now: int) -> None:
        """Ring at `deadline`, or now if that is past. An earlier setting is forgotten."""
        if deadline is not None and deadline < now:
            deadline = now
        if deadline != self.armed:
            self.armed = deadline
            if deadline is not None:
                self._queue(deadline, self.ring, deadline)

    def ring(self, when: int) -> None:
        """Step 5 is over, unless the alarm was moved in the meantime."""
        if when == self.armed:
            self.armed = None
            if when != self._rung_at:
                self._rung_at, self._rung = when, 0
            self._rung += 1
            if self._rung > PATIENCE:
                raise LocalProtocolError(self.complaint(when))
            self.wake(when)

    def wake(self, now: int) -> None:
        """The time has come."""
        raise NotImplementedError

    def complaint(self, now: int) -> str:
        """What to say when ringing does not help."""
        return f"{self!r} was woken {PATIENCE} times at {now}"


class Host(Alarm):
    """Drives one machine."""

    __slots__ = ("address", "clock", "machine", "on_event", "started", "world")

    def __init__(
        self, world: "World", machine: Any, address: Address, clock: SkewedClock | None
    ) -> None:
        super().__init__(world)
        self.world = world
        self.machine = machine
        self.address = address
        self.clock = clock
        self.on_event: Callable[[Event], None] | None = None
        self.started = False

    def start(self) -> None:
        """The first tick, so that a machine may speak first; later, look whether it changed."""
        if self.started:
            self.turn(self.world.clock.now)
        else:
            self.started = True
            self.wake(self.world.clock.now)

    def wake(self, now: int) -> None:
        """1. feed: the deadline has come."""
        self.machine.tick(now if self.clock is None else self.clock.local(now))
        self.turn(now)

    def turn(self, now: int) -> None:
        """After every call that changes the machine: steps 2 to 4, then `arm` for step 5."""
        machine = self.machine
        transmits = machine.transmits()  # 2. drain what it wants sent
        if transmits:
            self.send(transmits, now)
        events = machine.events()  # 3. drain what happened
        while events and self.on_event is not None:
            for event in events:
                self.on_event(event)
            self.send(machine.transmits(), now)  # the application may have answered
            events = machine.events()
        deadline = machine.deadline()  # 4. ask when, arm one alarm
        if deadline is not None and self.clock is not None:
            deadline = self.clock.true(deadline)
        if deadline != self.armed:
            self.arm(deadline, now)

    def send(self, transmits: Any, now: int) -> None:
        """Put what the machine gave on its wire."""
        raise NotImplementedError

    def complaint(self, now: int) -> str:
        """Say whose deadline does not move."""
        return (
            f"{type(self.machine).__name__} at {self.address!r} was ticked {PATIENCE} times at "
            f"{now} ns and its deadline is still {self.machine.deadline()}: it never advances"
        )


class DatagramHost(Host):
    """Drives a `DatagramMachine`. `paths` leads from each address it can reach to who is there.

    Of an address (host, port) the host alone will do, for all ports of somebody. `gateway` is who
    takes the rest.
    """

    __slots__ = ("gateway", "paths")

    def __init__(
        self, world: "World", machine: Any, address: Address, clock: SkewedClock | None
    ) -> None:
        super().__init__(world, machine, address, clock)
        self.paths: dict[Address, tuple[Impairment, DatagramHost]] = {}
        self.gateway: tuple[Impairment, DatagramHost] | None = None

    def send(self, transmits: Any, now: int) -> None:
        """Let the link decide what becomes of each datagram."""
        for data, destination in transmits:
            self.push(data, self.address, destination, now)

    def push(self, data: bytes, source: Address, destination: Address, now: int) -> None:
        """One datagram on its way."""
        world = self.world
        path = self.paths.get(destination) or self._route(destination)
        if path is None:
            world.undeliverable += 1
            return
        impairment, target = path
        for leaves, packet in impairment.push(data, now):
            world.schedule(leaves, target.feed, (packet, source, destination))
        if world.tap is not None:
            world.tap.sent.append(Crossing(now, data, source, destination, impairment.verdict))

    def _route(self, destination: Address) -> "tuple[Impairment, DatagramHost] | None":
        """Where no link leads to this very address."""
        match destination:
            case (host, _) if host in self.paths:
                return self.paths[host]
        return self.gateway

    def feed(self, datagram: tuple[bytes, Address, Address]) -> None:
        """1. feed: a datagram has come."""
        data, source, destination = datagram
        world = self.world
        now = world.clock.now
        if world.tap is not None:
            world.tap.arrived.append(Crossing(now, data, source, destination))
        local = now if self.clock is None else self.clock.local(now)
        self.receive(data, source, destination, local)
        self.turn(now)

    def receive(self, data: bytes, source: Address, destination: Address, now: int) -> None:
        """Give the machine what it wants to know. Its own address it does not."""
        self.machine.receive_datagram(data, source, now)


class RoutedHost(DatagramHost):
    """Drives a `RoutedMachine`."""

    __slots__ = ()

    def send(self, transmits: Any, now: int) -> None:
        """Send each datagram as whom the machine says."""
        for data, source, destination in transmits:
            self.push(data, source, destination, now)

    def receive(self, data: bytes, source: Address, destination: Address, now: int) -> None:
        """It wants to know both addresses."""
        self.machine.receive_routed(data, source, destination, now)


class StreamHost(Host):
    """Drives a `StreamMachine` with its one connection."""

    __slots__ = ("finished", "high_water", "outgoing", "paused")

    def __init__(
        self, world: "World", machine: Any, address: Address, clock: SkewedClock | None
    ) -> None:
        super().__init__(world, machine, address, clock)
        self.outgoing: Pipe | None = None
        self.high_water = HIGH_WATER
        self.paused = False
        self.finished = False
        """Whether the machine wanted its side closed, and got that."""

    def turn(self, now: int) -> None:
        """Steps 2 to 4, and the end of our side when the machine `wants_close`.

        A machine outlives its connection: what a receiver has buffered is still to be played.
        """
        if self.outgoing is None:
            return
        super().turn(now)
        if not self.finished and getattr(self.machine, "wants_close", False):
            self.finished = True
            self.outgoing.stream.write_eof(now)
        self.outgoing.settle(now)

    def send(self, transmits: Any, now: int) -> None:
        """Write, and tell the machine when too much is waiting. After our end nothing is sent."""
        assert self.outgoing is not None
        if self.finished:
            return
        stream = self.outgoing.stream
        for data in transmits:
            stream.write(data, now)
        if not self.paused and stream.waiting > self.high_water:
            self.paused = True
            self.machine.pause_writing()

    def feed(self, data: bytes, now: int) -> None:
        """1. feed: bytes have come. After our end of the stream nobody reads them."""
        if not self.finished:
            self.machine.receive_data(data, now if self.clock is None else self.clock.local(now))
            self.turn(now)

    def feed_eof(self, now: int) -> None:
        """1. feed: the peer will send no more."""
        self.machine.receive_eof(now if self.clock is None else self.clock.local(now))
        self.turn(now)

    def resume(self, now: int) -> None:
        """1. feed: the wire has room again."""
        self.paused = False
        self.machine.resume_writing()
        self.turn(now)


class Pipe(Alarm):
    """Drives one direction of a byte stream, from one host to another."""

    __slots__ = ("ended", "source", "stream", "target")

    def __init__(
        self, world: "World", stream: ByteStream, source: StreamHost, target: StreamHost
    ) -> None:
        super().__init__(world)
        self.stream = stream
        self.source = source
        self.target = target
        self.ended = False

    def wake(self, now: int) -> None:
        """A segment or an acknowledgement arrives, or a timer runs out."""
        self.stream.tick(now)
        self.settle(now)

    def settle(self, now: int) -> None:
        """Hand on what came out in order, and arm the alarm for what comes next."""
        tap, source, target = self.source.world.tap, self.source, self.target
        for data in self.stream.read():
            if tap is not None:
                tap.streamed.append(Crossing(now, data, source.address, target.address))
            target.feed(data, now)
        if self.stream.ended and not self.ended:
            self.ended = True
            if tap is not None:
                tap.streamed.append(Crossing(now, b"", source.address, target.address))
            target.feed_eof(now)
        if self.source.paused and self.stream.waiting <= self.source.high_water // 4:
            self.source.resume(now)
        self.arm(self.stream.deadline(), now)

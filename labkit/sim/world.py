"""Virtual time: machines, the links between them, and nothing that waits.

    world = World(seed=7)
    world.add(sender, "alice")
    world.add(receiver, "bob")
    world.connect(sender, receiver, profile)
    world.on_event(receiver, print)
    world.run(until=seconds(60))

A queue holds what is going to happen: a datagram arrives, a deadline comes. `run` takes the
earliest entry, sets the clock to it and lets it happen, until nothing is left or `until` is
reached. Entries of one instant happen in the order in which they were made, so a seed decides
everything, and a minute takes as long as its packets take to compute.

The machines are driven through the five steps of `labkit.words.machine` by `labkit.sim.host`.
This module knows no protocol and opens no socket.
"""

import heapq
from collections.abc import Callable
from typing import Any

from labkit.core.impairment import UDP_HEADERS
from labkit.sim.bytestream import TCP_HEADERS, WINDOW, ByteStream
from labkit.sim.clock import SkewedClock, VirtualClock
from labkit.sim.host import HIGH_WATER, DatagramHost, Host, Pipe, RoutedHost, StreamHost
from labkit.sim.link import Link
from labkit.sim.tap import Tap
from labkit.words.errors import LocalProtocolError
from labkit.words.machine import Address, Event, Machine
from labkit.words.profile import Profile
from labkit.words.routed import RoutedMachine

FAR = 1 << 63


class World:
    """Owns the time. `seed` decides what the links do."""

    def __init__(self, seed: int = 0, *, tap: Tap | None = None) -> None:
        self.seed = seed
        self.tap = tap
        self.clock = VirtualClock()
        self.links: list[Link] = []
        self.undeliverable = 0
        """Datagrams sent to an address to which no link leads."""
        self._hosts: dict[int, Host] = {}  # by the identity of the machine
        self._queue: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._order = 0

    @property
    def now(self) -> int:
        """The instant at which the world is."""
        return self.clock.now

    # Building ----------------------------------------------------------------------------------

    def add(
        self, machine: Machine, address: Address = None, *, clock: SkewedClock | None = None
    ) -> None:
        """Put a machine into the world, at an address, and with a clock of its own if given.

        The address of a NAT is its host alone, without a port: all ports there are its own.
        """
        if id(machine) in self._hosts:
            raise LocalProtocolError(f"{machine!r} is already in this world")
        if address is None:
            address = f"host {len(self._hosts) + 1}"
        kind = RoutedHost if isinstance(machine, RoutedMachine) else DatagramHost
        self._hosts[id(machine)] = kind(self, machine, address, clock)

    def connect(
        self,
        a: Machine,
        b: Machine,
        profile: Profile | None = None,
        *,
        stream: bool = False,
        nodelay: bool = True,
        gateway: bool = False,
        window: int = WINDOW,
        unsent: int = HIGH_WATER,
    ) -> Link:
        """Lay a link between two machines: `profile.up` from `a` to `b`, `profile.down` back.

        It carries datagrams, or with `stream` one byte stream, which is open at once and, without
        `nodelay`, leaves small segments to Nagle's algorithm. With `gateway` it also takes all that
        `a` sends to addresses to which no link leads: so a host stands behind a NAT. Machines that
        are not in the world yet are added. Of a stream at most `window` bytes are under way, and
        when more than `unsent` wait, its machine must pause.
        """
        for machine in (a, b):
            if id(machine) not in self._hosts:
                self.add(machine)
        if stream:
            return self._connect_stream(a, b, profile, unsent, nodelay=nodelay, window=window)
        first, second = self._host(a), self._host(b)
        if not isinstance(first, DatagramHost) or not isinstance(second, DatagramHost):
            raise LocalProtocolError("the end of a byte stream has no other link")
        link = self._link(profile, UDP_HEADERS)
        first.paths[second.address] = (link.up, second)
        second.paths[first.address] = (link.down, first)
        if gateway:
            first.gateway = (link.up, second)
        return link

    def _connect_stream(
        self, a: Machine, b: Machine, profile: Profile | None, unsent: int, **options: Any
    ) -> Link:
        link = self._link(profile, TCP_HEADERS)
        first, second = self._stream_host(a), self._stream_host(b)
        forth = ByteStream(link.up, link.down, **options)
        back = ByteStream(link.down, link.up, **options)
        first.outgoing = Pipe(self, forth, first, second)
        second.outgoing = Pipe(self, back, second, first)
        first.high_water = second.high_water = unsent
        return link

    def _stream_host(self, machine: Machine) -> StreamHost:
        """The same place for a machine, now as the end of a byte stream."""
        host = self._host(machine)
        if host.started or not isinstance(host, DatagramHost) or host.paths:
            raise LocalProtocolError("the end of a byte stream has no other link")
        stream = StreamHost(self, machine, host.address, host.clock)
        stream.on_event = host.on_event
        self._hosts[id(machine)] = stream
        return stream

    def _link(self, profile: Profile | None, headers: int) -> Link:
        seed = f"{self.seed}.{len(self.links)}" if self.links else self.seed
        link = Link(profile, seed, headers=headers, start=self.now)
        self.links.append(link)
        return link

    def on_event(self, machine: Machine, callback: Callable[[Event], None]) -> None:
        """Call `callback` with each event of a machine. `world.now` is when it happened."""
        self._host(machine).on_event = callback

    def _host(self, machine: Machine) -> Host:
        try:
            return self._hosts[id(machine)]
        except KeyError:
            raise LocalProtocolError(f"{machine!r} is not in this world: add it first") from None

    # Running -----------------------------------------------------------------------------------

    def schedule(self, when: int, act: Callable[[Any], None], argument: Any) -> None:
        """Let `act(argument)` happen at an instant."""
        self._order += 1  # decides between equal instants, so that payloads are never compared
        heapq.heappush(self._queue, (when, self._order, act, argument))

    def at(self, when: int, act: Callable[[], None]) -> None:
        """Call `act` at an instant. Say `wake` of the machines that it changes."""
        self.schedule(max(when, self.now), lambda _: act(), None)

    def wake(self, machine: Machine) -> None:
        """Somebody outside changed this machine: drain it and ask for its deadline."""
        self._host(machine).turn(self.now)

    def run(self, until: int | None = None, *, stop: Callable[[], bool] | None = None) -> None:
        """Let everything happen that happens before or at `until`; then it is `until`.

        Without `until`: until nothing is left to happen, which with a machine that always has a
        deadline is never. `stop` is asked after each happening whether to leave early; a later
        `run` goes on from there. `LocalProtocolError` names a machine that does not advance.
        """
        for host in list(self._hosts.values()):
            host.start()
        queue, clock, pop = self._queue, self.clock, heapq.heappop
        end = until if until is not None else FAR
        while queue and queue[0][0] <= end:
            when, _, act, argument = pop(queue)
            clock.now = when
            act(argument)
            if stop is not None and stop():
                return
        if until is not None:
            clock.advance_to(max(until, clock.now))

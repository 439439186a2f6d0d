"""The wires of a lab: reads what the kernels send, does what the profile says, hands it over.

One process, one loop, no threads. It waits with select(2), which takes microseconds (epoll_wait(2)
takes milliseconds, and would be up to one late). What comes from a device is read in rows, so that
no direction starves.

This module decides nothing about packets: `labkit.live.link.ways` does.
"""

import gc
import heapq
import os
import select
import socket
from dataclasses import asdict
from typing import BinaryIO, Final

from labkit.live.clock import now, wallclock_offset
from labkit.live.link import messages
from labkit.live.link.plan import Plan
from labkit.live.link.punctual import be_punctual
from labkit.live.link.ways import ImpairedWay, Way, make_ways
from labkit.wire.pcap import PcapngWriter
from labkit.words.units import NS_PER_S, ms

LONGEST_WAIT: Final = ms(200)
"""A capture on disk is behind by this at most, even if the lab is killed."""


class Forwarder:
    """The loop. `control` brings the wishes of who made the lab, and its end."""

    def __init__(
        self, ways: dict[str, Way], control: socket.socket, capture: BinaryIO | None
    ) -> None:
        self._ways = ways
        self._control = control
        self._capture = PcapngWriter(capture) if capture else None
        self._flush = capture.flush if capture else lambda: None
        self._wallclock = wallclock_offset()
        self._due: list[tuple[int, int, ImpairedWay, bytes]] = []
        self._held = 0

    def hold(self, leaves: int, way: ImpairedWay, packet: bytes) -> None:
        """Keep a packet until it is due."""
        self._held += 1
        heapq.heappush(self._due, (leaves, self._held, way, packet))

    def record(self, instant: int, packet: bytes, verdict: str) -> None:
        """Write a packet to the capture, with the date of its instant."""
        if self._capture is not None:
            self._capture.write(instant + self._wallclock, packet, verdict)

    def run(self) -> None:
        """Forward until whoever made the lab is gone."""
        by_device = {way.source: way for way in self._ways.values()}
        lines = [w for w in self._ways.values() if isinstance(w, ImpairedWay) and w.line]
        control = self._control.fileno()
        watched = [control, *by_device]
        next_flush = now() + LONGEST_WAIT
        while True:
            instant = now()
            if instant >= next_flush:
                self._flush()
                next_flush = instant + LONGEST_WAIT
            wake = self._release(instant, lines)
            wait = min(max(wake - now(), 0), LONGEST_WAIT) / NS_PER_S
            for device in select.select(watched, (), (), wait)[0]:
                if device != control:
                    try:
                        by_device[device].receive(self)
                    except OSError:  # somebody with the rights to do so has deleted it
                        watched.remove(device)
                elif not self._answer():
                    self._flush()
                    return

    def _release(self, instant: int, lines: list[ImpairedWay]) -> int:
        """Hand over what is due; when something will be due next."""
        wake = instant + LONGEST_WAIT
        for way in lines:
            way.advance(instant, self)
            assert way.line is not None
            wake = min(wake, way.line.deadline() or wake)
        due = self._due
        while due and due[0][0] <= instant:
            _, _, way, packet = heapq.heappop(due)
            way.deliver(packet, instant, self)
            instant = now()
        return min(wake, due[0][0]) if due else wake

    def _answer(self) -> bool:
        """Do what is asked; False: there is nobody any more."""
        asked, _ = messages.receive(self._control)
        if asked is None:
            return False
        self._flush()
        if "cut" in asked:
            for way in self._ways.values():
                way.cut = asked["cut"]
        counts = {name: asdict(way.counts()) for name, way in self._ways.items()}
        messages.send(self._control, counts)
        return True


def forward(
    plan: Plan, devices: dict[tuple[str, str], int], control: socket.socket, capture: int | None
) -> None:
    """Be the forwarding process; when it is ready it says so on `control`.

    `devices` are the wires, by host and name of the device. `BadInput` when a file is missing
    that the profile names.
    """
    be_punctual()
    ways: dict[str, Way] = {}
    for number, link in enumerate(plan.links):
        near = devices[link.near.host, link.near.device]
        far = devices[link.far.host, link.far.device]
        ways |= make_ways(plan, link, plan.seed + number, near, far)
    # Nothing here refers to itself, so nothing needs to be looked for in the middle of a row.
    gc.freeze()
    gc.disable()
    file = None if capture is None else os.fdopen(capture, "wb", buffering=1 << 20)
    messages.send(control, {})
    Forwarder(ways, control, file).run()

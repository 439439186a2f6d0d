"""What drives a machine on a real socket: one timer, and what to do when something goes wrong.

The numbers in the comments are those of `labkit.words.machine`. What the bytes mean, when to answer
and what to give up on is the machine's affair; how bytes leave is the subclass's.

An event loop would log what a machine raises and go on without it. Here it ends the driver: await
`done`, and it is raised where somebody waits.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from labkit.live.clock import now
from labkit.words.machine import Event
from labkit.words.units import NS_PER_S


class Driver:
    """Feeds `machine`, and takes from it what it gives."""

    def __init__(self, machine: Any, on_event: Callable[[Event], None]) -> None:
        self.machine = machine
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done at the end; raises what the machine or `on_event` raised."""
        self._on_event = on_event
        self._timer: asyncio.TimerHandle | None = None
        self._armed: int | None = None
        self._stopped = False

    def close(self) -> None:
        """Drive no more. Close the machine first, so that it can say goodbye."""
        self._stopped = True
        self._arm(None)

    def turn(self) -> None:
        """After every call that changes the machine: steps 2 to 5."""
        if self._stopped:
            return
        self._send()  # 2. drain what it wants sent
        for event in self.machine.events():  # 3. drain what happened
            self._on_event(event)
        deadline = None if self._stopped else self.machine.deadline()  # 4. ask when, arm one timer
        if deadline != self._armed:
            self._arm(deadline)

    def _send(self) -> None:
        """Send what the machine wants sent."""
        raise NotImplementedError

    def _arm(self, deadline: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = deadline
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(deadline / NS_PER_S, self._wake)  # 5. wait

    def _wake(self) -> None:
        self._armed = None
        self._drive(self.machine.tick, now())  # 1. feed

    def _drive(self, feed: Callable[..., None], *arguments: Any) -> None:
        """Feed the machine and take the other steps; what is raised meanwhile is the end."""
        if self._stopped:
            return
        try:
            feed(*arguments)
            self.turn()
        except Exception as error:  # noqa: BLE001 - whoever awaits `done` decides
            if not self.done.done():
                self.done.set_exception(error)
            self.close()

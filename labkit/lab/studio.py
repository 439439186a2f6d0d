"""The far end of `labkit.lab.reconnecting`: a studio, and its server's end of one connection.

The studio speaks, whoever listens. A server's end lives as long as one connection, and may die: it
then says no more, but for the bytes that its kernel had taken.

This module knows no listener and no link.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from labkit.core.session import Role
from labkit.core.streamsession import StreamSession
from labkit.endpoints.sender import LINGER, Sender
from labkit.endpoints.voice import Voice
from labkit.lab.followers import Death
from labkit.wire import framing
from labkit.words.machine import Event
from labkit.words.packet import Packet

Say: TypeAlias = Callable[[Sequence[Packet], bool], None]
"""Takes packets, and whether they are the last."""


class Studio:
    """Speaks, whoever listens: a machine without a wire."""

    def __init__(self, voice: Voice, say: Say) -> None:
        self._voice = voice
        self._say = say
        self._ends: int | None = None
        self.over = False

    def tick(self, now: int) -> None:
        """Say what is due; some time after the last word, goodbye."""
        if self._ends is not None and self._ends <= now:
            self._ends, self.over = None, True
            self._say([], True)
            return
        packets = self._voice.tick(now)
        self._say(packets, False)
        if self._voice.finished and not self.over:
            self._ends = now + LINGER

    def deadline(self) -> int | None:
        """The next frame, or the goodbye."""
        return self._ends if self._ends is not None else self._voice.deadline()

    def transmits(self) -> Sequence[Any]:
        """Nothing: the server has the wire."""
        return ()

    def events(self) -> Sequence[Event]:
        """Nothing."""
        return ()


class Mouth:
    """The server's end of one connection, until it dies."""

    def __init__(self, description: str) -> None:
        self.sender = Sender(StreamSession(Role.SENDER, description), None)
        self.dead = False
        self.wants_close = False
        self._rest: list[bytes] = []

    def die(self, how: Death) -> None:
        """Say no more, but for what the kernel has taken already."""
        self.dead = True
        self.wants_close = how is not Death.RST
        if how is Death.MID_FRAME:
            self._rest.append(framing.pack(Packet(0, 0, bytes(80)))[:50])

    def receive_data(self, data: bytes, now: int) -> None:
        """From the listener."""
        if not self.dead:
            self.sender.receive_data(data, now)

    def receive_eof(self, now: int) -> None:
        """The listener has gone."""
        if not self.dead:
            self.sender.receive_eof(now)

    def tick(self, now: int) -> None:
        """The session may want something."""
        if not self.dead:
            self.sender.tick(now)
            self.wants_close = self.sender.wants_close

    def deadline(self) -> int | None:
        """The dead want nothing."""
        return None if self.dead else self.sender.deadline()

    def transmits(self) -> Sequence[bytes]:
        """Frames; of the dead, the last bytes."""
        if self.dead:
            rest, self._rest = self._rest, []
            return rest
        sent = self.sender.transmits()
        self.wants_close = self.sender.wants_close
        return sent

    def events(self) -> list[Event]:
        """Of the session."""
        return [] if self.dead else self.sender.events()

    def pause_writing(self) -> None:
        """The wire is full."""
        self.sender.pause_writing()

    def resume_writing(self) -> None:
        """It is not."""
        self.sender.resume_writing()

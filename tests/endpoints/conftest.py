"""A sender and a receiver in virtual time, over a link of one's choice."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.core.datagramsession import DatagramSession
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.receiver import Finished, Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.voice import Voice
from labkit.sim.clock import SkewedClock
from labkit.sim.world import World
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import Event
from labkit.words.profile import Profile
from labkit.words.trace import Did
from labkit.words.units import seconds

ALICE, BOB = ("10.0.0.1", 5004), ("10.0.0.2", 5006)


class Numbers(Random):
    """Chance that gives the numbers one wants: by how many bits are asked for."""

    def __init__(self, **numbers: int) -> None:
        super().__init__(1)
        self._numbers = {int(name.removeprefix("bits")): n for name, n in numbers.items()}

    def getrandbits(self, k: int) -> int:
        return self._numbers.get(k, super().getrandbits(k))


def silence(frames: int) -> Clip:
    return Clip(np.zeros((frames * 960, 1), np.int16))


class Talk:
    """`sender` and `receiver`; what the receiver told is in `heard` and `events`."""

    def __init__(
        self,
        source: Any,
        *,
        codec: Any = None,
        transport: str = "rtp",
        down: LinkSpec | None = None,
        seed: int = 1,
        rng: Random | None = None,
        clock: SkewedClock | None = None,
        **receiver: Any,
    ) -> None:
        codec = codec or Blank()
        rng = rng or Random(seed)
        self.voice = Voice(codec, source, rng=rng)
        self.sender = Sender(self._session(transport, Role.SENDER, None), self.voice)
        self.receiver = Receiver(self._session(transport, Role.RECEIVER, ALICE), codec, **receiver)
        self.heard: list[Heard] = []
        self.events: list[Event] = []
        self.finished = False
        self.world = World(seed)
        self.world.add(self.sender, ALICE, clock=clock)
        self.world.add(self.receiver, BOB)
        profile = Profile("test", "", "", LinkSpec(), down or LinkSpec())
        self.world.connect(self.receiver, self.sender, profile, stream=transport == "tcp")
        self.world.on_event(self.receiver, self.take)

    @staticmethod
    def _session(transport: str, role: Role, peer: Any) -> Any:
        if transport == "tcp":
            return StreamSession(role, "v=0")
        if transport == "udp":
            return DatagramSession(role, "v=0", peer=peer)
        return RtpSession(role, "v=0", peer=peer, rng=Random(role.value))

    def take(self, event: Event) -> None:
        """Keep what the receiver tells."""
        if isinstance(event, Heard):
            self.heard.append(event)
        else:
            self.events.append(event)
            self.finished = self.finished or isinstance(event, Finished)

    def run(self, limit_s: float = 60) -> "Talk":
        """Until the last frame was played."""
        self.world.run(until=seconds(limit_s), stop=lambda: self.finished)
        assert self.finished, f"the call did not end within {limit_s} s"
        return self

    def fates(self, *kinds: Did) -> list[int]:
        """The sequence numbers in the receiver's trace, of these kinds."""
        return [entry.seq for entry in self.receiver.trace.of(*kinds)]

    def sent(self) -> list[int]:
        return [entry.seq for entry in self.voice.trace.of(Did.SENT)]


@pytest.fixture
def talk() -> type[Talk]:
    """The class, since tests cannot import from here."""
    return Talk


@pytest.fixture
def numbers() -> type[Numbers]:
    return Numbers


@pytest.fixture
def quiet() -> Callable[[int], Clip]:
    """A clip of so many silent frames of 20 ms."""
    return silence

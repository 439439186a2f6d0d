"""How much memory a listener costs that never reads (week 10).

    bounded = unread()                                     the kit's queue, 50 packets
    open_ended = unread(lambda: SendQueue(10**9))          one without a limit worth the name
    memory({"50 packets": bounded, "no limit": open_ended})

A real server speaks in virtual time to two listeners over streams. One takes everything, the other
only says every two seconds that it is still there. Memory is what Python itself has allocated
since the voice began (`tracemalloc`), so the figures of two machines differ by little.
"""

import gc
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np

from labkit.codec.blank import Blank
from labkit.core.session import Role
from labkit.core.source import Clip
from labkit.core.streamsession import StreamSession
from labkit.endpoints.server import Server
from labkit.endpoints.voice import Voice
from labkit.lab.crowd import HELLO
from labkit.lab.show import LATE, LOST, PLAYED, Picture, canvas
from labkit.words.machine import Address
from labkit.words.units import NS_PER_S, SAMPLE_RATE, seconds

EVERY: Final = seconds(15)
"""How often it is looked."""


class Held(NamedTuple):
    """What a listener that never reads holds, at one instant."""

    minutes: float
    queued: int
    """Packets."""
    dropped: int
    lag_s: float
    kilobytes: float
    """Allocated since the beginning, for everybody."""


def unread(queue: Callable[[], Any] | None = None, minutes: float = 5) -> list[Held]:
    """What becomes of a server while somebody never reads; `queue` makes each listener's queue."""
    clip = Clip(np.zeros((round(minutes * 60 * SAMPLE_RATE), 1), np.int16))
    voice = Voice(Blank(), clip, rng=Random(1))

    def session(_address: Any) -> StreamSession:
        stream = StreamSession(Role.SENDER, "v=0")
        if queue is not None:
            stream.queue = queue()
        return stream

    server = Server(voice, session)
    for name in ("reads", "never reads"):
        client = server.admit(name)
        assert client is not None
        _hello(server, name, 0)
    reader, other = server.clients.values()
    other.transmits()
    other.pause_writing()
    tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        return _watch(server, reader, other)
    finally:
        if not tracing:
            tracemalloc.stop()


def _watch(server: Server, reader: Any, other: Any) -> list[Held]:
    held: list[Held] = []
    gc.collect()
    before, looked, now = tracemalloc.get_traced_memory()[0], 0, 0
    while (due := server.speaks()) is not None and not server.voice.finished:
        now = due
        server.speak(now)
        reader.transmits()
        server.voice.trace.entries.clear()  # a lab's diary, which no server keeps
        if now >= looked + EVERY:
            looked = now
            for name in server.clients:
                _hello(server, name, now)
            size = tracemalloc.get_traced_memory()[0] - before
            queue = other.session.queue
            lag = queue.oldest_age(now) / NS_PER_S
            held.append(
                Held(now / NS_PER_S / 60, len(queue), queue.dropped, lag, max(size, 0) / 1000)
            )
    return held


def _hello(server: Server, name: Address, now: int) -> None:
    client = server.clients[name]
    client.receive_data(HELLO, now)
    client.tick(now)
    for event in client.events():
        server.receive_event(name, event, now)


def memory(runs: Mapping[str, Sequence[Held]]) -> Picture:
    """Memory and lag over time, a colour for each run."""
    with canvas(height=2.0, rows=2) as (figure, rows):
        for (name, held), colour in zip(runs.items(), (PLAYED, LOST, LATE), strict=False):
            time = [each.minutes for each in held]
            rows[0].plot(time, [each.kilobytes for each in held], color=colour, lw=1.8, label=name)
            rows[1].plot(time, [each.lag_s for each in held], color=colour, lw=1.8)
        for axes, label in zip(rows, ("memory (kB)", "lag (s)"), strict=True):
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        rows[-1].set_xlabel("time (minutes)")
        rows[-1].set_xlim(left=0)
        figure.align_ylabels()
        rows[0].legend(loc="upper left")
    words = (
        f"{name}: {held[-1].queued} packets queued, {held[-1].dropped} dropped, "
        f"{held[-1].kilobytes:.0f} kB"
        for name, held in runs.items()
    )
    return Picture(figure, "; ".join(words))

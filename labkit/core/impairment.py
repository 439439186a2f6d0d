"""What a link does to packets: delay, lose, double, reorder, damage, queue.

One `Impairment` is one direction of a link, described by a `LinkSpec`. A packet goes in at its
instant, and out comes at once what becomes of it: no delivery, one or two, each with the instant
at which it leaves the link. Nothing is stored but the instants, so there is nothing to tick.

The order of things is that of the kernel's `net/sched/sch_netem.c`:

    in ─> duplicate? ─> lose? ─> damage? ─> queue full? ─> skip the delay? ─> delay ─> rate ─> slot

- Each packet draws its own delay, so jitter alone reorders. With a rate it does not: a packet
  leaves after the one before it, and its time on the line is added (first in, first out).
- In a slot packets leave together and in the order in which they came.
- `limit` counts every packet held, those that only wait out their delay included.
- A correlated draw is `new * (1 - c) + last * c`. That narrows the distribution towards its
  middle, so a loss of 5 % with a correlation of 50 % loses far fewer than 5 %. It is netem's
  formula; for bursts, netem(8) and we recommend `gemodel`. (For delays the kernel has it too, and
  then undoes it: netem/README.md.)
- One random bit of what is pushed is damaged. Of an IP packet that makes a checksum fail
  somewhere; of a bare datagram the application sees it.

Two things differ, for the sake of experiments. Each effect has a random stream of its own and
draws for every packet, so switching one effect on leaves what the others do to packet n as it
was; and the second copy of a doubled packet is not lost or damaged once more.

This module knows no socket, no clock, and not what is in a packet.
"""

import heapq
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from labkit.core.distribution import SCALE_BITS, TABLE_SIZE, delay_table
from labkit.words.profile import GilbertElliott, LinkSpec
from labkit.words.units import NS_PER_S

NEVER: Final = 1 << 63
UDP_HEADERS: Final = 28
"""Bytes of IPv4 and UDP headers before a datagram, for `headers`."""

Delivery = tuple[int, bytes]
"""The instant at which a packet leaves the link, and its bytes."""


def _correlated(draw: Callable[[], float], correlation: float) -> Callable[[], float]:
    """Numbers 0..1 of which each leans on the one before, by netem's formula."""
    if not correlation:
        return draw
    last = draw()

    def next_number() -> float:
        nonlocal last
        last = draw() * (1 - correlation) + last * correlation
        return last

    return next_number


def _gilbert_elliott(draw: Callable[[], float], model: GilbertElliott) -> Callable[[], bool]:
    """The two-state chain: the state moves first, the loss is that of the state before."""
    bad = False

    def lost() -> bool:
        nonlocal bad
        move, fate = draw(), draw()
        if bad:
            bad = move >= model.r
            return fate < model.loss_bad
        bad = move < model.p
        return fate < model.loss_good

    return lost


class Impairment:
    """One direction of a link.

    `seed` decides everything random. `delays` are the lines of the trace that the spec names, in
    nanoseconds, None for a lost packet. `headers` are the bytes that the network adds to what is
    pushed, which only `rate` sees. `start` is the instant from which steps count.
    """

    def __init__(
        self,
        spec: LinkSpec,
        seed: int | str,
        delays: Sequence[int | None] = (),
        *,
        headers: int = 0,
        start: int = 0,
    ) -> None:
        self.sent = 0
        """Packets pushed."""
        self.lost = 0
        """Packets of which nothing arrives, the queue's drops not counted."""
        self.queue_dropped = 0
        self.duplicated = 0
        self.reordered = 0
        """Packets that leave before one that was pushed earlier."""
        self.corrupted = 0
        self.verdict = ""
        """What became of the last packet, in a word or two; empty: it passes."""
        self._spec = spec
        self._delays = delays
        self._headers = headers
        self._start = start
        self._random = {
            effect: Random(f"{seed} {effect}").random
            for effect in ("delay", "copy", "loss", "duplicate", "reorder", "corrupt", "slot")
        }
        self._held: list[int] = []  # heap of the instants at which held packets leave
        self._newest = 0  # the latest of them
        self._line_free = 0  # when the last packet has left a line with a rate
        self._since_reorder = 0
        self._slot_opens = -1
        self._slot_packets = self._slot_bytes = 0
        self._next_step = NEVER
        self._use(spec.at(0))
        if spec.steps:
            self._next_step = start + spec.steps[0].at

    def push(self, data: bytes, now: int) -> list[Delivery]:
        """Put one packet on the link at `now`; what comes out at its far end, and when.

        `now` must not go back from call to call. Deliveries are not before `now`.
        """
        if now >= self._next_step:
            self._take_step(now)
        self.sent += 1
        self.verdict = ""
        # Everything random is drawn first: no effect changes what another one draws.
        delay = self._draw_delay(now)
        lost = delay is None
        if self._draw_loss is not None and self._draw_loss():
            lost = True
        doubled = self._duplicate > 0 and self._draw_duplicate() < self._duplicate
        first = data if not self._corrupt else self._damage(data)
        if doubled:
            return self._deliver_doubled(first, data, lost, delay or 0, now)
        if lost:
            self.lost += 1
            self.verdict = "lost"
            return []
        return self._hold(first, delay or 0, now)

    def _deliver_doubled(
        self, first: bytes, second: bytes, lost: bool, delay: int, now: int
    ) -> list[Delivery]:
        """Two deliveries, or the one that is left if this packet was also to be lost."""
        copy_delay = self._draw_copy_delay(now) or 0
        deliveries = self._hold(first, delay, now)
        if not lost and deliveries:
            self.duplicated += 1
            self.verdict = "duplicated"
            deliveries += self._hold(second, copy_delay, now)
        return deliveries

    def _hold(self, data: bytes, delay: int, now: int) -> list[Delivery]:
        """Queue one packet: when it leaves, computed now because nothing can change it later."""
        held = self._held
        while held and held[0] <= now:
            heapq.heappop(held)
        if len(held) >= self._limit:
            self.queue_dropped += 1
            self.verdict = "queue dropped"
            return []
        if self._reorder is not None and self._skips_delay():
            leaves = now
        else:
            leaves = now + delay
            if self._rate:
                if self._line_free > now and self._line_free > leaves:
                    leaves = self._line_free
                size = len(data) + self._packet_bytes
                leaves += size * 8 * NS_PER_S // self._rate
                self._line_free = leaves
            if (
                leaves < now
            ):  # a jitter larger than the delay; it has shortened the time on the line
                leaves = now
        if self._slot is not None:
            leaves = self._in_slot(leaves, now, len(data) + self._headers)
        heapq.heappush(held, leaves)
        if leaves < self._newest:
            self.reordered += 1
            self.verdict = self.verdict or "reordered"
        else:
            self._newest = leaves
        return [(leaves, data)]

    def _skips_delay(self) -> bool:
        """Whether this packet goes to the head of the queue, one of every `gap` at most."""
        assert self._reorder is not None
        if (
            self._since_reorder < self._reorder.gap - 1
            or self._reorder.probability < self._draw_reorder()
        ):
            self._since_reorder += 1
            return False
        self._since_reorder = 0
        return True

    def _in_slot(self, ready: int, now: int, size: int) -> int:
        """The instant of the slot that a packet, ready to leave at `ready`, gets into."""
        slot = self._slot
        assert slot is not None
        if ready > self._slot_opens:
            # The wait for a slot begins when somebody waits. netem runs it beside the delay.
            self._open_slot(now)
            if ready > self._slot_opens:
                self._open_slot(ready)
        leaves = self._slot_opens
        self._slot_packets -= 1
        self._slot_bytes -= size
        if (slot.packets and self._slot_packets <= 0) or (slot.bytes and self._slot_bytes <= 0):
            self._open_slot(leaves)
        return leaves

    def _open_slot(self, after: int) -> None:
        slot = self._slot
        assert slot is not None
        span = slot.max_delay - slot.min_delay
        self._slot_opens = after + slot.min_delay + int(self._random["slot"]() * span)
        self._slot_packets, self._slot_bytes = slot.packets, slot.bytes

    def _damage(self, data: bytes) -> bytes:
        draw = self._random["corrupt"]
        hit, place = draw() < self._corrupt, draw()
        if not hit or not data:
            return data
        self.corrupted += 1
        self.verdict = "corrupted"
        damaged = bytearray(data)
        bit = int(place * len(data) * 8)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        return bytes(damaged)

    # --- what the link is like, and when that changes ------------------------------------------

    def _use(self, spec: LinkSpec) -> None:
        """Take on a spec; what is under way keeps its instants."""
        random = self._random
        self._limit = spec.limit
        self._rate = spec.rate
        self._packet_bytes = spec.packet_overhead + self._headers
        self._duplicate = spec.duplicate
        self._corrupt = spec.corrupt
        self._reorder = spec.reorder
        self._slot = spec.slot
        self._draw_delay = self._delay_source(spec, random["delay"])
        self._draw_copy_delay = self._delay_source(spec, random["copy"])
        self._draw_loss = self._loss_source(spec)
        self._draw_duplicate = random["duplicate"]
        self._draw_reorder = random["reorder"]
        if spec.reorder:
            self._draw_reorder = _correlated(random["reorder"], spec.reorder.correlation)

    def _delay_source(
        self, spec: LinkSpec, random: Callable[[], float]
    ) -> Callable[[int], int | None]:
        """A function that draws the delay of the packet sent at an instant; None: it is lost."""
        delay, jitter = spec.delay, spec.jitter
        if spec.delay_trace and self._delays:
            return self._trace_source(spec)
        if not jitter:
            return lambda _now: delay
        draw = _correlated(random, spec.delay_correlation)
        if spec.distribution == "uniform":
            return lambda _now: delay + int(jitter * (2 * draw() - 1))
        table = delay_table(spec.distribution)
        return lambda _now: delay + (jitter * table[int(draw() * TABLE_SIZE)] >> SCALE_BITS)

    def _trace_source(self, spec: LinkSpec) -> Callable[[int], int | None]:
        delays, delay, step = self._delays, spec.delay, spec.delay_trace_step

        def next_delay(now: int) -> int | None:
            line = (now - self._start) // step if step else self.sent - 1
            recorded = delays[line % len(delays)]
            return None if recorded is None else delay + recorded

        return next_delay

    def _loss_source(self, spec: LinkSpec) -> Callable[[], bool] | None:
        draw, loss = self._random["loss"], spec.loss
        if spec.gemodel:
            return _gilbert_elliott(draw, spec.gemodel)
        if not loss:
            return None
        draw = _correlated(draw, spec.loss_correlation)
        return lambda: draw() < loss

    def _take_step(self, now: int) -> None:
        """Change the spec because its time has come, and find out when the next one comes."""
        spec, elapsed = self._spec, now - self._start
        self._use(spec.at(elapsed))
        round_start = now - elapsed % spec.repeat if spec.repeat else self._start
        moments = [round_start + step.at for step in spec.steps]
        if spec.repeat:
            moments.append(round_start + spec.repeat)
        self._next_step = next((moment for moment in moments if moment > now), NEVER)

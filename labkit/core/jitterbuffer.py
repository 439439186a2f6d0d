"""The jitter buffer: packets come in as they like, frames go out evenly.

Each packet has a *turn*: the instant at which its frame is played. It may come in any order until
then; the reordering window is the playout delay itself. Which delay is right, a `DelayPolicy`
says; how to get there without a click is decided here.

    transit                            x late: above the line
       ^                         x
       |  - - - - - - - - - - - - - - - - - - - -   line: turn minus media time
       |    o o     o       o o     o o
       |        o o   o o o     o o                 in time
       +----------------------------------------> packets

The late policy, in full:

- A packet is **late** when it comes after its turn. It is counted and dropped, but the policy has
  seen it: a policy that is not told of late packets never learns that its line is too low.
- A turn whose packet is not there, while a later one is, is **lost**: the receiver conceals it, or
  recovers it by FEC from the packet that `peek` shows, and the stream goes on.
- When nothing at all is there, the buffer cannot know whether the next packet is lost, late, or
  was never sent because nobody speaks. It **holds**: the receiver conceals, and the next packet to
  come settles what it was. If the policy, having seen that packet, counts it as in time, it is
  played next and the line is redrawn through it. Otherwise the turns that passed are lost.
- Timestamps that jump where sequence numbers do not are a **silence**. The buffer holds until the
  turn of the packet after it, and there the line is redrawn at once to where the policy wants it.
  The marker bit says the same, but may be lost with its packet, so nothing depends on it.
- In the midst of speech the line moves by a quarter of a frame each turn at most: frames of 20 ms
  follow each other in 15 to 25 ms and the receiver scales the sound in time.
- A **duplicate** is counted and dropped. Of more than `capacity` packets the oldest is
  **skipped**: what is spoken now matters more than what was spoken a second ago.
- A packet from far outside the window (RFC 3550 appendix A.1), from another source, or five
  seconds off the clock is kept aside. When a second one follows it, the stream has restarted: what
  is left of the old one is skipped, what the policy learned is kept.

This module knows no bytes, no codec and no sound. Both wraparounds are `seqnum`'s affair.
"""

from labkit.core.delaypolicy import Adaptive, DelayPolicy
from labkit.words.packet import Packet
from labkit.words.seqnum import ahead16, ahead32
from labkit.words.trace import Did, Trace
from labkit.words.units import NS_PER_S, ms, seconds, ticks_to_ns

MAX_DROPOUT = 3000
"""A step ahead of this many is another stream; RFC 3550 appendix A.1."""
MAX_MISORDER = 100
"""A step back of more than this is another stream; RFC 3550 appendix A.1."""
MAX_TRANSIT_STEP = seconds(5)
"""Two transits further apart than this are not of one clock."""


class JitterBuffer:
    """Holds packets until their turn.

    `policy` draws the line; `frame` is the duration of one packet in nanoseconds; `capacity`
    bounds the memory, in packets, and is two seconds of them unless said otherwise. With a `trace`
    it writes what it alone knows: LATE, DUPLICATE, SKIPPED, and at each turn DEPTH and TARGET.
    """

    __slots__ = (
        "_begun", "_due", "_frame_ticks", "_line", "_missed", "_newest", "_newest_media",
        "_newest_seq", "_newest_timestamp", "_next", "_slots", "_ssrc", "_stalled", "_stray",
        "_timestamp", "_transit", "capacity", "clock_rate", "duplicates", "frame", "held",
        "holding", "late", "lost", "played", "policy", "received", "reordered", "skipped",
        "strays", "trace",
    )  # fmt: skip

    def __init__(
        self,
        policy: DelayPolicy | None = None,
        *,
        frame: int = ms(20),
        clock_rate: int = 48_000,
        capacity: int | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.policy: DelayPolicy = policy if policy is not None else Adaptive()
        self.frame = frame
        self.clock_rate = clock_rate
        self.capacity = seconds(2) // frame if capacity is None else capacity
        self.trace = trace
        self.holding = False
        """The last None meant: the stream has not moved. Otherwise: this frame is missing."""
        self.received = 0
        """Packets pushed, of every kind."""
        self.played = 0
        """Packets pulled."""
        self.late = 0
        """Packets that came after their turn."""
        self.duplicates = 0
        """Packets that had come before."""
        self.reordered = 0
        """Packets that came after one with a greater number; some of them late."""
        self.strays = 0
        """Packets of no stream we know."""
        self.lost = 0
        """Turns that passed without their packet, whether it came late or never."""
        self.held = 0
        """Turns at which nothing at all was there, or a silence lasted."""
        self.skipped = 0
        """Packets that were here in time and were dropped to catch up."""
        self._slots: dict[int, Packet] = {}  # by unwrapped sequence number
        self._missed: dict[int, None] = {}  # turns lost lately: late is told from twice
        self._stray: tuple[Packet, int] | None = None  # and when it came
        self._frame_ticks = (frame * clock_rate + NS_PER_S // 2) // NS_PER_S
        # The newest packet: unwrapped, as it was sent, and its media time on our clock.
        self._newest = self._newest_seq = self._newest_timestamp = self._newest_media = 0
        self._transit = 0  # of the last packet to come
        self._ssrc = -1  # no stream yet
        # The next turn: whose, with which timestamp, when, and how long after its media time.
        self._next = self._timestamp = self._line = 0
        self._due: int | None = None
        self._begun = False  # a packet was pulled
        self._stalled = False  # turns passed with nothing here; the next packet settles them

    def __len__(self) -> int:
        return len(self._slots)

    def deadline(self) -> int | None:
        """When the next turn is due; None before the first packet."""
        return self._due

    def depth(self, now: int) -> int:
        """Nanoseconds of sound in hand: the packets that wait and the rest of the one in play."""
        rest = self._due - now if self._due is not None and self._begun else 0
        return len(self._slots) * self.frame + max(0, rest)

    def target(self, now: int) -> int:
        """What `depth` would be if the line were where the policy wants it."""
        return self.depth(now) + self.policy.target() - self._line

    def peek(self) -> Packet | None:
        """The packet whose turn is next, if it is here."""
        return self._slots.get(self._next)

    # In ---------------------------------------------------------------------------------------

    def push(self, packet: Packet, now: int) -> None:
        """Take a packet that arrived now."""
        self.received += 1
        number, timestamp = packet.seq, packet.timestamp
        step = number - self._newest_seq
        near = True
        # In order, as nearly all are.
        if step == 1 and timestamp - self._newest_timestamp == self._frame_ticks:
            media = self._newest_media + self.frame
        else:
            step = ahead16(number, self._newest_seq)
            ticks = ahead32(timestamp, self._newest_timestamp)
            media = self._newest_media + ticks * NS_PER_S // self.clock_rate
            near = -MAX_MISORDER <= step < MAX_DROPOUT
        transit = now - media
        beside = -MAX_TRANSIT_STEP <= transit - self._transit <= MAX_TRANSIT_STEP
        if not (beside and near and packet.ssrc == self._ssrc):
            self._astray(packet, now)
            return
        seq = self._newest + step
        if step > 0:
            self._newest = seq
            self._newest_seq = number
            self._newest_timestamp = timestamp
            self._newest_media = media
        elif self._is_duplicate(seq, now):
            return
        self._transit = transit
        self.policy.observe(transit, now)
        if (self._stalled or seq < self._next) and not self._settle(seq, packet, now):
            self.late += 1
            if self.trace is not None:
                self.trace.add((now, Did.LATE, seq, max(0, transit - self._line)))
            return
        slots = self._slots
        slots[seq] = packet
        if len(slots) > self.capacity:
            self._skip(now)

    def _is_duplicate(self, seq: int, now: int) -> bool:
        """Count a packet that is not the newest: seen before, or reordered."""
        past = seq < self._next and self._begun
        if seq not in self._slots and (not past or seq in self._missed):
            self.reordered += 1
            return False
        self.duplicates += 1
        if self.trace is not None:
            self.trace.add((now, Did.DUPLICATE, seq, 0))
        return True

    def _settle(self, seq: int, packet: Packet, now: int) -> bool:
        """A packet came when its turn may have passed: say whether it is played."""
        assert self._due is not None
        if seq < self._next:
            if not self._begun:
                self._begin_earlier(seq, packet, now)
                return True
            self._missed.pop(seq, None)
            return False
        # Nothing was here for some turns. How far is this packet ahead of the turn that is next?
        ahead = now - self._transit - (self._due - self._line)
        if ahead < 0 and self._transit > self.policy.target():
            self._pass_over(seq + 1)
            self._missed.pop(seq)
            return False
        if ahead < 0:  # behind it, but in time for the policy: the line is redrawn through it
            self._pass_over(seq)
            self._timestamp = packet.timestamp
            self._line -= ahead
        else:  # what was between it and the last one is lost, or was silence
            self._pass_over(seq - ahead // self.frame)
        self._stalled = False
        return True

    def _begin_earlier(self, seq: int, packet: Packet, now: int) -> None:
        """Reordered at the very start, before anything was played: the stream begins with it."""
        self._next, self._timestamp = seq, packet.timestamp
        self._line = max(self.policy.target(), self._transit)
        self._due = now - self._transit + self._line

    def _pass_over(self, until: int) -> None:
        """The turns before `until` have passed without their packets."""
        for seq in range(self._next, until):
            self.lost += 1
            self._missed[seq] = None
            if len(self._missed) > MAX_MISORDER:
                del self._missed[next(iter(self._missed))]
        self._next = max(self._next, until)

    def _skip(self, now: int) -> None:
        """Drop the oldest packet, and with it the turns up to it."""
        oldest = min(self._slots)
        del self._slots[oldest]
        turns = oldest + 1 - self._next
        self._pass_over(oldest)
        self._next = oldest + 1
        self._timestamp += turns * self._frame_ticks
        self._line -= turns * self.frame
        self._count_skipped(oldest, now)

    def _count_skipped(self, seq: int, now: int) -> None:
        self.skipped += 1
        if self.trace is not None:
            self.trace.add((now, Did.SKIPPED, seq, 0))

    # Restarts ---------------------------------------------------------------------------------

    def _astray(self, packet: Packet, now: int) -> None:
        """Not of this stream. Two in a row are a new one (RFC 3550 appendix A.1)."""
        before, self._stray = self._stray, (packet, now)
        if self._due is None:
            self._restart(packet, now)
        elif before is not None and _follows(packet, before[0]):
            self.strays -= 1
            self.received -= 1
            self._restart(*before)
            self.push(packet, now)
        else:
            self.strays += 1

    def _restart(self, packet: Packet, now: int) -> None:
        """Begin with this packet. Its transit is taken to be that of the packet before it."""
        self.skipped += len(self._slots)
        self._slots.clear()
        self._missed.clear()
        self._stray = None
        first = self._due is None
        self._newest = packet.seq if first else self._newest + ahead16(packet.seq, self._newest_seq)
        self._newest_seq, self._newest_timestamp = packet.seq, packet.timestamp
        self._newest_media = now - self._transit
        self._ssrc = packet.ssrc
        self.policy.observe(self._transit, now)
        self._next, self._timestamp = self._newest, packet.timestamp
        start = self._newest_media + self.policy.target()
        self._due = start if self._due is None else max(start, self._due)
        self._line = self._due - self._newest_media
        self._begun = self._stalled = False
        self._slots[self._next] = packet

    # Out --------------------------------------------------------------------------------------

    def pull(self, now: int) -> Packet | None:
        """The frame whose turn it is. None: conceal it, or wait; `holding` says which.

        Meant to be called at each `deadline`. Called too early it says wait; called too late by
        a whole frame and more it lets turns pass, so any steady caller gets a steady stream.
        """
        due = self._due
        if due is None or now < due:
            self.holding = True
            return None
        frame = self.frame
        if now - due >= frame:
            due = self._catch_up(now)
        packet = self._slots.pop(self._next, None)
        if packet is not None:
            if packet.timestamp != self._timestamp and self._silent(packet):
                return None
            self._next += 1
            self._begun = True
            self.played += 1
        elif self._slots:
            self._pass_over(self._next + 1)
        else:
            self._stall(now)
            return None
        self.holding = False
        self._timestamp += self._frame_ticks  # past a wrap `_silent` sets it right
        # Towards the line, by a quarter of a frame at most.
        slew = self.policy.target() - self._line
        if slew:
            quarter = frame >> 2
            if slew > quarter:
                slew = quarter
            elif slew < -quarter:
                slew = -quarter
            self._line += slew
        self._due = due + frame + slew
        if self.trace is not None:
            self._note(now)
        return packet

    def _stall(self, now: int) -> None:
        """Nothing is here. The clock runs on; the next packet will settle what this was."""
        self._stalled = True
        self._timestamp += self._frame_ticks
        self._hold(self.frame)
        if self.trace is not None:
            self._note(now)

    def _silent(self, packet: Packet) -> bool:
        """Whether a silence lasts: the packet is here, but its timestamp is not the turn's."""
        gap = ticks_to_ns(ahead32(packet.timestamp, self._timestamp), self.clock_rate)
        wait = self.policy.target() - (self._line - gap)
        if gap > 0 and wait > self.frame // 2:
            self._slots[self._next] = packet
            wait = min(wait, self.frame)
            self._line += wait
            self._hold(wait)
            return True
        self._line -= gap
        self._timestamp = packet.timestamp
        return False

    def _hold(self, time: int) -> None:
        assert self._due is not None
        self.held += 1
        self.holding = True
        self._due += time

    def _catch_up(self, now: int) -> int:
        """Let the turns pass that the caller missed."""
        assert self._due is not None
        while now - self._due >= self.frame:
            if self.pull(self._due) is not None:
                self.played -= 1
                self._count_skipped(self._next - 1, now)
        return self._due

    def _note(self, now: int) -> None:
        """Trace the depth, and what the policy wants of it."""
        assert self.trace is not None
        add, depth = self.trace.add, self.depth(now)
        add((now, Did.DEPTH, -1, depth))
        add((now, Did.TARGET, -1, depth + self.policy.target() - self._line))


def _follows(packet: Packet, before: Packet) -> bool:
    return packet.ssrc == before.ssrc and ahead16(packet.seq, before.seq) == 1

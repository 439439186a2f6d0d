"""A student's jitter buffer on the bench: packets in, a turn every 20 ms, and what must come out.

The buffer has `push(packet, now)`, `pull(now)` and `len`. What it must do follows from three
sentences. The first packet to come has its turn `delay` after it came. Each next number has the
next turn, 20 ms later. At its turn a packet that is here is given, and otherwise None.

All calls are known beforehand, because nothing that the buffer does changes when packets come, and
so they make one journey (`labkit.checks.subject`). This module knows no other buffer.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from labkit.checks.bench import Bench
from labkit.checks.plain import same, shown
from labkit.checks.subject import Ask
from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32, ahead16
from labkit.words.units import ms, to_ms

FRAME: Final = ms(20)
TICKS: Final = 960
"""Of the media clock in a frame."""
SHOWN: Final = 4
"""Turns in the picture after the one that is wrong."""


class Turn(NamedTuple):
    """One turn, and what must come out."""

    now: int
    wanted: Packet | None


class Run:
    """One stream through a buffer with this delay. `arrivals` are (seq, now), in any order."""

    def __init__(self, bench: Bench, name: str, arrivals: Sequence[tuple[int, int]], delay: int):
        self._bench = bench
        self._name = name
        self._delay = delay
        self._arrivals = sorted(arrivals, key=lambda arrival: arrival[1])
        self._first, self._start = self._arrivals[0]
        self._late: dict[int, str] = {}  # by place in the arrivals: why it is not played
        self._turns = self._expect()

    def _packet(self, seq: int) -> Packet:
        ahead = ahead16(seq, self._first)
        return Packet(seq, add32(0, ahead * TICKS), seq.to_bytes(2, "big"))

    def _expect(self) -> list[Turn]:
        """What each turn must give; and which arrivals are late or come twice."""
        came: dict[int, int] = {}
        for place, (seq, now) in enumerate(self._arrivals):
            turn = ahead16(seq, self._first)
            if turn in came:
                self._late[place] = "twice"
            elif now > self._start + self._delay + turn * FRAME:
                self._late[place] = "late"
            else:
                came[turn] = now
        last = max(came)
        begin = self._start + self._delay
        early = [Turn(now, None) for now in range(self._start, begin, FRAME)]
        return early + [
            Turn(begin + n * FRAME, self._packet(add16(self._first, n)) if n in came else None)
            for n in range(last + 1)
        ]

    def play(self) -> None:
        """Push and pull, and hold each turn against what it must give."""
        bench = self._bench
        handle = bench.subject.new_handle()
        events = list(self._events())
        asks = [Ask("make", self._name, (self._delay,), into=handle)]
        asks += [ask(handle) for ask, _, _ in events]
        bench.step(f"{self._name}(ms({to_ms(self._delay):g}))")
        outcomes = bench.subject.ask(asks)
        bench.returned(outcomes[0])
        yours: list[tuple[int, int | None]] = []
        self._draw(yours)
        for (_, text, turn), outcome in zip(events, outcomes[1:], strict=False):
            bench.step(text)
            found = bench.returned(outcome)
            if turn is None:
                continue
            self._is_packet(found)
            bench.steps[-1] += f" gives {shown(found)}"
            yours.append((turn.now, found.seq if found is not None else None))
            if not same(found, turn.wanted):
                self._draw(yours)
                self._explain(turn, found, [seq for _, seq in yours[:-1] if seq is not None])
        bench.drawing = None

    def lengths(self, every: int) -> None:
        """The same, asking now and then how many packets wait."""
        bench = self._bench
        handle = bench.subject.new_handle()
        bench.step(f"{self._name}(ms({to_ms(self._delay):g}))")
        events = list(self._events())
        waiting: set[int] = set()
        calls = [Ask("make", self._name, (self._delay,), into=handle)]
        wanted: list[tuple[int, int, int]] = []
        places = iter(range(len(self._arrivals)))
        turns = 0
        for ask, _, turn in events:
            calls.append(ask(handle))
            if turn is None:
                place = next(places)
                if place not in self._late:
                    waiting.add(self._arrivals[place][0])
                continue
            if turn.wanted is not None:
                waiting.discard(turn.wanted.seq)
            turns += 1
            if turns % every == 0 or turns == len(self._turns):
                calls.append(Ask("call", "__len__", (), handle))
                wanted.append((len(calls) - 1, turns, len(waiting)))
        outcomes = bench.subject.ask(calls)
        bench.step(f"{len(self._arrivals)} packets, some of them late or twice")
        bench.returned(outcomes[-1])
        for place, turn_number, count in wanted:
            found = bench.returned(outcomes[place])
            bench.step(f"after turn {turn_number}: len(buffer) is {shown(found)}")
            bench.equal(found, count, "len(buffer) counts the packets whose turn comes", "leak")

    def _events(self) -> Iterator[tuple[Any, str, Turn | None]]:
        """In the order of time; what comes at the instant of a turn comes before it."""
        turns = iter(self._turns)
        turn = next(turns, None)
        for place, (seq, now) in enumerate(self._arrivals):
            while turn is not None and turn.now < now:
                yield _pull(turn)
                turn = next(turns, None)
            packet = self._packet(seq)
            words = {"late": ", too late", "twice": ", once more", None: ""}
            text = f"{_clock(now)} push packet {seq}{words[self._late.get(place)]}"
            yield _Push(packet, now), text, None
        while turn is not None:
            yield _pull(turn)
            turn = next(turns, None)

    def _is_packet(self, found: Any) -> None:
        what = "pull gives a packet that was pushed, or None"
        self._bench.holds(found is None or type(found) is Packet, what, what, found, "packet")

    def _explain(self, turn: Turn, found: Packet | None, played: list[int]) -> None:
        """Which idea helps whom: what came out against what should have."""
        wanted = turn.wanted
        what = f"at {to_ms(turn.now):g} ms it is the turn of "
        what += f"packet {wanted.seq}" if wanted else "nobody who is here"
        if found is not None and found.seq in played:
            hint = "twice"
        elif turn.now < self._start + self._delay:
            what, hint = "no turn has come yet", "early"
        elif self._at_the_wrap(wanted, found, played):
            hint = "circle"
        elif found is not None and self._is_late(found.seq):
            hint = "late"
        elif not played:
            hint = "first"
        elif self._had_a_hole(turn):
            hint = "hole"
        else:
            hint = "order"
        self._bench.fail(what, shown(wanted), shown(found), hint)

    def _at_the_wrap(self, wanted: Packet | None, found: Packet | None, played: list[int]) -> bool:
        """Whether this is the first turn in which a number smaller than the first one matters."""
        after = [p.seq < self._first for p in (wanted, found) if p is not None]
        return any(after) and not any(seq < self._first for seq in played)

    def _is_late(self, seq: int) -> bool:
        return any(self._arrivals[place][0] == seq for place in self._late)

    def _had_a_hole(self, turn: Turn) -> bool:
        begin = self._start + self._delay
        return any(t.wanted is None and begin <= t.now <= turn.now for t in self._turns)

    def _draw(self, yours: list[tuple[int, int | None]]) -> None:
        until = (yours[-1][0] if yours else self._start) + SHOWN * FRAME
        since = until - 24 * FRAME
        self._bench.drawing = {
            "kind": "turns",
            "frame": FRAME,
            "arrivals": [
                (now, seq, self._late.get(place, ""))
                for place, (seq, now) in enumerate(self._arrivals)
                if since <= now <= until
            ],
            "wanted": [
                (t.now, t.wanted.seq if t.wanted else None)
                for t in self._turns
                if since <= t.now <= until
            ],
            "yours": [turn for turn in yours if since <= turn[0]],
        }


class _Push(NamedTuple):
    packet: Packet
    now: int

    def __call__(self, handle: int) -> Ask:
        return Ask("call", "push", (self.packet, self.now), handle)


class _Pull(NamedTuple):
    now: int

    def __call__(self, handle: int) -> Ask:
        return Ask("call", "pull", (self.now,), handle)


def _pull(turn: Turn) -> tuple[Any, str, Turn]:
    return _Pull(turn.now), f"{_clock(turn.now)} pull", turn


def _clock(now: int) -> str:
    return f"{to_ms(now):6.0f} ms "

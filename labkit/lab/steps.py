"""A jitter buffer, stepped by hand: a few packets, their arrivals, and what comes of them.

    step(JitterBuffer(Fixed(ms(40))), [(1, 0), (2, 23), (4, 61), (3, 75)])

Each pair is a sequence number and the millisecond at which that packet arrives. Packets are 20 ms
of sound. The buffer is asked at its `deadline`, or every 20 ms if it has none, as the receiver
does; a packet that comes at the very instant of its turn comes in time.

The picture shows arrivals above and playout below; printing shows every step. This module decides
nothing and looks at nothing inside: what a buffer holds is what it took and has not given back. So
it shows a student's buffer as well as ours.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from matplotlib.patches import Rectangle

from labkit.lab.show import GREY, LATE, LINE, LOST, PLAYED, Picture, canvas
from labkit.words.packet import Packet
from labkit.words.seqnum import Unwrapper, add16, add32
from labkit.words.units import ms, ns_to_ticks, to_ms

FRAME = ms(20)
CLOCK_RATE = 48_000
PATIENCE = 3
"""After so many turns in a row without a packet a buffer is asked no more."""


class Step(NamedTuple):
    """One thing that happened."""

    now: int
    did: str
    """comes, late, twice, dropped; or played, missing, waits."""
    seq: int | None
    """Which packet, unwrapped; None when the buffer did not say."""
    in_hand: tuple[int, ...]
    """What the buffer holds afterwards, unwrapped."""
    until: int = 0
    """Of a turn: when the next one is."""


class Steps:
    """What happened, step by step: print it, or look at it."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)

    def __str__(self) -> str:
        return "\n".join(
            f"{to_ms(s.now):5.0f} ms  {_sentence(s):<22} | {_slots(s.in_hand)}" for s in self.steps
        )

    def show(self) -> Picture:
        """Arrivals above, playout below."""
        return _draw(self.steps)

    def _repr_png_(self) -> bytes:
        return self.show().png()

    __repr__ = __str__


def step(buffer: Any, arrivals: Sequence[tuple[int, int]]) -> Steps:
    """Feed `buffer` with (sequence number, arrival in ms), and pull whenever a turn is due."""
    bench = _Bench(buffer)
    for seq, at in sorted(arrivals, key=lambda pair: pair[1]):
        bench.turns(before=ms(at))
        bench.comes(seq, ms(at))
    bench.turns(before=None)
    return Steps(bench.steps)


class _Bench:
    """A buffer on the bench."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer
        self.steps: list[Step] = []
        self._unwrap = Unwrapper(16)
        self._hand: dict[int, None] = {}
        self._next: int | None = None  # the next turn, of a buffer that does not tell
        self._expected: int | None = None  # the number of the next turn
        self._newest_played = -1
        deadline: Callable[[], int | None] | None = getattr(buffer, "deadline", None)
        self._due = deadline or (lambda: self._next)

    def comes(self, seq: int, now: int) -> None:
        number = self._unwrap(seq)
        timestamp = add32(0, number * ns_to_ticks(FRAME, CLOCK_RATE))
        twice, late = self._counted("duplicates"), self._counted("late")
        self.buffer.push(Packet(seq, timestamp, b"sound"), now)
        self._next = now if self._next is None else self._next
        self._hand[number] = None
        did = "comes"
        if self._counted("duplicates") > twice:
            did = "twice"
        elif self._counted("late") > late:
            did = "late"
        elif self._too_few() and number < self._newest_played:
            did = "dropped"
        elif self._too_few():  # it has not said which; when one is replaced, it is the oldest
            del self._hand[next(iter(self._hand))]
        if did in ("late", "dropped") or (did == "twice" and self._too_few()):
            del self._hand[number]
        self._note(now, did, number)

    def _counted(self, what: str) -> int:
        return int(getattr(self.buffer, what, 0))

    def _too_few(self) -> bool:
        """Whether the buffer holds fewer packets than we gave it and did not get back."""
        return hasattr(self.buffer, "__len__") and len(self.buffer) < len(self._hand)

    def turns(self, before: int | None) -> None:
        """Every turn before that instant; without one, until nothing is left."""
        due = self._due()
        idle = 0
        while due is not None and (due < before if before is not None else self._hand):
            idle = 0 if self._turn(due) else idle + 1
            if idle == PATIENCE:
                return
            due = self._due()

    def _turn(self, now: int) -> bool:
        """Pull once. Whether a packet came out."""
        packet = self.buffer.pull(now)
        if self._next is not None:
            self._next += FRAME
        until = self._due() or now + FRAME
        if packet is None:
            waits = self._expected is None or getattr(self.buffer, "holding", False)
            seq = None if waits or self._expected is None else self._expected
            if seq is not None:
                self._expected = seq + 1
            self._note(now, "waits" if waits else "missing", seq, until)
            return False
        number = self._unwrap(packet.seq)
        self._hand.pop(number, None)
        self._expected = number + 1
        self._newest_played = max(self._newest_played, number)
        self._note(now, "played", number, until)
        return True

    def _note(self, now: int, did: str, seq: int | None, until: int = 0) -> None:
        self.steps.append(Step(now, did, seq, tuple(sorted(self._hand)), until))


def _name(seq: int | None) -> str:
    return "" if seq is None else str(add16(seq, 0))


def _sentence(step: Step) -> str:
    words = {
        "comes": "comes",
        "late": "comes too late",
        "twice": "comes once more",
        "dropped": "comes, and is dropped",
        "played": "is played",
        "missing": "is missing: conceal",
        "waits": "nothing to play: wait",
    }
    return f"{_name(step.seq)} {words[step.did]}".strip()


def _slots(numbers: tuple[int, ...]) -> str:
    """What is in hand, with gaps: `2 _ 4`."""
    if not numbers:
        return ""
    return " ".join(_name(n) if n in numbers else "_" for n in range(numbers[0], numbers[-1] + 1))


TURN_COLOURS = {"played": PLAYED, "missing": LOST, "waits": GREY}


def _draw(steps: Sequence[Step]) -> Picture:
    with canvas(height=2.5) as (figure, rows):
        axes = rows[0]
        turns = {s.seq: s for s in steps if s.did == "played"}
        labels = _Labels(0.055 * to_ms(max(s.now for s in steps) - steps[0].now + FRAME))
        notes: dict[int, list[str]] = {}  # by instant: what comes together has one label
        for s in steps:
            if s.did in TURN_COLOURS:
                _draw_turn(axes, s)
            else:
                _draw_arrival(axes, s, turns.get(s.seq))
                notes.setdefault(s.now, []).append(_note(s))
        for now, told in notes.items():
            x = to_ms(now)
            text = ", ".join(told)
            axes.text(x, labels.height(x), text, ha="center", va="bottom", fontsize=9, color=LINE)
        axes.set_ylim(0, 1.35)
        axes.set_yticks([0.15, 1], ["turns", "arrivals"])
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.02)
        axes.set_xlabel("now (ms)")
    return Picture(figure, "; ".join(f"{to_ms(s.now):.0f} ms: {_sentence(s)}" for s in steps))


class _Labels:
    """Raises a number that would stand on its neighbour."""

    def __init__(self, width: float) -> None:
        self._width = width
        self._last = -1e9
        self._raised = False

    def height(self, x: float) -> float:
        self._raised = x - self._last < self._width and not self._raised
        self._last = x
        return 1.2 if self._raised else 1.06


def _draw_turn(axes: Any, s: Step) -> None:
    x, width = to_ms(s.now), to_ms(s.until - s.now)
    colour = TURN_COLOURS[s.did]
    filled = s.did == "played"
    axes.add_patch(
        Rectangle(
            (x, 0.02),
            width,
            0.26,
            facecolor=colour if filled else "white",
            edgecolor="white" if filled else colour,
            hatch="" if filled else "////",
            lw=1.5,
        )
    )
    text = _name(s.seq) if s.seq is not None else "wait"
    style: dict[str, Any] = {"color": "white"} if filled else {
        "color": LINE, "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1},
    }  # fmt: skip
    axes.text(x + width / 2, 0.15, text, ha="center", va="center", fontsize=9, **style)


def _note(s: Step) -> str:
    return _name(s.seq) if s.did == "comes" else f"{_name(s.seq)} {s.did}"


def _draw_arrival(axes: Any, s: Step, turn: Step | None) -> None:
    x = to_ms(s.now)
    kept = s.did == "comes"
    axes.plot(x, 1, "o" if kept else "^", color=PLAYED if kept else LATE, ms=7 if kept else 9)
    if kept and turn is not None:
        axes.plot([x, to_ms(turn.now)], [0.95, 0.29], color=PLAYED, lw=1, alpha=0.6)

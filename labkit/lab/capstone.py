"""The capstone: all of a student's own parts carry one call over bad networks (week 12).

    card = capstone(own_parts("exercises"), name="Ada")
    print(card); card.show(); card.listen(); card.save("leaderboard.jsonl")

Where the student has nothing, or where it stumbles, the kit's own part stands, and the card says
so. Each network is crossed twice with the same dice, by the student's parts and by the kit's alone:
a voice in Opus with FEC over SRTP, past a radio that sleeps and somebody who copies and changes
packets (`labkit.lab.capstonelayers`), after a greeting (`labkit.lab.capstonegreeting`).

What a card says is measured as of any call: STOI, R of the E-model, delay, the share not heard. It
is no proof of anything to others: it was made on the student's own machine.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import labkit
from labkit.codec.opus import Opus
from labkit.core.congestion import Feedback
from labkit.core.flowcontrol import Drop, SendQueue
from labkit.core.ratecontrol import adaptive
from labkit.core.session import Role
from labkit.core.source import Clip
from labkit.endpoints.sender import Sender
from labkit.endpoints.srtp import Srtp, new_key
from labkit.endpoints.voice import Voice
from labkit.lab import capstonelayers as layers
from labkit.lab.call import Call
from labkit.lab.capstonegreeting import Greeting, greet
from labkit.lab.capstoneparts import BY_WORD, PLACES, RESTS, Parts, Stumbled, Watched, taken
from labkit.lab.capstonering import to_card
from labkit.lab.listen import Player, listen
from labkit.lab.ownheader import OwnHeader
from labkit.lab.result import Result, in_ms
from labkit.lab.show import GREY, PLAYED, Picture, canvas
from labkit.lab.sources import speech
from labkit.words.errors import BadInput
from labkit.words.units import ms, seconds

PROFILES: Final = ("voip-5", "voip-10", "wifi-busy")
"""The networks of the leaderboard."""
QUEUE: Final = 4
"""Packets that may wait while the radio sleeps."""
BUFFER: Final = ms(100)
"""What a fixed buffer is told to wait."""
WINDOW: Final = 128
LONGEST_NAME: Final = 40


class Controlled:
    """A controller of the exercises in the place of one of the kit's."""

    def __init__(self, inner: Any, *, place: str) -> None:
        self._inner = inner
        self._place = place

    @property
    def bitrate(self) -> int:
        """Bits of payload a second."""
        rate = self._inner.bitrate
        if type(rate) not in (int, float) or not 6_000 <= rate <= 256_000:
            raise Stumbled(self._place, f"the bitrate is {rate!r:.30}")
        return int(rate)

    def on_feedback(self, feedback: Feedback, now: int) -> None:
        """A report has come."""
        loss = feedback.loss or 0.0
        if self._place == "aimd":
            self._inner.on_report(loss, now)
        else:
            self._inner.on_report(loss, feedback.round_trip, now)


class OwnCall(Call):
    """A call with parts in their places; made fresh for each network."""

    parts: dict[str, tuple[Any, ...]]
    outlet: layers.Outlet
    mallory: layers.Mallory
    guard: Any

    def _made(self, word: str, *args: Any) -> Any:
        return Watched(word, self.parts[word][0])(*args)

    def _has(self, word: str) -> bool:
        return word in self.parts

    def placed(self, parts: dict[str, tuple[Any, ...]]) -> "OwnCall":
        """Put them there."""
        self.parts = parts
        if self._has("header"):
            self.header = OwnHeader(*(Watched("header", half) for half in parts["header"]))
        if self._has("policy"):
            self.policy = self._made("policy")
        elif self._has("buffer"):
            self.jitter_buffer = lambda: self._made("buffer", BUFFER)
        if self._has("loop"):
            self.decode_loop = lambda: self._made("loop")
        return self

    def sender(self, wallclock_offset: int = 0) -> Sender:
        """The end that speaks."""
        dice, clip = Random(f"{self.seed} voice"), self.clip.rewound()
        if self._has("packetizer"):
            make = Watched("packetizer", self.parts["packetizer"][0])
            voice: Voice = layers.OwnVoice(self.codec, clip, make, dice)
        else:
            voice = Voice(self.codec, clip, rng=dice)
        session = self._session(Role.SENDER, None, wallclock_offset, voice.ssrc)
        word = next((word for word in ("control", "aimd") if self._has(word)), "")
        controller: Any = Controlled(self._made(word), place=word) if word else adaptive()
        return Sender(session, voice, controller)

    def _protected(self, role: Role, session: Any) -> Any:
        keys = {end: new_key(rng=Random(f"{self.seed} {end.value} key")) for end in Role}
        if role is Role.SENDER:
            srtp = Srtp(session, keys[Role.SENDER], keys[Role.RECEIVER])
            queue = self._made("queue", QUEUE, "oldest") if self._has("queue") else None
            queue = SendQueue(QUEUE, Drop.OLDEST) if queue is None else queue
            self.outlet = layers.Outlet(srtp, queue)
            self.mallory = layers.Mallory(self.outlet)
            return self.mallory
        reception = self._made("reception", 48_000) if self._has("reception") else None
        block = Watched("block", self.parts["block"][0]) if self._has("block") else None
        reporting = layers.Reporting(session, reception, block)
        srtp = Srtp(reporting, keys[Role.RECEIVER], keys[Role.SENDER])
        opens: Any = layers.unprotect
        if self._has("srtp"):
            opens = Watched("srtp", self.parts["srtp"][0])
        own = self._has("window")
        window = self._made("window", WINDOW) if own else layers.KitsWindow(WINDOW)
        self.guard = layers.Guarded(srtp, keys[Role.SENDER], opens, window)
        return self.guard


class Figures(NamedTuple):
    """What came of one call."""

    stoi: float
    r: float
    delay_ms: float
    unheard: float
    """Share of the frames, 0 to 1."""
    dropped: int
    """Packets for which the queue had no room."""
    fooled: int
    """Copies that were believed."""


class Row(NamedTuple):
    """One network, crossed twice."""

    profile: str
    own: Figures
    kits: Figures


@dataclass(frozen=True)
class ReportCard:
    """What came of it: prints itself; `show` draws, `listen` plays, `save` tells the class."""

    name: str
    seed: int
    own: tuple[str, ...]
    """Places of the student's own parts."""
    resting: tuple[str, ...]
    """Those that another of the student's parts takes the place of."""
    stumbled: dict[str, str]
    """Places where the kit's part had to stand in, and why."""
    greeting: Greeting
    rows: tuple[Row, ...]
    heard: tuple[Result, Result] = field(repr=False)
    """Yours and the kit's, over the last network."""

    @property
    def r(self) -> float:
        """Mean R of the networks."""
        return sum(row.own.r for row in self.rows) / len(self.rows)

    @property
    def stoi(self) -> float:
        """Mean STOI of the networks."""
        return sum(row.own.stoi for row in self.rows) / len(self.rows)

    def __str__(self) -> str:
        wait = self.greeting.waited_ms / 1000
        lines = [
            f"{self.name}: {len(self.own)} of {len(PLACES)} parts are your own (seed {self.seed})",
            *(self._place(place.word) for place in PLACES),
            "",
            f"let in after {self.greeting.attempts} attempts and {wait:.1f} s of waiting",
            f"{'network':<12}{'':8}  STOI     R     delay  not heard  dropped  fooled",
        ]
        for row in self.rows:
            lines += [_line(row.profile, "yours", row.own), _line("", "the kit", row.kits)]
        lines.append(f"mean of yours: R {self.r:.1f}, STOI {self.stoi:.3f}")
        return "\n".join(lines)

    __repr__ = __str__

    def _place(self, word: str) -> str:
        place = BY_WORD[word]
        who = "yours" if word in self.own else "the kit's"
        if word in self.resting:
            who = f"yours, resting: {RESTS[word]} is there"
        elif word in self.stumbled:
            who = f"the kit's, because yours: {self.stumbled[word]}"
        return f"  {word:<11}{place.exercise}  {place.does}: {who}"

    def show(self) -> Picture:
        """Each network as an arrow, from the kit's call to yours."""
        with canvas(height=3.6) as (figure, rows):
            axes = rows[0]
            for row in self.rows:
                ends = [(f.delay_ms, 100 * f.unheard) for f in (row.kits, row.own)]
                axes.annotate("", ends[1], ends[0], arrowprops={"arrowstyle": "->", "color": GREY})
                axes.plot(*ends[0], "o", color=GREY, ms=8)
                axes.plot(*ends[1], "*", color=PLAYED, ms=13)
                axes.annotate(
                    row.profile, ends[1], (0, 11), textcoords="offset points", ha="center"
                )
            axes.plot([], [], "o", color=GREY, label="the kit's parts")
            axes.plot([], [], "*", color=PLAYED, ms=11, label="yours")
            axes.margins(0.15, 0.25)
            axes.set_xlabel("mouth to ear (ms)")
            axes.set_ylabel("not heard (%)")
            figure.legend(loc="outside upper center", ncols=2)
        said = "; ".join(
            f"{row.profile}: {in_ms(row.own.delay_ms)}, {row.own.unheard:.1%}" for row in self.rows
        )
        return Picture(figure, f"Delay and share not heard with your parts. {said}")

    def listen(self) -> Player:
        """What was said, and what both calls made of it, over the last network."""
        return listen(*self.heard)

    def line(self) -> dict[str, Any]:
        """What the class is told: plain data, and nothing about the machine."""
        figures = {
            row.profile: {k: round(float(v), 4) for k, v in row.own._asdict().items()}
            for row in self.rows
        }
        return {
            "labkit": labkit.__version__,
            "name": self.name,
            "seed": self.seed,
            "parts": list(self.own),
            "r": round(self.r, 2),
            "stoi": round(self.stoi, 4),
            "networks": figures,
        }

    def save(self, path: str | Path) -> Path:
        """Add a line to a leaderboard file: `labkit course leaderboard` reads it."""
        with Path(path).open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(self.line(), allow_nan=False) + "\n")
        return Path(path)


def _line(profile: str, who: str, f: Figures) -> str:
    return (
        f"{profile:<12}{who:8}{f.stoi:6.2f}{f.r:6.0f}{in_ms(f.delay_ms):>10}"
        f"{f.unheard:>11.1%}{f.dropped:>9}{f.fooled:>8}"
    )


def capstone(
    parts: Parts,
    *,
    name: str = "somebody",
    seed: int = 2026,
    profiles: Sequence[Any] = PROFILES,
    clip: Clip | None = None,
) -> ReportCard:
    """Make the calls with these parts, and with the kit's alone; what came of it.

    `name` is what the class sees: anything printable of at most 40 characters. A part that raises,
    or gives what cannot be used, is taken out and the calls are made again.
    """
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise BadInput("that is no name for a leaderboard", "1 to 40 printable characters")
    if not profiles:
        raise BadInput("no network to cross", f"profiles={PROFILES}")
    own, stumbled = taken(parts), {}
    clip = speech(7.5) if clip is None else clip
    while True:
        placed = {w: p for w, p in own.items() if not (w in RESTS and RESTS[w] in own)}
        try:
            greeting = greet(placed, seed)
            yours = [one_call(placed, p, seed, clip, "yours") for p in profiles]
            break
        except Stumbled as error:
            culprit = error
        except Exception as error:  # the kit stumbled over what some part gave
            found = _who(placed, profiles, seed, clip)
            if found is None:
                raise
            culprit = Stumbled(found, f"{type(error).__name__}: {error}"[:120])
        stumbled[culprit.place] = culprit.why
        del own[culprit.place]
    kits = [one_call({}, p, seed, clip, "the kit's") for p in profiles]
    rows = tuple(
        Row(mine[0].link.name, mine[1], theirs[1]) for mine, theirs in zip(yours, kits, strict=True)
    )
    resting = tuple(word for word in own if word not in placed)
    heard = yours[-1][0], kits[-1][0]
    return ReportCard(name, seed, tuple(placed), resting, stumbled, greeting, rows, heard)


def _who(
    parts: dict[str, tuple[Any, ...]], profiles: Sequence[Any], seed: int, clip: Clip
) -> str | None:
    """Over whose part the kit stumbles, when it is alone."""
    for word, part in parts.items():
        try:
            for profile in profiles:
                one_call({word: part}, profile, seed, clip)
        except Exception:  # noqa: BLE001
            return word
    return None


def one_call(
    parts: dict[str, tuple[Any, ...]], link: Any, seed: int, clip: Clip, name: str = ""
) -> tuple[Result, Figures]:
    """One call with these parts; `Stumbled` when one does what it must not."""
    codec, interval = Opus(32_000, fec=True), seconds(1)
    call = OwnCall(copy.copy(clip), codec, link, "srtp", seed=seed, rtcp_interval=interval)
    call.name = name
    try:
        result = call.placed(parts).simulate()
        ring = Watched("ring", parts["ring"][0]) if "ring" in parts else None
        # A cached property: what is heard is what the card played.
        result.audio = to_card(result.heard, codec.sample_rate, codec.channels, seed, ring)
        figures = Figures(
            result.stoi if result.heard else 0.0,
            float(result.r),
            result.delay_ms if result.delay_ms == result.delay_ms else 0.0,
            result.unheard,
            call.outlet.dropped,
            call.guard.fooled,
        )
    except BadInput as error:
        words = {
            "decode loop": "loop",
            "jitter buffer": "policy" if "policy" in parts else "buffer",
        }
        place = next((word for said, word in words.items() if said in str(error)), "")
        if place not in parts:
            raise
        raise Stumbled(place, str(error)[:120]) from error
    return result, figures

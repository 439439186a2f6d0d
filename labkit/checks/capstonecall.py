"""Exercise 12.4: a student's parts, behind the seam, carry a call.

A part here is not the student's object but a stand-in that asks for it (`labkit.checks.subject`),
verb by verb, so that the call runs where the check does and the student's code where it may. What
the kit's parts alone make of the same call is known (it is made once), and is what the student's
are held against.
"""

from functools import lru_cache
from typing import Any, Final

from labkit.checks.bench import Bench
from labkit.checks.subject import Handle, Missing, Returned, Unfit

SEEDS: Final = 3
"""Calls to choose from: each of the kit's is made once, whoever is checked."""
VERBS: Final = {
    "MyPacketizer": ("packetizer", ("push",)),
    "MyPolicy": ("policy", ("observe", "target")),
    "Reception": ("reception", ("add", "report")),
    "DecodeLoop": ("loop", ("turn",)),
    "MyController": ("control", ("on_report",)),
    "BoundedQueue": ("queue", ("put", "get")),
}
"""What can be brought along: its place, and what it is asked."""
BROUGHT: Final = tuple(VERBS)
ENOUGH: Final = 4
"""Own parts for all points."""
ALIKE: Final = 15.0
"""Points of R below the kit's call that are still well."""


class _Asked:
    """An object on the student's side."""

    def __init__(self, place: str, handle: Handle, verbs: tuple[str, ...]) -> None:
        self._place = place
        self._handle = handle
        self._verbs = verbs

    def __getattr__(self, name: str) -> Any:
        if name == "bitrate" and self._place == "control":
            return _value(self._place, self._handle.value(name))
        if name.startswith("_") or name not in self._verbs:
            raise AttributeError(name)
        return lambda *args: _value(self._place, self._handle.call(name, *args))

    def __deepcopy__(self, memo: Any) -> "_Asked":
        return self  # it is made anew for each call

    def __len__(self) -> int:
        length = _value(self._place, self._handle.call("__len__"))
        return length if type(length) is int and length >= 0 else 0


def _value(place: str, outcome: Any) -> Any:
    from labkit.lab.capstoneparts import Stumbled

    if isinstance(outcome, Returned):
        return outcome.value
    raise Stumbled(place, str(getattr(outcome, "message", "") or outcome)[:150])


def _among(name: str, named: Any) -> bool:
    return any(type(each) is str and each == name for each in named)


def _maker(bench: Bench, name: str, place: str, verbs: tuple[str, ...], *first: str) -> Any:
    def make(*args: Any) -> Any:
        made = bench.subject.make(name, *first, *args)
        return _Asked(place, made, verbs) if isinstance(made, Handle) else _value(place, made)

    return make


def _opener(bench: Bench) -> Any:
    def unprotect(*args: Any) -> Any:
        return _value("srtp", bench.subject.call("unprotect", *args))

    return unprotect


def _guards(bench: Bench) -> dict[str, tuple[Any, ...]]:
    """Who opens packets, and who refuses copies: without these two there is no call."""
    bench.make("Window", 128)
    for name in ("unprotect", "derive"):
        if not _is_there(bench, name):
            bench.returned(Missing(name))
    window = _maker(bench, "Window", "window", ("index", "is_new", "accept"))
    return {"srtp": (_opener(bench),), "window": (window,)}


def _is_there(bench: Bench, name: str) -> bool:
    """A class or function is there, and is no plain value."""
    outcome = bench.subject.value(name)
    return isinstance(outcome, Unfit)


@lru_cache(maxsize=SEEDS)
def _by_the_kit(seed: int) -> Any:
    return _one_call({}, seed)[1]


def _one_call(parts: dict[str, tuple[Any, ...]], seed: int) -> Any:
    from labkit.lab.capstone import one_call
    from labkit.lab.sources import speech

    return one_call(parts, "voip-5", 1200 + seed, speech(1.4))


def _carry(bench: Bench, parts: dict[str, tuple[Any, ...]], seed: int) -> Any:
    """Make the call. What stumbles is said."""
    from labkit.lab.capstoneparts import Stumbled

    bench.step(f"a call over voip-5 with your parts at: {', '.join(parts)}")
    try:
        return _one_call(parts, seed)[1]
    except Stumbled as error:
        bench.fail("each part does what it is asked", "an answer", str(error), "stumbled")
    except Exception as error:  # noqa: BLE001  (what a stranger's part gave may do anything)
        found = f"{type(error).__name__}: {error}"[:200]
        bench.fail("the kit can use what your parts give", "a call", found, "stumbled")


def carries(bench: Bench) -> None:
    """Your keys and your window: everything is heard, and no copy is believed."""
    seed = bench.rng.randrange(SEEDS)
    figures, kits = _carry(bench, _guards(bench), seed), _by_the_kit(seed)
    what = "Mallory sends copies of packets; how many were believed"
    bench.equal(figures.fooled, 0, what, "fooled")
    what = "what is heard is as good as with the kit's parts"
    wanted, found = f"STOI {kits.stoi:.2f}", f"STOI {figures.stoi:.2f}"
    bench.holds(figures.stoi >= kits.stoi - 0.02, what, wanted, found, "deaf")


def brings(bench: Bench) -> float:
    """Parts of earlier weeks along with them, up to all points for four."""
    parts = _guards(bench)
    named = bench.call("brought")
    brought = [name for name in VERBS if type(named) in (list, tuple) and _among(name, named)]
    for name in brought:
        place, verbs = VERBS[name]
        parts[place] = (_maker(bench, "brought", place, verbs, name),)
    what = f"parts of earlier weeks: any of {', '.join(BROUGHT)}"
    bench.holds(bool(brought), what, "one at least", "none", "none")
    seed = bench.rng.randrange(SEEDS)
    figures, kits = _carry(bench, parts, seed), _by_the_kit(seed)
    what = "the call is about as good as with the kit's parts"
    wanted, found = f"R of {kits.r:.0f}, less {ALIKE:.0f} at most", f"R of {figures.r:.0f}"
    bench.holds(figures.r >= kits.r - ALIKE, what, wanted, found, "worse")
    share = min(1.0, len(brought) / ENOUGH)
    if share < 1:
        wanted = f"{ENOUGH} for all points"
        bench.fail("how many are your own", wanted, ", ".join(brought), "few", share=share)
    return share

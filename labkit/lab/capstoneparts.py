"""The places in a call where a part of one's own can stand (week 12), and who stands there.

    parts = {"policy": MyPolicy, "header": (pack, unpack)}

`labkit.checks.ownparts` finds them in exercise notebooks.

A place has a word (`policy`), the exercise that it comes from, and the names that the exercise
wants. Two exercises can be meant for one place; the later one goes there, if it is written.

A part is watched: an error that it raises becomes a `Stumbled`, which says whose it was, so that
the kit's part can stand in for it and the call can be made again. Errors of the kit's own kind
(`WireError`, `AuthenticationError`) are answers, and pass.

This module makes no call.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from labkit.words.errors import BadInput, LabError


class Place(NamedTuple):
    """Where a part stands."""

    word: str
    exercise: str
    names: tuple[str, ...]
    does: str


# fmt: off
PLACES: Final = (
    Place("frame", "01.1", ("pack", "unpack"), "frames of what is said before the call"),
    Place("ring", "02.1", ("MyRing",), "between the program and the sound card"),
    Place("decoder", "03.1", ("Decoder",), "finds those frames in a stream of bytes"),
    Place("backoff", "04.2", ("Schedule",), "waits before it tries the server again"),
    Place("packetizer", "05.1", ("MyPacketizer",), "cuts the voice and numbers the packets"),
    Place("buffer", "06.1", ("FixedBuffer",), "the jitter buffer, where there is no policy"),
    Place("policy", "06.3", ("MyPolicy",), "how long the jitter buffer waits"),
    Place("header", "07.1", ("pack", "unpack"), "the RTP header of each packet"),
    Place("reception", "07.2", ("Reception",), "counts what comes, for the reports"),
    Place("block", "07.3", ("report_block",), "the 24 bytes that tell of it"),
    Place("loop", "08.4", ("DecodeLoop",), "decode, FEC, PLC or silence, at each turn"),
    Place("token", "09.1", ("make_token", "check_token"), "who may listen"),
    Place("queue", "10.1", ("BoundedQueue",), "packets that wait while the radio sleeps"),
    Place("aimd", "10.2", ("MyAimd",), "the bitrate, by losses; without a controller"),
    Place("control", "10.4", ("MyController",), "the bitrate, by losses and delay"),
    Place("srtp", "12.2", ("unprotect",), "keys of the session; opens packets"),
    Place("window", "12.2", ("Window",), "refuses what has been here"),
)
# fmt: on
BY_WORD: Final = {place.word: place for place in PLACES}
BY_NAME: Final = {place.names[0]: place.word for place in PLACES if len(place.names) == 1}
RESTS: Final = {"buffer": "policy", "aimd": "control"}
"""The first rests while the second is there."""

Parts = Mapping[str, Any]
"""By the word of its place: an object, or a tuple of them in the order of `Place.names`. A single
object may be called by its own name, too: `{"MyPolicy": MyPolicy}`."""


class Stumbled(Exception):
    """A part of somebody's own did what it must not: `place` says which, `why` what."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}")
        self.place = place
        self.why = why


def parts_of(names: Mapping[str, Any], places: tuple[Place, ...] | list[Place]) -> dict[str, Any]:
    """Of what a notebook defines, what has a place."""
    return {
        place.word: tuple(names[name] for name in place.names)
        for place in places
        if all(callable(names.get(name)) for name in place.names)
    }


def taken(parts: Parts) -> dict[str, tuple[Any, ...]]:
    """The same, each as a tuple. `BadInput` for a place that does not exist."""
    found = {}
    for called, given in parts.items():
        word = BY_NAME.get(called, called)
        if word not in BY_WORD:
            raise BadInput(f"a call has no place called {word!r}", " or ".join(BY_WORD))
        row = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        names = BY_WORD[word].names
        if len(row) != len(names) or not all(map(callable, row)):
            raise BadInput(
                f"{word!r} takes {' and '.join(names)}", f"as in exercise {BY_WORD[word].exercise}"
            )
        found[word] = row
    return found


class Absent(Stumbled, AttributeError):
    """A part has not what it was asked for. Where that is not needed, it is an `AttributeError`."""


class Watched:
    """Any object; errors in it become `Stumbled`, those of the kit's own kind pass."""

    def __init__(self, place: str, inner: Any) -> None:
        self._place = place
        self._inner = inner

    def __call__(self, *args: Any) -> Any:
        """Call it; what a class makes is watched as well."""
        made = watched(self._place, self._inner, *args)
        return Watched(self._place, made) if isinstance(self._inner, type) else made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            found = getattr(self._inner, name)
        except AttributeError:
            raise Absent(self._place, f"it has no {name}") from None
        return Watched(self._place, found) if callable(found) else found

    def __len__(self) -> int:
        return int(watched(self._place, len, self._inner))

    def __deepcopy__(self, memo: Any) -> "Watched":
        return self  # it is made anew for each call


def watched(place: str, call: Callable[..., Any], *args: Any) -> Any:
    """Call; whatever it raises is told as a `Stumbled` of this place."""
    try:
        return call(*args)
    except (LabError, Stumbled):
        raise
    except NotImplementedError:
        raise Stumbled(place, "not written yet") from None
    except Exception as error:
        raise Stumbled(place, f"{type(error).__name__}: {error}"[:120]) from error

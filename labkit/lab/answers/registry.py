"""What an answer is, and where the functions that compute one are found.

Each takes the `Traffic` of a capture and gives an `Answer`. The manifest of the captures names it.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from labkit.lab.conversations import Connection, Segment, VoiceStream
from labkit.lab.traffic import Traffic
from labkit.words.errors import BadInput


class Answer(NamedTuple):
    """What is right. Of several values any is; `mistakes` are wrong values with what to say."""

    value: float | str | frozenset[int]
    mistakes: tuple[tuple[float, str], ...] = ()


Answerer = Callable[[Traffic], Answer]
ANSWERS: Final[dict[str, Answerer]] = {}


def answers(function: Answerer) -> Answerer:
    """Register a function under its name."""
    ANSWERS[function.__name__] = function
    return function


def the_connection(traffic: Traffic) -> Connection:
    """The first TCP connection."""
    if not traffic.connections:
        raise BadInput(f"{traffic!r} has no TCP connection", "a capture of week 3 or 4")
    return traffic.connections[0]


def the_voice(traffic: Traffic, which: int = 0) -> VoiceStream:
    """The first stream of voice, or another."""
    if len(traffic.voices) <= which:
        raise BadInput(f"{traffic!r} has no stream of voice", "a capture of week 5 or later")
    return traffic.voices[which]


def from_server(traffic: Traffic) -> list[Segment]:
    """Segments with new data from the server."""
    return [s for s in the_connection(traffic).sent(by_client=False) if not s.repeated]

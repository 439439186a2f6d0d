"""What the captures answer: one function for each kind of question, from the packets alone.

Each takes the `Traffic` of a capture and gives an `Answer`: the value, and values that people get
who made a known mistake, each with the idea that is missing. Nothing is stored; who takes a capture
again gets new answers, and a capture of one's own can be asked the same.

The manifest of the captures names these functions. Times are in milliseconds, rates in kbit/s.
"""

from labkit.lab.answers import many, nats, secured, stream, through, voice
from labkit.lab.answers.registry import ANSWERS, Answer, Answerer

__all__ = [
    "ANSWERS", "Answer", "Answerer", "many", "nats", "secured", "stream", "through", "voice",
]  # fmt: skip

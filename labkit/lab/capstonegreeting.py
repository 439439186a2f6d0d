"""What is said before the capstone's call: nobody there yet, a token, an SDP (week 12).

    greet(parts, seed) -> Greeting(attempts, waited_ms, description)

A listener tries to reach the server and waits by its back-off between two attempts; shows a token,
which the server checks, along with two that are worth nothing; and reads the description of the
call, framed as in week 1, out of a stream that is cut anywhere. Each part may be a student's own.
What does not work raises `Stumbled`, with the place that did not do its work.

This module knows no call and no packet of sound.
"""

from collections.abc import Mapping
from random import Random
from typing import Any, Final, NamedTuple

from labkit.core import token as tokens
from labkit.lab.capstoneparts import Stumbled, watched
from labkit.wire import framing
from labkit.words.errors import AuthenticationError, WireError
from labkit.words.packet import Packet
from labkit.words.units import NS_PER_S

WHO: Final = "listener"
NOON: Final = 1_700_000_000
"""Seconds since 1970, in this world."""
DESCRIPTION: Final = (
    "v=0\r\ns=capstone\r\nm=audio 5004 RTP/SAVP 111\r\na=rtpmap:111 opus/48000/2\r\n"
)


class Greeting(NamedTuple):
    """What it took."""

    attempts: int
    waited_ms: float
    description: str


def greet(parts: Mapping[str, tuple[Any, ...]], seed: int) -> Greeting:
    """All of it, before a word is spoken."""
    dice = Random(f"{seed} greeting")
    attempts, waited = _reach(parts.get("backoff"), dice)
    _be_let_in(parts.get("token"), dice)
    return Greeting(attempts, waited, _read(parts, dice))


def _reach(backoff: tuple[Any, ...] | None, dice: Random) -> tuple[int, float]:
    """The server comes up after some attempts."""
    failures, waited = dice.randrange(2, 6), 0.0
    if backoff is None:
        return failures + 1, sum(dice.random() * min(200 << n, 5000) for n in range(failures))
    schedule = watched("backoff", backoff[0], 200, 5000)
    for number in range(failures):
        wait = watched("backoff", schedule.failed, dice.random())
        if type(wait) not in (int, float) or not 0 <= wait <= min(200 << number, 5000):
            most = min(200 << number, 5000)
            raise Stumbled("backoff", f"failed gave {wait!r:.40}, where 0 to {most} ms are asked")
        waited += wait
    watched("backoff", schedule.succeeded)
    return failures + 1, waited


def _be_let_in(pair: tuple[Any, ...] | None, dice: Random) -> None:
    """One good token, one that has expired, one made with another secret."""
    make, verify = pair or (tokens.issue, _verify)
    secret, other = dice.randbytes(32), dice.randbytes(32)
    rows = ((secret, NOON + 60, True), (secret, NOON - 60, False), (other, NOON + 60, False))
    for made_with, expires, good in rows:
        shown = watched("token", make, made_with, WHO, expires)
        try:
            let_in = watched("token", verify, secret, shown, NOON) == WHO
        except AuthenticationError:
            let_in = False
        if let_in is not good:
            what = "a good token is refused" if good else "a bad token opens the door"
            raise Stumbled("token", what)


def _verify(secret: bytes, token: str, now: int) -> str:
    return tokens.verify(secret, token, now * NS_PER_S).subject


def _read(parts: Mapping[str, tuple[Any, ...]], dice: Random) -> str:
    """The description, a line in each frame."""
    lines = [line.encode() + b"\r\n" for line in DESCRIPTION.splitlines()]
    pack = parts["frame"][0] if "frame" in parts else _pack
    stream = b""
    for seq, line in enumerate(lines):
        frame = watched("frame", pack, seq, 960 * seq, line)
        if frame != _pack(seq, 960 * seq, line):
            raise Stumbled("frame", f"frame {seq} is not as week 1 has it")
        if "frame" in parts and watched("frame", parts["frame"][1], frame)[2] != line:
            raise Stumbled("frame", f"unpack does not give frame {seq} back")
        stream += frame
    decoder = watched("decoder", parts["decoder"][0]) if "decoder" in parts else _Kits()
    said = []
    while stream:
        size = dice.randrange(1, 40)
        try:
            said += [bytes(frame[3]) for frame in watched("decoder", decoder.feed, stream[:size])]
        except (WireError, TypeError, IndexError) as error:
            raise Stumbled("decoder", f"{type(error).__name__}: {error}"[:120]) from error
        stream = stream[size:]
    if said != lines:
        raise Stumbled("decoder", f"{len(said)} frames of {len(lines)} came out as they went in")
    return b"".join(said).decode()


def _pack(seq: int, ts: int, payload: bytes) -> bytes:
    return framing.pack(Packet(seq, ts, payload))


class _Kits:
    """The kit's decoder behind the face of the exercise."""

    def __init__(self) -> None:
        self._decoder = framing.FrameDecoder()

    def feed(self, data: bytes) -> list[tuple[int, int, int, bytes]]:
        """Frames that are complete."""
        return [(k, p.seq, p.timestamp, p.payload) for k, p in self._decoder.receive(data)]

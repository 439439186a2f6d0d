"""Calls in a lab network: the kernel's own TCP and UDP, and packets that are really lost (week 5).

    with LabNetwork("voip-5", seed=5) as net:
        tcp, udp = side_by_side(net, Call(transport="tcp"), Call(transport="udp"))
    timelines([tcp, udp])

`Call.run` sends through a relay, and a relay cannot lose a byte of a stream: what TCP does about a
loss is not seen there. In a lab network it is. All calls go at once, over the one line: bob speaks,
alice listens, each is a program of its own, and both read one monotonic clock. What comes back is
a `Result` as of any other call. Its `link` and `seed` are the network's, which threw the dice.

A part that is written in a notebook cannot follow into another program: `BadInput`.
"""

import asyncio
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Final

from labkit.core.session import Closed
from labkit.lab.call import Call
from labkit.lab.layered import STREAMS
from labkit.lab.notes import Notes
from labkit.lab.result import Result
from labkit.live.link.network import LabNetwork
from labkit.live.tcp import TcpConnection, connect_tcp, serve_tcp
from labkit.live.udp import open_udp
from labkit.words.errors import BadInput, SessionClosed
from labkit.words.machine import Event

PORT: Final = 5000
"""Of the first call; the next ones have the next ports."""
PATIENCE: Final = 40.0
"""Seconds that programs may take beside what is spoken: a busy machine starts them slowly."""
GOODBYE_S: Final = 0.5
"""How long a listener stays to say goodbye."""
CALLS, SPOKEN, HEARD = "calls", "spoken", "heard"
"""Files in which the programs hand over what they know; nobody else sees the folder."""


def side_by_side(net: LabNetwork, *calls: Call) -> list[Result]:
    """Make all calls at once between bob and alice of a lab network that is up.

    Takes as long as is spoken, and some seconds. Calls go over "tcp" or "udp".
    """
    for call in calls:
        if call.transport not in ("tcp", "udp"):
            raise BadInput(f"no call side by side goes over {call.transport}", "tcp or udp")
    calls = tuple(replace(call, link=net.profile) for call in calls)
    with TemporaryDirectory() as name:
        folder = Path(name)
        try:
            (folder / CALLS).write_bytes(pickle.dumps(calls))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise BadInput(
                f"a part of this call cannot leave the notebook: {error}", "await call.run()"
            ) from error
        _play(net, folder, max(call.seconds for call in calls))
        spoken, heard = (pickle.loads((folder / what).read_bytes()) for what in (SPOKEN, HEARD))  # noqa: S301  (written by our own programs)
    return [_result(*each) for each in zip(calls, spoken, heard, strict=True)]


def _play(net: LabNetwork, folder: Path, duration: float) -> None:
    """Start both programs, and wait for their end."""
    me = [sys.executable, "-m", __name__]
    speaker = net.bob.start([*me, "speak", folder, net.bob.address])
    try:
        speaker.stdout.wait_for("ready", PATIENCE)
        listener = net.alice.start([*me, "listen", folder, net.bob.address])
        for program in (listener, speaker):
            if program.wait(duration + PATIENCE) != 0:
                last = program.stderr.text.strip().rpartition("\n")[2]
                raise SessionClosed(f"a call did not end in order: {last}", clean=False, by="us")
    finally:
        speaker.kill()


def _result(call: Call, spoken: tuple[int, Any], heard: tuple[Notes, Any]) -> Result:
    """What came of one call, from what its two ends have noted."""
    voice = SimpleNamespace(first_timestamp=spoken[0], trace=spoken[1])
    sender: Any = SimpleNamespace(voice=voice)
    receiver: Any = SimpleNamespace(trace=heard[1])
    return call.result(sender, receiver, heard[0])


# The two programs ---------------------------------------------------------------------------------


async def speak(calls: tuple[Call, ...], host: str) -> list[tuple[int, Any]]:
    """Each voice for whoever joins it: its first timestamp, and when each frame was sent."""
    senders = [call.sender() for call in calls]
    ends = []
    for port, (call, sender) in enumerate(zip(calls, senders, strict=True), PORT):
        over = asyncio.Event()
        ends.append(over)
        take = _rings(over, Closed)
        if call.transport in STREAMS:
            connection = TcpConnection(sender, take)
            await serve_tcp(_the(connection), host=host, port=port)
        else:
            await open_udp(sender, host=host, port=port, on_event=take)
    print("ready", flush=True)
    for over in ends:
        await over.wait()
    return [(s.voice.first_timestamp, s.voice.trace) for s in senders if s.voice is not None]


async def listen(calls: tuple[Call, ...], host: str) -> list[tuple[Notes, Any]]:
    """Hear each voice to its end: what was heard, and when each packet came."""
    heard = []
    for port, call in enumerate(calls, PORT):
        receiver, notes = call.receiver((host, port)), Notes()
        if call.transport in STREAMS:
            await connect_tcp(receiver, host, port, on_event=notes.take)
        else:
            await open_udp(receiver, host="0.0.0.0", on_event=notes.take)  # noqa: S104  (a lab)
        heard.append((notes, receiver.trace))
    while not all(notes.finished for notes, _ in heard):
        await asyncio.sleep(0.05)
    await asyncio.sleep(GOODBYE_S)
    return heard


def _rings(bell: asyncio.Event, kind: type[Event]) -> Callable[[Event], None]:
    def take(event: Event) -> None:
        if isinstance(event, kind):
            bell.set()

    return take


def _the(connection: TcpConnection) -> Callable[[], TcpConnection]:
    return lambda: connection


def main(role: str, folder: Path, host: str) -> None:
    """Be one of the two."""
    calls = pickle.loads((folder / CALLS).read_bytes())  # noqa: S301  (written by who started us)
    play, file = (speak, SPOKEN) if role == "speak" else (listen, HEARD)
    (folder / file).write_bytes(pickle.dumps(asyncio.run(play(calls, host))))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])

"""What the tests of layers share: two ends in virtual time, tokens, certificates."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from labkit.core.session import Closed, Joined, Received, Refused, Role
from labkit.core.streamsession import StreamSession
from labkit.core.token import Gate, issue
from labkit.live.certs import Algorithm, make_folder
from labkit.sim.world import World
from labkit.words.machine import Event
from labkit.words.packet import Packet
from labkit.words.units import ms, seconds

SDP = "v=0\r\ns=a voice\r\n"
SECRET = bytes(range(32))
TOKEN = issue(SECRET, "alice", 100)
"""Good for the first hundred seconds of virtual time."""
PACKETS = [Packet(n, n * 960, bytes([n]) * 60) for n in range(10)]


def sender(**options) -> StreamSession:
    return StreamSession(Role.SENDER, SDP, **options)


def receiver(**options) -> StreamSession:
    return StreamSession(Role.RECEIVER, **options)


class Conversation:
    """Two ends joined by a byte stream in virtual time, and what each was told."""

    def __init__(self, left: Any, right: Any, link: Any = None) -> None:
        self.left, self.right = left, right
        self.world = World(1)
        self.link = self.world.connect(left, right, link, stream=True)
        self.told: dict[Any, list[Event]] = {left: [], right: []}
        for end in (left, right):
            self.world.on_event(end, self.told[end].append)

    def run(self, until: int) -> None:
        self.world.run(until)

    def speak(self, packets: Iterable[Packet] = PACKETS) -> None:
        """Everything said, one packet every 20 ms, and goodbye."""
        for packet in packets:
            self.left.send(packet, self.world.now)
            self.world.wake(self.left)
            self.run(self.world.now + ms(20))
        self.left.close(self.world.now)
        self.world.wake(self.left)
        self.run(self.world.now + seconds(10))

    def of(self, end: Any, kind: type) -> list[Any]:
        return [event for event in self.told[end] if isinstance(event, kind)]


def assert_all_is_said(talk: Conversation) -> None:
    """Joined, ten packets, a goodbye in order, nothing refused."""
    left, right = talk.left, talk.right
    assert talk.of(left, Joined) == talk.of(right, Joined) == [Joined(SDP)]
    assert [event.packet for event in talk.of(right, Received)] == PACKETS
    assert talk.of(left, Closed) == [Closed(True, "us", "closed")]
    assert talk.of(right, Closed) == [Closed(True, "peer", "BYE, and the stream ended")]
    assert talk.told[left][-1] == talk.of(left, Closed)[0]
    assert talk.told[right][-1] == talk.of(right, Closed)[0]
    for end in (left, right):
        assert end.wants_close
        assert end.closed
        assert end.deadline() is None
        assert end.refused == 0
    assert left.stats.sent == right.stats.received == len(PACKETS)


def refusals(left: Any, right: Any) -> tuple[Any, Any]:
    """Let two ends meet that do not agree: the error of each, as it was told and counted."""
    talk = Conversation(left, right)
    talk.run(seconds(20))
    found = []
    for end in (left, right):
        assert end.closed
        assert end.wants_close
        assert not talk.of(end, Joined)
        (closed,) = talk.of(end, Closed)
        assert talk.told[end][-1] is closed
        assert not closed.clean
        errors = [event.error for event in talk.of(end, Refused)]
        assert end.refused == len(errors) <= 1
        found.append(errors[0] if errors else None)
        if errors:
            assert closed.why == str(errors[0])
    return found[0], found[1]


def carry(left: Any, right: Any, now: int = 0, cut: int = 1 << 20) -> None:
    """Hand over what both want sent, in pieces of `cut` bytes, until neither wants anything."""
    moved = True
    while moved:
        moved = False
        for one, other in ((left, right), (right, left)):
            data = b"".join(one.transmits())
            for at in range(0, len(data), cut):
                other.receive_data(data[at : at + cut], now)
            moved |= bool(data)


def gate() -> Gate:
    return Gate(SECRET)


def folders(where: Path) -> Callable[[str], Path]:
    """Certificates of our authority, of another, and some that have expired."""
    make_folder(where / "ours", clients=["alice", "bob"])
    make_folder(where / "theirs", names=["localhost"], clients=["eve"])
    make_folder(where / "past", days=-1 / 48)
    make_folder(where / "even", algorithm=Algorithm.ED25519)
    return lambda name: where / name

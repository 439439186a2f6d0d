"""A listener behind a NAT, who calls a server outside: in virtual time, and in the lab network.

    passage = behind_nat(Call(transport="quic", link="voip-5"))     virtual time, any behaviour
    print(passage); passage.result.listen()
    played = play_behind_nat(("wss", "quic"))                       real kernels, real programs

Nobody needs to punch a hole here. The listener speaks first, the NAT lends it a port, and what
comes back to that port is let in, whatever kind of NAT it is: only those who must be *called* need
`labkit.lab.nat.punch`. The other network segment is real in both cases: the listener's address
means nothing outside, and the server never sees it.

The model of TCP in virtual time (`labkit.sim.bytestream`) has no packets that a NAT could rewrite,
so calls over `tcp`, `ws` and `wss` go through a NAT in the lab network only: there `streamer` and
`receiver` run as they would anywhere, with certificates and tokens made for the occasion. It needs
Linux and the right to make namespaces; `MissingCapability` says so where that is not given.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from labkit.core.nat import PORT_RESTRICTED_CONE, Behaviour, Mapped, Nat
from labkit.core.token import issue
from labkit.lab.call import Call
from labkit.lab.layered import STREAMS
from labkit.lab.nat import ALICE, ALICE_NAT, LAN
from labkit.lab.notes import Notes
from labkit.lab.result import Result
from labkit.lab.sources import wav
from labkit.live.certs import make_folder
from labkit.live.link import LabNetwork
from labkit.live.link.host import Host
from labkit.live.link.program import Program
from labkit.live.secretfile import write_private
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.words.errors import BadInput
from labkit.words.format import Samples
from labkit.words.machine import Event
from labkit.words.units import seconds

SERVER: Final = ("192.0.2.10", 443)
"""Where everybody can call it."""
PROGRAM: Final = "import sys; from labkit.cli.{0} import main; sys.exit(main(sys.argv[1:]))"
PATIENCE_S: Final = 40.0
"""For programs that start, on a machine that is busy."""


# In virtual time --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Passage:
    """A call through a NAT."""

    result: Result
    nat: Nat
    mapped: tuple[Mapped, ...]
    """What the NAT lent, in order."""

    def __str__(self) -> str:
        heard = 100 * (1 - self.result.unheard)
        ports = ", ".join(str(each.outside[1]) for each in self.mapped)
        return (
            f"{ALICE[0]}:{ALICE[1]} behind {self.nat.outside} ({self.nat.behaviour})\n"
            f"  lent: port {ports}; dropped: {self.nat.dropped} datagrams\n"
            f"  heard {heard:.0f} % of the frames over {self.result.transport}"
        )


def behind_nat(call: Call, behaviour: Behaviour = PORT_RESTRICTED_CONE) -> Passage:
    """The same as `call.simulate(capture=True)`, with a NAT between the listener and the link."""
    if call.transport in STREAMS:
        raise BadInput("in virtual time a NAT takes datagrams only", "play_behind_nat()")
    sender, receiver = call.sender(), call.receiver(SERVER)
    nat, tap, notes = Nat(*ALICE_NAT, behaviour), Tap(), Notes()
    lent: list[Mapped] = []

    def note(event: Event) -> None:
        if isinstance(event, Mapped):
            lent.append(event)

    world = World(call.seed, tap=tap)
    world.add(sender, SERVER)
    world.add(nat, nat.outside)
    world.add(receiver, ALICE)
    world.connect(receiver, nat, LAN, gateway=True)
    world.connect(nat, sender, call.profile)
    world.on_event(nat, note)
    world.on_event(receiver, notes.take)
    world.run(until=seconds(2 * call.seconds + 60), stop=lambda: notes.finished)
    return Passage(call.result(sender, receiver, notes, tap), nat, tuple(lent))


# In the lab network -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Played:
    """What `receiver connect` behind a NAT did."""

    proto: str
    token: str
    """Which of `TOKENS` it has shown."""
    samples: Samples
    """What it has written as heard, at 48 kHz."""
    address: str
    """The listener's own."""
    seen_as: str
    """What the server's side of the NAT sees."""
    told: str
    """What the program has printed: why it was refused, or its last line."""

    def __str__(self) -> str:
        said = f"heard {len(self.samples) / 48_000:.1f} s" if len(self.samples) else self.told
        return f"{self.proto:4} {self.address}, seen as {self.seen_as}, {self.token} token: {said}"


TOKENS: Final = {"good": 600, "expired": -60}
"""Tokens by name, and for how many seconds each is good still."""


def play_behind_nat(
    protos: Sequence[str] = ("wss", "quic"), *, length: float = 2.0
) -> list[Played]:
    """A streamer outside, a receiver behind a NAT, real kernels between them: each proto and token.

    `length` is how long each listens, in seconds; all at the same time.
    """
    with TemporaryDirectory() as name, LabNetwork("lan", nat=True) as net:
        folder = Path(name)
        secret, now = token_bytes(32), int(time.time())
        make_folder(folder / "certs", names=[net.bob.address])
        write_private(folder / "secret", secret.hex())
        for token, left in TOKENS.items():
            write_private(folder / token, issue(secret, "alice", now + left))
        for port, proto in enumerate(protos, FIRST_PORT):
            words = f"serve --proto {proto} --host {net.bob.address} --port {port}"
            more = "--source speech --loop --certs certs --secret secret"
            _program(net.bob, "streamer", f"{words} {more}", folder)
        for port, proto in enumerate(protos, FIRST_PORT):
            kind = "udp" if proto == "quic" else "tcp"
            net.bob.wait_for_port(port, proto=kind, timeout=PATIENCE_S)
        listeners = [
            _listener(net, f"{net.bob.address}:{port}", proto, token, length, folder)
            for port, proto in enumerate(protos, FIRST_PORT)
            for token in TOKENS
        ]
        return [listen() for listen in listeners]  # all at once: each mostly waits


FIRST_PORT: Final = 5000


def _listener(
    net: LabNetwork, server: str, proto: str, token: str, length: float, folder: Path
) -> Callable[[], Played]:
    """Start a receiver; the function that is returned waits for its end."""
    alice, path = net.alice, folder / f"{proto}-{token}.wav"
    words = f"connect --proto {proto} --addr {server} --certs certs --token {token}"
    more = f"--no-sound --seconds {length} --out {path.name}"
    program = _program(alice, "receiver", f"{words} {more}", folder)

    def listen() -> Played:
        program.wait(length + PATIENCE_S)
        samples = wav(path).samples if path.is_file() else np.zeros((0, 1), np.int16)
        lines = [*program.stdout.lines, *program.stderr.lines] or [""]
        told = next((line for line in lines if "refused" in line), lines[-1])
        return Played(proto, token, samples, alice.address, alice.public_address, told)

    return listen


def _program(host: Host, name: str, words: str, folder: Path) -> Program:
    return host.start([sys.executable, "-c", PROGRAM.format(name), *words.split()], cwd=folder)

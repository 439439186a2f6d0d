"""Certificates for QUIC, and two machines on a link."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from labkit.core.session import Role
from labkit.endpoints.quic import QuicSession
from labkit.endpoints.quictls import ClientCredentials, ServerCredentials
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import Event
from labkit.words.packet import Packet
from labkit.words.profile import Profile
from labkit.words.units import ms

NAME = "streamer.lab"
ALICE, BOB = ("10.0.0.1", 5004), ("10.0.0.2", 5006)
SINCE, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class Identity(NamedTuple):
    """A certificate and its key, as PEM and as objects."""

    certificate: bytes
    key: bytes
    made: x509.Certificate
    private: Ed25519PrivateKey


def identity(
    name: str,
    issuer: Identity | None = None,
    *,
    until: datetime = UNTIL,
) -> Identity:
    """A certificate for a DNS name, signed by `issuer` or, as an authority, by itself."""
    private = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.made.subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(SINCE)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(private if issuer is None else issuer.private, None)
    )
    key = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Identity(made.public_bytes(serialization.Encoding.PEM), key, made, private)


@cache
def authority() -> Identity:
    return identity("Lab Authority")


@cache
def server_identity() -> Identity:
    return identity(NAME, authority())


@cache
def client_identity() -> Identity:
    return identity("bob", authority())


def serving(**more: Any) -> ServerCredentials:
    """What the server in a test shows."""
    return ServerCredentials(server_identity().certificate, server_identity().key, **more)


def listening(name: str = NAME, shown: Identity | None = None) -> ClientCredentials:
    """What the client in a test trusts, and shows."""
    if shown is None:
        return ClientCredentials(authority().certificate, name)
    return ClientCredentials(authority().certificate, name, shown.certificate, shown.key)


def sender(description: str = "v=0", **more: Any) -> QuicSession:
    """The serving end."""
    return QuicSession(Role.SENDER, description, **({"credentials": serving()} | more))


def receiver(**more: Any) -> QuicSession:
    """The listening end."""
    return QuicSession(Role.RECEIVER, **({"credentials": listening(), "peer": ALICE} | more))


def clean(delay: int = 10) -> Profile:
    """A link that only takes its time."""
    return Profile(
        "clean", "a test", "chosen", LinkSpec(delay=ms(delay)), LinkSpec(delay=ms(delay))
    )


def lossy(percent: float, delay: int = 20) -> Profile:
    """The same losses in both directions."""
    way = LinkSpec(delay=ms(delay), loss=percent / 100)
    return Profile("lossy", "a test", "chosen", way, way)


class Pair:
    """Two machines in one world, and what each told, with the time."""

    def __init__(
        self, server: Any, client: Any, profile: Profile | None = None, *, seed: int = 1
    ) -> None:
        self.server, self.client = server, client
        self.tap = Tap()
        self.world = World(seed, tap=self.tap)
        self.told: dict[int, list[tuple[int, Event]]] = {id(server): [], id(client): []}
        self.world.add(server, ALICE)
        self.world.add(client, BOB)
        self.link = self.world.connect(client, server, profile or clean())
        for machine in (server, client):
            self.world.on_event(machine, self._taker(machine))

    def _taker(self, machine: Any) -> Callable[[Event], None]:
        return lambda event: self.told[id(machine)].append((self.world.now, event))

    def of(self, machine: Any, kind: type[Any] = Event) -> list[Any]:
        """The events of one kind that a machine told."""
        return [event for _, event in self.told[id(machine)] if isinstance(event, kind)]

    def run(self, until: int) -> None:
        self.world.run(until=until)

    def speak(self, count: int, *, start: int, every: int = ms(20), size: int = 80) -> None:
        """Let the server send `count` packets."""
        for number in range(count):
            packet = Packet(number, number * 960, bytes([number % 256]) * size)
            self.world.at(start + number * every, lambda packet=packet: self._send(packet))

    def _send(self, packet: Packet) -> None:
        if self.server.ready:
            self.server.send(packet, self.world.now)
            self.world.wake(self.server)

    def close(self, machine: Any, at: int) -> None:
        """Let one end close."""
        self.world.at(at, lambda: (machine.close(self.world.now), self.world.wake(machine)))


def cut(*ways: Any) -> None:
    """From now on nothing crosses these directions of a link."""
    for way in ways:
        way.push = lambda data, now: []


def mend(*ways: Any) -> None:
    """Packets cross again."""
    for way in ways:
        del way.push

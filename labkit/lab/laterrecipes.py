"""How the captures of weeks 9 to 12 were taken: see `labkit.lab.recipes`.

Three of them hold secrets, on purpose, and none of these is good for anything:

- the token in `09_websocket` was made with a secret that was thrown away, and expired in seconds
- the keys in `09_tls` and `09_quic` are those of one connection each, which is over; they stand in
  the file (draft-ietf-opsawg-pcapng section 4.7) so that Wireshark shows what was said
"""

import re
import socket
from pathlib import Path
from random import Random
from typing import Any, Final

from labkit.codec.opus import Opus
from labkit.core.holepunch import HolePuncher, Phase
from labkit.core.nat import Behaviour, Dependence, Nat, Ports
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.endpoints.dtls import Handshake
from labkit.endpoints.dtlsdoor import DtlsDoor
from labkit.endpoints.dtlssrtp import DtlsSrtp
from labkit.endpoints.receiver import Receiver
from labkit.endpoints.rendezvous import Rendezvous
from labkit.endpoints.sender import Sender
from labkit.endpoints.server import Server
from labkit.endpoints.stunserver import StunServer
from labkit.endpoints.throughnat import ThroughNat
from labkit.endpoints.voice import Voice
from labkit.lab import qos
from labkit.lab.call import Call
from labkit.lab.captures import Entry
from labkit.lab.sources import speech
from labkit.lab.stage import KEYS, Stage, recipe, virtual
from labkit.live.certs import Algorithm, Authority
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.wire import sdp
from labkit.wire.sdpdtls import Fingerprint, Setup
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds

NAME: Final = "streamer.lab"
"""What the certificate of a server says, and its client asks for."""
HTTP, HTTPS = 80, 443
"""Where Wireshark expects WebSocket, TLS and QUIC without being told."""
GROUP: Final = ("239.9.0.1", 5004)
"""Administratively scoped: RFC 2365."""
FEW: Final = 3
"""Listeners at one host."""


# Week 9: getting through ----------------------------------------------------------------------


@recipe("09_websocket")
def websocket(stage: Stage) -> None:
    """Who has no token is refused; who has one gets frames. The token is soon good for nothing."""
    stage.run("alice", "labkit token secret secret.txt")
    server = stage.serve("--proto ws --nodelay --secret secret.txt", HTTP)
    where = f"--proto ws --addr {stage.net.alice.address}:{HTTP} --no-sound"
    refused = stage.start("bob", f"receiver connect {where} --out nothing.wav --retries 0")
    refused.wait()
    issue = "labkit token issue bob --secret secret.txt --hours 0.002"
    stage.run("alice", f"sh -c '{issue} > bob.token'")
    stage.hear_out(stage.listen("ws", "--token bob.token --seconds 2.5", HTTP))
    stage.end(server)


@recipe("09_tls")
def tls(stage: Stage) -> None:
    """WebSocket within TLS 1.3; the client writes its keys down."""
    stage.run("alice", f"labkit certs make --name {NAME} --days 1")
    server = stage.serve("--proto wss --nodelay --certs certs", HTTPS)
    words = f"--certs certs --server-name {NAME} --keys {KEYS} --seconds 2.5"
    stage.hear_out(stage.listen("wss", words, HTTPS))
    stage.end(server)


@recipe("09_quic")
def quic(stage: Stage) -> None:
    """QUIC: what is agreed on goes in a stream, sound in datagrams."""
    stage.run("alice", f"labkit certs make --name {NAME} --days 1")
    server = stage.serve("--proto quic --certs certs", HTTPS)
    words = f"--certs certs --server-name {NAME} --keys {KEYS} --seconds 2.5"
    stage.hear_out(stage.listen("quic", words, HTTPS))
    stage.end(server)


STUN_SERVER, RENDEZVOUS = ("10.9.3.1", 3478), ("10.9.3.1", 7000)
SPEAKER, LISTENER = ("192.168.1.2", 5004), ("192.168.2.2", 5004)
NETWORKS: Final = (("10.9.1.1", "192.168.1.0/24"), ("10.9.2.1", "192.168.2.0/24"))
INDOORS: Final = Profile("lan", "one room", "chosen", LinkSpec(delay=ms(1)), LinkSpec(delay=ms(1)))


@virtual("09_hole_punched")
def hole_punched(entry: Entry, profile: Profile, path: Path) -> None:
    """Two NATs as most are at home: a hole is punched, and a voice goes through it."""
    _through_nats(entry, profile, path, Dependence.INDEPENDENT)


@virtual("09_symmetric_nats")
def symmetric_nats(entry: Entry, profile: Profile, path: Path) -> None:
    """Two NATs with a new port for everybody: no hole is where the other one looks for it."""
    _through_nats(entry, profile, path, Dependence.PORT)


def _through_nats(entry: Entry, profile: Profile, path: Path, mapping: Dependence) -> None:
    behaviour = Behaviour(mapping, Dependence.PORT, Ports.RANDOM)
    voice = Voice(Opus(24_000), speech(1.2), rng=Random(entry.seed))
    tap = Tap()
    world = World(entry.seed, tap=tap)

    def session(role: Role, peer: Any) -> RtpSession:
        text = sdp.describe(voice.codec.format, host=peer[0], port=peer[1])
        rng = Random(f"{entry.seed} {role.value}")
        ssrc = voice.ssrc if role is Role.SENDER else None
        return RtpSession(role, text, peer=peer, ssrc=ssrc, rng=rng)

    def puncher(who: str) -> HolePuncher:
        rng = Random(f"{entry.seed} {who}")
        return HolePuncher(STUN_SERVER, RENDEZVOUS, "lab", b"between us", rng=rng)

    ends = (
        ThroughNat(puncher("alice"), lambda peer: Sender(session(Role.SENDER, peer), voice)),
        ThroughNat(
            puncher("bob"), lambda peer: Receiver(session(Role.RECEIVER, peer), voice.codec)
        ),
    )
    nats = [Nat(*each, behaviour, rng=Random(f"{entry.seed} {each}")) for each in NETWORKS]
    for end, address, nat in zip(ends, (SPEAKER, LISTENER), nats, strict=True):
        world.add(end, address)
        world.add(nat, nat.outside)
        world.connect(end, nat, INDOORS, gateway=True)
    for server, address in ((StunServer(), STUN_SERVER), (Rendezvous(), RENDEZVOUS)):
        world.add(server, address)
        for nat in nats:
            world.connect(nat, server, profile)
    world.connect(nats[0], nats[1], profile)
    failed = [end.puncher for end in ends]
    world.run(until=seconds(4), stop=lambda: all(each.phase is Phase.FAILED for each in failed))
    with path.open("wb") as file:
        tap.write_pcapng(file)


# Week 10: to many -----------------------------------------------------------------------------


@recipe("10_multicast")
def multicast(stage: Stage) -> None:
    """Three listeners at one host: first each gets packets of his own, then one group gets them."""
    server = stage.serve("--proto rtp")
    listeners = [stage.listen("rtp") for _ in range(FEW)]
    stage.wait(1)
    stage.end_together(*listeners)
    stage.end(server)
    group, port = GROUP
    where = f"--proto rtp --addr {group}:{port} --interface {stage.net.bob.address} --no-sound"
    members = [
        stage.start("bob", f"receiver connect {where} --out member{number}.wav")
        for number in range(FEW)
    ]
    stage.until(lambda: _members(stage) == FEW)
    server = stage.serve(f"--proto rtp --to {group}:{port}", 5002)
    stage.wait(2)
    stage.end_together(*members)
    stage.end(server)


def _members(stage: Stage) -> int:
    """How many programs at bob are in the group: what the kernel tells in /proc/net/igmp."""
    group = socket.inet_aton(GROUP[0])[::-1].hex().upper()
    listed = stage.net.bob.run(["cat", "/proc/net/igmp"]).stdout
    found = re.search(rf"{group} +(\d+)", listed)
    return int(found[1]) if found else 0


# Week 11: who goes first ----------------------------------------------------------------------


@recipe("11_one_queue", bottleneck="1mbit", kept=80)
def one_queue(stage: Stage) -> None:
    """A voice waits behind what TCP has put into the queue. Of each packet the headers are kept."""
    qos.measure(stage.net, 4, start=stage.start)


@recipe("11_ef_first", bottleneck="1mbit", dscp=True, kept=80)
def ef_first(stage: Stage) -> None:
    """The same line, where EF goes first."""
    qos.measure(stage.net, 4, start=stage.start)


# Week 12: nobody else listens -----------------------------------------------------------------


@virtual("12_srtp")
def srtp(entry: Entry, profile: Profile, path: Path) -> None:
    """The same voice twice, in the clear from port 5000 and protected from port 5002."""
    tap = Tap()
    world = World(entry.seed, tap=tap)
    for transport, port in (("rtp", 5000), ("srtp", 5002)):
        call = Call(speech(7.5), Opus(24_000), profile, transport, seed=entry.seed)
        sender, receiver = call.sender(), call.receiver(("10.9.0.1", port))
        world.add(sender, ("10.9.0.1", port))
        world.add(receiver, ("10.9.0.2", port))
        world.connect(receiver, sender, profile)
    world.run(until=seconds(9))
    with path.open("wb") as file:
        tap.write_pcapng(file, "arrived")


@virtual("12_dtls_srtp")
def dtls_srtp(entry: Entry, profile: Profile, path: Path) -> None:
    """A handshake with a cookie, then SRTP by its keys. OpenSSL's dice are its own."""
    server_address, listener_address = ("10.9.0.1", 5000), ("10.9.0.2", 5004)
    authority = Authority.make(Algorithm.P256)
    ours, theirs = authority.client("streamer"), authority.client("listener")
    voice = Voice(Opus(24_000), speech(2), rng=Random(entry.seed))
    text = sdp.describe(voice.codec.format, host=server_address[0], port=server_address[1])

    def session(address: Any) -> Any:
        rng = Random(f"{entry.seed} server")
        plain = RtpSession(Role.SENDER, text, ssrc=voice.ssrc, rng=rng)
        return door.protect(plain, address)

    door = DtlsDoor(ours, rng=Random(entry.seed))
    door.open_to(Server(voice, session))
    rng = Random(f"{entry.seed} listener")
    plain = RtpSession(Role.RECEIVER, text, peer=server_address, rng=rng)
    pin = Fingerprint("sha-256", bytes.fromhex(ours.fingerprint))  # from the SDP, in a real call
    listener = Receiver(DtlsSrtp(plain, Handshake(theirs, Setup.ACTIVE, [pin])), voice.codec)
    tap = Tap()
    world = World(entry.seed, tap=tap)
    world.add(door, server_address)
    world.add(listener, listener_address)
    world.connect(listener, door, profile)
    world.run(until=seconds(4))
    with path.open("wb") as file:
        tap.write_pcapng(file, "arrived")

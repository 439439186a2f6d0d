"""How each shipped capture was taken: our own programs, a lab network, and what was done to them.

    take("04_zero_window")             takes it, and writes down what was taken

A recipe is a function with the name of its capture. It gets a `Stage`, starts programs at alice
and bob, and waits. Alice speaks, bob listens. Profile, seed and the place of the capture are in the
manifest. Here are those of weeks 1 to 8; `labkit.lab.laterrecipes` has the others.

What only a real kernel does (TCP's timers, fragments) is taken from one, so times differ a little
each time a capture is taken; what is taken in virtual time is the same to the last bit.

This module analyses nothing: `labkit.lab.captures.verify` says whether a capture shows what it is
to show.
"""

import signal
import tempfile
from pathlib import Path
from random import Random

from labkit.codec.opus import Opus
from labkit.lab import captures, laterrecipes
from labkit.lab.call import Call
from labkit.lab.captures import Entry, Taken
from labkit.lab.links import link
from labkit.lab.sources import speech
from labkit.lab.stage import KEPT, KEYS, OPTIONS, PATIENCE, RECIPES, VIRTUAL, Stage, recipe, virtual
from labkit.live.link.network import LabNetwork
from labkit.resources import captures_folder, load_profile
from labkit.sim.clock import SkewedClock
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.wire.pcap import shortened, with_secrets
from labkit.words.errors import BadInput
from labkit.words.profile import Profile
from labkit.words.units import seconds

ALICE, BOB = ("10.9.0.1", 5000), ("10.9.0.2", 5004)


# Week 1 and 3: our frames in TCP, and how Nagle packs them ------------------------------------


@recipe("01_frames")
def frames(stage: Stage) -> None:
    """A whole conversation: HELLO, DESCRIPTION, a second of PCM, BYE."""
    server = stage.serve("--proto tcp --nodelay --codec pcm")
    stage.hear_out(stage.listen("tcp", "--seconds 0.8"))
    stage.end(server)


@recipe("03_nagle_on")
def nagle_on(stage: Stage) -> None:
    """Opus frames, one every 20 ms, and a kernel that may hold them back."""
    server = stage.serve("--proto tcp")
    stage.hear_out(stage.listen("tcp", "--seconds 4"))
    stage.end(server)


@recipe("03_nagle_off")
def nagle_off(stage: Stage) -> None:
    """The same with TCP_NODELAY."""
    server = stage.serve("--proto tcp --nodelay")
    stage.hear_out(stage.listen("tcp", "--seconds 4"))
    stage.end(server)


# Week 4: TCP's flow control, its repairs and its ends -----------------------------------------


@recipe("04_zero_window")
def zero_window(stage: Stage) -> None:
    """The receiver is stopped for a while; both kernels have room for some kilobytes."""
    stage.run("alice", "sysctl -w 'net.ipv4.tcp_wmem=4096 16384 16384'")
    stage.run("bob", "sysctl -w 'net.ipv4.tcp_rmem=4096 16384 16384'")
    server = stage.serve("--proto tcp --nodelay --codec pcm")
    receiver = stage.listen("tcp")
    stage.wait(0.3)
    receiver.send_signal(signal.SIGSTOP)
    stage.wait(3)
    receiver.send_signal(signal.SIGCONT)
    stage.wait(0.3)
    stage.end(receiver, server)


@recipe("04_head_of_line")
def head_of_line(stage: Stage) -> None:
    """Segments are lost; all that came after them waits until they are sent again."""
    server = stage.serve("--proto tcp --nodelay")
    stage.hear_out(stage.listen("tcp", "--seconds 6"))
    stage.end(server)


@recipe("04_fin")
def fin(stage: Stage) -> None:
    """An end in order: BYE, then FIN from both sides."""
    server = stage.serve("--proto tcp --nodelay")
    receiver = stage.listen("tcp")
    stage.wait(0.5)
    stage.end(receiver, server)


@recipe("04_rst")
def rst(stage: Stage) -> None:
    """A receiver is killed while sound waits to be read: its kernel answers with RST."""
    server = stage.serve("--proto tcp --nodelay")
    receiver = stage.listen("tcp")
    stage.wait(0.5)
    receiver.send_signal(signal.SIGSTOP)
    stage.wait(0.3)
    receiver.kill()
    stage.wait(0.5)
    stage.end(server)


@recipe("04_reconnect")
def reconnect(stage: Stage) -> None:
    """The server is gone for a while; the receiver comes back with growing pauses."""
    server = stage.serve("--proto tcp --nodelay")
    receiver = stage.listen("tcp")
    stage.wait(0.5)
    server.kill()
    server.wait(PATIENCE)
    stage.wait(2.5)
    server = stage.serve("--proto tcp --nodelay")
    stage.until(lambda: receiver.stderr.text.count("joined") == 2)
    stage.wait(0.5)
    stage.end(receiver, server)


# Week 5 and 6: datagrams ----------------------------------------------------------------------


@recipe("05_loss")
def loss(stage: Stage) -> None:
    """Datagrams with our own header, lost in bursts."""
    server = stage.serve("--proto udp")
    stage.hear_out(stage.listen("udp", "--seconds 8"))
    stage.end(server)


@recipe("05_fragments", mtu=576)
def fragments(stage: Stage) -> None:
    """PCM over a link with packets of 576 bytes: each datagram is cut, and some parts get lost."""
    server = stage.serve("--proto udp --codec pcm")
    stage.hear_out(stage.listen("udp", "--seconds 0.8"))
    stage.end(server)


@recipe("06_reorder")
def reorder(stage: Stage) -> None:
    """Some datagrams overtake others."""
    server = stage.serve("--proto udp")
    stage.hear_out(stage.listen("udp", "--seconds 6"))
    stage.end(server)


@recipe("06_jitter")
def jitter(stage: Stage) -> None:
    """A network that takes now longer, now shorter."""
    server = stage.serve("--proto udp")
    stage.hear_out(stage.listen("udp", "--seconds 8"))
    stage.end(server)


# Week 7 and 8: RTP, RTCP, Opus ----------------------------------------------------------------


@recipe("07_rtp_rtcp")
def rtp_rtcp(stage: Stage) -> None:
    """RTP one way, reports both ways, and a BYE."""
    server = stage.serve("--proto rtp --report-every 1")
    stage.hear_out(stage.listen("rtp", "--seconds 9 --report-every 1"))
    stage.end(server)


@recipe("08_opus_dtx")
def opus_dtx(stage: Stage) -> None:
    """Where nobody speaks next to nothing is sent."""
    server = stage.serve("--proto rtp --bitrate 24000 --dtx")
    stage.hear_out(stage.listen("rtp", "--seconds 12"))
    stage.end(server)


@recipe("08_pcm_beside_opus")
def pcm_beside_opus(stage: Stage) -> None:
    """The same voice twice."""
    plain = stage.serve("--proto rtp --codec pcm", 5000)
    opus = stage.serve("--proto rtp --codec opus", 5002)
    first = stage.listen("rtp", "--seconds 1.2", 5000)
    second = stage.listen("rtp", "--seconds 1", 5002)
    stage.hear_out(first, second)
    stage.end(plain, opus)


# Week 2, in virtual time ----------------------------------------------------------------------


@virtual("02_drift")
def drift(entry: Entry, profile: Profile, path: Path) -> None:
    """A sender whose sound card is too fast."""
    call = Call(speech(), Opus(12_000), link=profile, seed=entry.seed)
    sender, receiver = call.sender(), call.receiver(ALICE)
    tap = Tap()
    world = World(entry.seed, tap=tap)
    ppm = Random(f"{entry.seed} ppm").randrange(180, 320)
    world.add(sender, ALICE, clock=SkewedClock(ppm))
    world.add(receiver, BOB)
    world.connect(receiver, sender, profile)
    world.run(until=seconds(call.seconds + 2))
    with path.open("wb") as file:
        tap.write_pcapng(file, "arrived")


# Taking ---------------------------------------------------------------------------------------


def take(name: str, folder: Path | None = None) -> Taken:
    """Take a capture again, and write down in the manifest what was taken. Takes as long as it is.

    `folder` is another one than ours; it must have a manifest.
    """
    entry = captures.describe(name)
    path = (folder or captures_folder()) / f"{entry.name}.pcapng"
    words = entry.profile
    profile = load_profile(words) if isinstance(words, str) else link(entry.name, **words)
    if entry.name in VIRTUAL:
        VIRTUAL[entry.name](entry, profile, path)
        programs = []
    elif entry.name in RECIPES:
        programs = play(entry, profile, path)
    else:
        raise BadInput(f"there is no recipe for {entry.name}", "a function in lab/laterrecipes.py")
    taken = captures.measured(path, programs)
    captures.write_taken(entry.name, taken, folder)
    return taken


def play(entry: Entry, profile: Profile, path: Path) -> list[str]:
    """Play a recipe in a lab network; the programs that it started."""
    options = OPTIONS[entry.name]
    net = LabNetwork(profile, seed=entry.seed, capture=path, capture_at=entry.at, **options)
    with tempfile.TemporaryDirectory() as room:
        stage = Stage(net, Path(room))
        with net:
            RECIPES[entry.name](stage)
        keys = stage.folder / KEYS
        if keys.is_file():
            path.write_bytes(with_secrets(path.read_bytes(), keys.read_bytes()))
    if longest := KEPT[entry.name]:
        path.write_bytes(shortened(path.read_bytes(), longest))
    return stage.programs


__all__ = ["RECIPES", "VIRTUAL", "laterrecipes", "play", "take"]

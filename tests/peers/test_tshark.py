"""tshark as a witness: it reads our RTP and RTCP, and counts what we count."""

import subprocess
from pathlib import Path

import pytest
from programs import BIN, Program, wait_until

from labkit.codec import Pcmu
from labkit.core.meters import JitterMeter
from labkit.core.source import Clip
from labkit.lab.call import ALICE, BOB, Call
from labkit.lab.sources import speech
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.wire import rtcp, rtp
from labkit.words.units import seconds, to_ms

pytestmark = pytest.mark.peer


def tshark(path: Path, *arguments: str) -> str:
    """What tshark says of a capture, with RTP and RTCP guessed by their looks."""
    heuristics = ["--enable-heuristic", "rtp_udp", "--enable-heuristic", "rtcp_udp"]
    command = ["tshark", "-r", str(path), *heuristics, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stream(path: Path) -> tuple[int, int, float, float, float]:
    """Packets, lost, and the least, mean and greatest jitter in ms, of the only stream there is."""
    lines = tshark(path, "-q", "-z", "rtp,streams").splitlines()
    (line,) = [line.split() for line in lines if "0x" in line]
    ssrc = next(i for i, word in enumerate(line) if word.startswith("0x"))
    packets, lost, _, _, _, _, least, mean, most = line[ssrc + 2 :][:9]
    return int(packets), int(lost), float(least), float(mean), float(most)


def fields(path: Path, which: str, *names: str) -> list[list[str]]:
    """A table of fields of the packets that the filter chooses."""
    chosen = [word for name in names for word in ("-e", name)]
    table = tshark(path, "-Y", which, "-T", "fields", *chosen)
    return [line.split("\t") for line in table.splitlines()]


def odd(path: Path) -> list[list[str]]:
    """Packets that tshark cannot read or finds strange, notes and warnings included."""
    return fields(path, "_ws.malformed || _ws.expert", "frame.number", "_ws.expert.message")


@pytest.mark.parametrize("link", ["clear", "wifi-busy", "voip-10", "train"])
def test_a_call_in_virtual_time(need, tmp_path, link):
    """Over four networks: packets, lost, and jitter to 0.1 ms, captured where it arrives.

    G.711, because of payload type 0 tshark knows the clock rate without any SDP. The seed is one
    whose first packet to arrive is the oldest and whose last is the newest: tshark 4.0 counts up
    to the last packet in order and not, as RFC 3550 appendix A.3, to the highest number.
    """
    need("tshark")
    clip = Clip(speech().samples[: 8 * 48_000])
    call = Call(clip, codec=Pcmu(), link=link, seed=5)
    sender, receiver = call.sender(), call.receiver(ALICE)
    tap = Tap()
    world = World(5, tap=tap)
    world.add(sender, ALICE)
    world.add(receiver, BOB)
    world.connect(receiver, sender, call.profile)
    world.run(until=seconds(20), stop=lambda: receiver.finished)

    with (tmp_path / "call.pcapng").open("wb") as file:
        tap.write_pcapng(file, at="arrived")
    packets, lost, least, mean, most = stream(tmp_path / "call.pcapng")
    stats = receiver.session.stats
    assert packets == stats.received > 200
    assert lost == stats.expected - stats.received
    jitters = jitter_of_each(tap)
    assert jitters[-1] == to_ms(stats.jitter)  # the session's figure, by another way
    assert min(jitters[1:]) == pytest.approx(least, abs=0.1)
    assert sum(jitters[1:]) / len(jitters[1:]) == pytest.approx(mean, abs=0.1)
    assert max(jitters) == pytest.approx(most, abs=0.1)
    assert odd(tmp_path / "call.pcapng") == []


def jitter_of_each(tap: Tap) -> list[float]:
    """Jitter in ms after each packet that arrived."""
    meter = JitterMeter(8_000)
    jitters = []
    for crossing in tap.arrived:
        if not rtcp.is_rtcp(crossing.data):
            meter.add(rtp.unpack(crossing.data).timestamp, crossing.now)
            jitters.append(to_ms(meter.jitter))
    return jitters


@pytest.mark.live
@pytest.mark.net
def test_a_live_call_on_loopback(need, namespace, tmp_path):
    """Captured off the kernel's loopback: nothing odd, and every count agrees.

    The sender's last report says how many packets it sent, tshark how many it saw and missed, and
    the receiver's file holds as many frames as it says it played.
    """
    need("tshark", "dumpcap")
    path, heard = tmp_path / "live.pcapng", tmp_path / "heard.wav"
    with Program([*namespace, "dumpcap", "-q", "-i", "lo", "-w", path]) as capture:
        capture.wait_for("^File:")
        server = [*namespace, BIN / "streamer", "serve", "--proto", "rtp", "--port", 5004]
        client = [
            *namespace,
            BIN / "receiver",
            "connect",
            "--proto",
            "rtp",
            "--addr",
            "127.0.0.1:5004",
        ]
        more = ["--report-every", 1]
        with (
            Program([*server, "--source", "speech", *more]) as streamer,
            Program([*client, "--no-sound", "--out", heard, "--seconds", 4, *more]) as receiver,
        ):
            assert receiver.finish() == 0, receiver.output
            streamer.wait_for("a receiver left: BYE")
        wait_until(lambda: goodbyes(path) >= 2, "the goodbyes were not captured")
        capture.interrupt()
        assert capture.finish() == 0, capture.output

    assert odd(path) == []
    packets, lost, *_ = stream(path)
    reports = fields(path, "rtcp.pt == 200", "rtcp.sender.packetcount", "rtcp.ssrc.cum_nr")
    receptions = fields(path, "rtcp.ssrc.fraction", "rtcp.ssrc.fraction", "rtcp.ssrc.cum_nr")
    assert int(reports[-1][0]) == packets > 150
    assert lost == 0
    assert len(receptions) >= 3
    assert {tuple(row) for row in receptions} == {("0", "0")}
    sent, *_ = receiver.wait_for(r"played (\d+) packets, 0 too late, 0 missing").groups()
    assert 0 <= packets - int(sent) <= 20  # the rest was in the buffer when we left
    assert {row[0] for row in fields(path, "rtp", "rtp.p_type")} == {"111"}


def goodbyes(path: Path) -> int:
    """How many BYEs are in a capture that is still being written."""
    done = subprocess.run(
        ["tshark", "-r", str(path), "--enable-heuristic", "rtcp_udp", "-Y", "rtcp.pt == 203"],
        capture_output=True,
        text=True,
        check=False,  # the last packet may be there by half
    )
    return len(done.stdout.splitlines())

"""FFmpeg and GStreamer play us, and are played by us (week 7).

    for each in await both_ways("ffmpeg", speech(3.3)):
        print(each)

One direction is a program that receives what our sender pushes, the other one that sends to our
receiver. Nobody is asked for anything: like most players these wait silently, and are told by SDP
or in their own words what to expect. The voice is G.711, whose payload type 0 everybody knows.

A program does not say when it began, so what was said and what was heard are put side by side at
the shift at which they are most alike, and STOI judges the stretch that both have.

Where a program is missing these raise `MissingCapability`. They run for a few seconds, on loopback.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from labkit.codec.g711 import Pcmu
from labkit.core import quality
from labkit.core.delaypolicy import Fixed
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.core.source import Clip, Looped
from labkit.endpoints.receiver import Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.srtp import Srtp, new_key
from labkit.endpoints.voice import Voice
from labkit.lab.doctor.remedies import this_system
from labkit.lab.sources import converted
from labkit.live.udp import open_udp, udp_socket
from labkit.live.wav import WavWriter, read_wav
from labkit.wire import sdp
from labkit.wire.sdes import Crypto, MasterKey
from labkit.words.errors import BadInput, MissingCapability
from labkit.words.format import Samples
from labkit.words.machine import Event
from labkit.words.units import ms

CODEC: Final = Pcmu()
RATE: Final = CODEC.sample_rate
HOST: Final = "127.0.0.1"
FILE_RATE: Final = 48_000
"""FFmpeg reads a file 4096 bytes at a time and sends what is in them at once: at 8000 samples a
second that would be a burst every quarter of a second."""
SECONDS: Final = 2.0
"""Of sound that a program is to hear."""
PATIENCE: Final = 20.0
"""Seconds after which a program that has not ended will not."""
COMMANDS: Final = {"ffmpeg": "ffmpeg", "gstreamer": "gst-launch-1.0"}
CAPS: Final = "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMU,payload=0"


class Played(NamedTuple):
    """Who played whom, and how that went."""

    what: str
    heard: Clip
    said: Clip
    """The stretch of the voice that was heard."""
    stoi: float
    """Intelligibility, from 0 to 1."""

    def __str__(self) -> str:
        length = len(self.heard) / self.heard.sample_rate
        return f"{self.what}: {length:.1f} s heard, STOI {self.stoi:.2f}"


async def both_ways(program: str, voice: Clip) -> list[Played]:
    """`program`, "ffmpeg" or "gstreamer", plays us and is played by us, at the same time."""
    if program not in COMMANDS:
        raise BadInput(f"no player is called {program!r} here", " or ".join(COMMANDS))
    if shutil.which(COMMANDS[program]) is None:
        raise MissingCapability(f"{program} is not installed", this_system().install(program))
    voice = converted(voice, RATE, 1)
    found = await asyncio.gather(they_play_us(program, voice), we_play_them(program, voice))
    return list(found)


async def opens_our_srtp(voice: Clip, key: MasterKey | None = None) -> Played:
    """FFmpeg, whose SRTP is its own, plays a protected voice: it reads the key in our SDP.

    The SDP stands in a folder that only its owner can read, and is gone afterwards.
    """
    if shutil.which("ffmpeg") is None:
        raise MissingCapability("ffmpeg is not installed", this_system().install("ffmpeg"))
    return await they_play_us("ffmpeg", converted(voice, RATE, 1), key or new_key())


async def they_play_us(program: str, voice: Clip, key: MasterKey | None = None) -> Played:
    """The program writes to a file what it hears of our sender; with a `key`, by SRTP."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        port = _free_port()
        lines = () if key is None else (Crypto.of(1, key),)
        description = sdp.describe(CODEC.format, host=HOST, port=port, security=lines)
        (folder / "voice.sdp").write_text(description, encoding="utf-8", newline="")
        session: Any = RtpSession(Role.SENDER, description, peer=(HOST, port), clock_rate=RATE)
        session = session if key is None else Srtp(session, key, None)
        sender = Sender(session, Voice(CODEC, Looped(voice), rng=Random(7)))
        command = _hearing(program, folder, port)
        endpoint = await open_udp(sender)
        try:
            await _run(program, command)
        finally:
            endpoint.close()
        samples, _ = read_wav(folder / "heard.wav")
    return _judged(f"{program} plays us", voice, samples)


async def we_play_them(program: str, voice: Clip) -> Played:
    """Our receiver hears what the program sends."""
    heard: list[Samples] = []

    def take(event: Event) -> None:
        if isinstance(event, Heard):
            heard.append(event.played)

    session = RtpSession(Role.RECEIVER, clock_rate=RATE)
    with TemporaryDirectory() as name:
        path = Path(name) / "said.wav"
        with WavWriter(path, FILE_RATE, 1) as out:
            out.write(converted(voice, FILE_RATE, 1).samples)
        receiver = Receiver(session, CODEC, policy=Fixed(ms(600)))
        endpoint = await open_udp(receiver, on_event=take)
        try:
            await _run(program, _sending(program, path, endpoint.address[1]))
            await asyncio.sleep(0.8)  # what waits in the buffer is played
        finally:
            endpoint.close()
    if not heard:
        raise MissingCapability(f"nothing came from {program}", "labkit doctor")
    return _judged(f"we play {program}", voice, np.concatenate(heard))


# Programs ------------------------------------------------------------------------------------


def _hearing(program: str, folder: Path, port: int) -> list[str]:
    """FFmpeg reads SDP; GStreamer is told the same in its own words, and counts packets."""
    heard = folder / "heard.wav"
    if program == "ffmpeg":
        words = "ffmpeg -nostdin -loglevel error -protocol_whitelist file,udp,rtp,srtp"
        return [*words.split(), "-i", f"{folder / 'voice.sdp'}", "-t", f"{SECONDS}", f"{heard}"]
    line = (
        f"gst-launch-1.0 -q udpsrc address={HOST} port={port} num-buffers={round(50 * SECONDS)} "
        f"caps={CAPS} ! rtpjitterbuffer ! rtppcmudepay ! mulawdec ! wavenc ! filesink"
    )
    return [*line.split(), f"location={heard}"]


def _sending(program: str, path: Path, port: int) -> list[str]:
    """Packets of 20 ms, as fast as they are spoken; FFmpeg's RTCP comes to the same port."""
    if program == "ffmpeg":
        read = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-i", f"{path}"]
        make = ["-af", f"aresample={RATE},asetnsamples=160:p=0", "-c:a", "pcm_mulaw"]
        where = f"rtp://{HOST}:{port}?rtcpport={port}&pkt_size=172"
        return [*read, *make, "-f", "rtp", "-sdp_file", f"{path.with_suffix('.sdp')}", where]
    line = (
        f"! wavparse ! audioresample ! audio/x-raw,rate={RATE} ! mulawenc "
        f"! rtppcmupay min-ptime=20000000 max-ptime=20000000 ! udpsink host={HOST} port={port}"
    )
    return ["gst-launch-1.0", "-q", "filesrc", f"location={path}", *line.split()]


async def _run(program: str, command: Sequence[str]) -> None:
    """Run to the end. What it complains of is told as what is missing here."""
    async with _process(command) as process:
        try:
            async with asyncio.timeout(PATIENCE):
                _, said = await process.communicate()
        except TimeoutError:
            what = f"{program} did not end within {PATIENCE:g} s"
            raise MissingCapability(what, "run the cell once more") from None
    if process.returncode:
        complaint = said.decode(errors="replace").strip().partition("\n")[0]
        raise MissingCapability(
            f"{program} cannot do this here: {complaint}", this_system().install(program)
        )


@asynccontextmanager
async def _process(command: Sequence[str]) -> AsyncIterator[Any]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _free_port() -> int:
    """An even port that is free, and the next one too: RFC 3550 section 11 has RTCP there."""
    for _ in range(100):
        with udp_socket(HOST, 0) as first:
            port: int = first.getsockname()[1] & ~1
        try:
            with udp_socket(HOST, port), udp_socket(HOST, port + 1):
                return port
        except BadInput:
            continue
    raise MissingCapability("there are no two free ports in a row", "run the cell once more")


# What was heard ------------------------------------------------------------------------------


def _judged(what: str, voice: Clip, heard: Samples) -> Played:
    """Put both side by side. A program hears a voice that is said again and again."""
    said = np.concatenate([voice.samples, voice.samples])
    heard = heard[: len(voice.samples), :1]
    at = _shift(said[:, 0].astype(float), heard[:, 0].astype(float))
    begins = max(-at, 0)  # it may have begun before the voice did
    said, heard = said[max(at, 0) :], heard[begins:]
    length = min(len(said), len(heard))
    stretch = Clip(heard[:length], RATE), Clip(said[:length], RATE)
    return Played(what, *stretch, quality.stoi(said[:length], heard[:length], RATE))


def _shift(said: npt.NDArray[np.float64], heard: npt.NDArray[np.float64]) -> int:
    """How many samples of `said` pass before `heard` begins; negative: it begins before."""
    size = 1 << (len(said) + len(heard)).bit_length()
    product = np.fft.rfft(said, size) * np.conj(np.fft.rfft(heard, size))
    lag = int(np.argmax(np.fft.irfft(product)))
    return lag if lag < len(said) else lag - size

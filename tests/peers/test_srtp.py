"""FFmpeg and GStreamer read what we protect, and we read what they do: the same words are heard.

Their SRTP is not ours: GStreamer's is another build of libsrtp, FFmpeg's was written for FFmpeg.
The figure is STOI, as in `test_media`. Keys are made for each test; FFmpeg and GStreamer take them
among their arguments, which is for tests only.
"""

import asyncio
import subprocess
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from random import Random

import pytest
from peers.likeness import likeness
from programs import Program, free_port, run, wait_until

from labkit.codec import Opus
from labkit.core.delaypolicy import Fixed
from labkit.core.rtpsession import RtpSession
from labkit.core.session import Role
from labkit.core.source import Clip, Looped
from labkit.endpoints.receiver import Heard, Receiver
from labkit.endpoints.sender import Sender
from labkit.endpoints.srtp import Srtp, new_key
from labkit.endpoints.voice import Voice
from labkit.lab.call import Call
from labkit.lab.sources import speech
from labkit.live.udp import open_udp
from labkit.live.wav import WavWriter
from labkit.wire import sdp
from labkit.wire.sdes import Crypto, MasterKey, Suite
from labkit.words.units import ms, seconds

pytestmark = [pytest.mark.live, pytest.mark.peer]

SECONDS = 3
ENOUGH = 2
GOOD = 0.9
"""STOI that shows the same words; what is reached is printed, and is above 0.97."""
SSRC = 0x5EC2E7
BOTH = (Suite.AES_CM_128_HMAC_SHA1_80, Suite.AES_CM_128_HMAC_SHA1_32)
"""What FFmpeg knows."""
CIPHERS = {
    Suite.AES_CM_128_HMAC_SHA1_80: ("aes-128-icm", "hmac-sha1-80", "hmac-sha1-80"),
    Suite.AES_CM_128_HMAC_SHA1_32: ("aes-128-icm", "hmac-sha1-32", "hmac-sha1-80"),
    Suite.AEAD_AES_128_GCM: ("aes-128-gcm", "null", "null"),
    Suite.AEAD_AES_256_GCM: ("aes-256-gcm", "null", "null"),
}
"""GStreamer's words: the cipher, what authenticates RTP, what authenticates RTCP."""
OPUS = Opus()


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """Three seconds of the spoken sample."""
    path = tmp_path / "said.wav"
    with WavWriter(path, 48_000, 1) as out:
        out.write(speech().samples[: SECONDS * 48_000])
    return path


@pytest.fixture
def judge(said: Path, record_property: Callable[[str, object], None]):
    def compare(heard: Path) -> None:
        found = likeness(said, heard)
        record_property("stoi", found.stoi)
        print(f"\nSTOI {found.stoi:.3f} over {found.seconds:.1f} s, {found.shift:+.2f} s in")
        assert found.seconds > 1.5, found
        assert found.stoi > GOOD, found

    return compare


def at_once(
    folder: Path, suites: Iterable[Suite], hear: Callable[[Suite, Path], Awaitable[None]]
) -> list[Path]:
    """Do the same with every suite, all at one time; where each wrote what it heard."""
    files = {suite: folder / f"{suite.name}.wav" for suite in suites}

    async def main() -> None:
        await asyncio.gather(*(hear(suite, heard) for suite, heard in files.items()))

    asyncio.run(main())
    return list(files.values())


def key_of(suite: Suite) -> MasterKey:
    return new_key(suite, Random(suite.name))


async def speak_to(port: int, key: MasterKey, until: Callable[[], object]) -> None:
    """Push the voice to a port, protected, over and over, until a thread has heard enough."""
    clip = speech().samples[: SECONDS * 48_000]
    voice = Voice(OPUS, Looped(Clip(clip)), rng=Random(1))
    # No report within the test: `srtpdec` has a second pad for them, which nobody connects here.
    peer = "127.0.0.1", port
    session = RtpSession(Role.SENDER, peer=peer, ssrc=voice.ssrc, rtcp_interval=seconds(100))
    endpoint = await open_udp(Sender(Srtp(session, key, None), voice))
    try:
        await asyncio.to_thread(until)
    finally:
        endpoint.close()


async def listen_at(port: int, key: MasterKey, heard: Path, speaker: Callable[[], Program]) -> None:
    """Take what comes to a port for as long as the speaker lives; the session tells how it was."""
    session = Srtp(RtpSession(Role.RECEIVER), new_key(key.suite), key)
    receiver = Receiver(session, OPUS, policy=Fixed(ms(60)))
    with WavWriter(heard, 48_000, OPUS.channels) as out:

        def take(event: object) -> None:
            if isinstance(event, Heard):
                out.write(event.played)

        endpoint = await open_udp(receiver, port=port, on_event=take)
        try:
            with speaker() as program:
                assert await asyncio.to_thread(program.finish) == 0, program.output
        finally:
            endpoint.close()
    assert session.stats.received > ENOUGH * 50
    assert session.stats.lost == 0
    assert session.refused == 0, session.refusals


# We speak -------------------------------------------------------------------------------------


def test_ffmpeg_hears_us(need, judge, tmp_path):
    """From the a=crypto line of our SDP."""
    need("ffmpeg")
    for heard in at_once(tmp_path, BOTH, ffmpeg_hears):
        judge(heard)


async def ffmpeg_hears(suite: Suite, heard: Path) -> None:
    description = heard.with_suffix(".sdp")
    port, key = free_port(), key_of(suite)
    text = sdp.describe(OPUS.format, host="127.0.0.1", port=port, security=(Crypto.of(1, key),))
    description.write_text(text, newline="")

    def listen() -> None:
        with Program(
            ["ffmpeg", "-nostdin", "-protocol_whitelist", "file,udp,rtp,srtp", "-i", description,
             "-t", ENOUGH, heard]
        ) as ffmpeg:  # fmt: skip
            assert ffmpeg.finish() == 0, ffmpeg.output

    await speak_to(port, key, listen)


def test_gstreamer_hears_us(need, judge, tmp_path):
    """By `srtpdec`, which is told the key in its caps."""
    need("gst-launch-1.0")
    for heard in at_once(tmp_path, Suite, gstreamer_hears):
        judge(heard)


async def gstreamer_hears(suite: Suite, heard: Path) -> None:
    port, key = free_port(), key_of(suite)
    ssrc = Voice(OPUS, None, rng=Random(1)).ssrc
    cipher, auth, rtcp_auth = CIPHERS[suite]
    caps = (
        "application/x-srtp,media=audio,clock-rate=48000,encoding-name=OPUS,payload=111,"
        f"ssrc=(uint){ssrc},srtp-key=(buffer){(key.key + key.salt).hex()},"
        f"srtp-cipher={cipher},srtp-auth={auth},srtcp-cipher={cipher},srtcp-auth={rtcp_auth}"
    )

    def listen() -> None:
        with Program(
            f"gst-launch-1.0 -e udpsrc port={port} caps={caps!r} ! srtpdec ! rtpjitterbuffer "
            f"! rtpopusdepay ! opusdec ! wavenc ! filesink location={heard}"
        ) as gstreamer:
            wait_until(
                lambda: (
                    gstreamer.process.poll() is not None
                    or (heard.exists() and heard.stat().st_size > ENOUGH * 48_000 * 4)
                ),
                "GStreamer wrote nothing",
            )
            gstreamer.interrupt()
            assert gstreamer.finish() == 0, gstreamer.output

    await speak_to(port, key, listen)


# They speak -----------------------------------------------------------------------------------


def test_we_hear_ffmpeg(need, judge, said, tmp_path):
    need("ffmpeg")
    for heard in at_once(tmp_path, BOTH, partial(we_hear_ffmpeg, said)):
        judge(heard)


async def we_hear_ffmpeg(said: Path, suite: Suite, heard: Path) -> None:
    port, key = free_port(), key_of(suite)
    command = [
        "ffmpeg", "-nostdin", "-re", "-i", said, "-c:a", "libopus", "-payload_type", 111,
        "-f", "rtp", "-srtp_out_suite", suite.name,
        "-srtp_out_params", b64encode(key.key + key.salt).decode(),
        f"srtp://127.0.0.1:{port}?pkt_size=1200",
    ]  # fmt: skip
    await listen_at(port, key, heard, lambda: Program(command))


def test_we_hear_gstreamer(need, judge, said, tmp_path):
    need("gst-launch-1.0")
    for heard in at_once(tmp_path, Suite, partial(we_hear_gstreamer, said)):
        judge(heard)


async def we_hear_gstreamer(said: Path, suite: Suite, heard: Path) -> None:
    port, key = free_port(), key_of(suite)
    cipher, auth, rtcp_auth = CIPHERS[suite]
    command = (
        f"gst-launch-1.0 filesrc location={said} ! wavparse ! audioconvert ! opusenc "
        f"! rtpopuspay pt=111 ! srtpenc key={(key.key + key.salt).hex()} rtp-cipher={cipher} "
        f"rtp-auth={auth} rtcp-cipher={cipher} rtcp-auth={rtcp_auth} "
        f"! udpsink host=127.0.0.1 port={port}"
    )
    await listen_at(port, key, heard, lambda: Program(command))


# Who looks on ---------------------------------------------------------------------------------


def test_tshark_reads_the_header_and_nobody_reads_the_sound(need, tmp_path):
    """The same call with and without SRTP: same headers, and no four bytes of sound in common."""
    need("tshark")
    clip = Clip(speech().samples[: 2 * 48_000])
    seen, sound, whole = {}, {}, {}
    for transport in ("rtp", "srtp"):
        capture = tmp_path / f"{transport}.pcapng"
        result = Call(clip, transport=transport, seed=3).simulate(capture=True)
        result.save_pcapng(capture)
        whole[transport] = capture.read_bytes()
        rows = run(
            "tshark", "-r", capture, "-d", "udp.port==5004,rtp", "-Y", "rtp && udp.srcport == 5004",
            "-T", "fields", "-e", "rtp.ssrc", "-e", "rtp.seq", "-e", "rtp.timestamp",
            "-e", "rtp.p_type", "-e", "rtp.payload", stderr=subprocess.DEVNULL,
        ).lines  # fmt: skip
        split = [row.rsplit("\t", 1) for row in rows]
        seen[transport] = [head for head, _ in split]
        sound[transport] = [bytes.fromhex(payload) for _, payload in split]
    assert len(seen["rtp"]) >= 100
    assert seen["srtp"] == seen["rtp"]
    for plain, sealed in zip(sound["rtp"], sound["srtp"], strict=True):
        assert len(sealed) == len(plain) + 10
        assert plain in whole["rtp"]
        pieces = {plain[at : at + 4] for at in range(1, len(plain) - 3)}
        assert not any(sealed[at : at + 4] in pieces for at in range(len(sealed) - 3))
        assert plain not in whole["srtp"]

"""FFmpeg and GStreamer hear our voice, and we hear theirs: what is said is what is heard.

Each program is told what to expect by SDP, as RFC 8866 means it, or, where it cannot read SDP, by
its own words for the same. The figure is STOI, on the stretch that both sides have.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from peers.likeness import likeness
from programs import Program, free_port, wait_until

from labkit.codec import Opus, Pcm
from labkit.lab.sources import speech
from labkit.live.wav import WavWriter
from labkit.wire import sdp

pytestmark = [pytest.mark.live, pytest.mark.peer]

SECONDS = 4
GOOD = 0.9
"""STOI that shows the same words; what is reached is printed, and is above 0.97."""
CODECS = {"opus": Opus(), "pcm": Pcm()}
CHANNELS = {"opus": 2, "pcm": 1}
"""Opus is decoded to the two channels that its SDP always names (RFC 7587 section 7)."""


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """Four seconds of the spoken sample."""
    path = tmp_path / "said.wav"
    with WavWriter(path, 48_000, 1) as out:
        out.write(speech().samples[: SECONDS * 48_000])
    return path


@pytest.fixture
def judge(said: Path, tmp_path: Path, record_property: Callable[[str, object], None]):
    """Compare what was heard, and keep the figure."""

    def compare(heard: Path) -> None:
        found = likeness(said, heard)
        record_property("stoi", found.stoi)
        print(f"\nSTOI {found.stoi:.3f} over {found.seconds:.1f} s, {found.shift:+.2f} s in")
        assert found.seconds > 1.5, found
        assert found.stoi > GOOD, found

    return compare


def streaming(codec: str, said: Path, port: int, description: Path) -> Program:
    """Our sender, which nobody asked: it pushes, as FFmpeg and GStreamer expect."""
    program = Program(
        ["streamer", "serve", "--proto", "rtp", "--port", 0, "--to", f"127.0.0.1:{port}",
         "--sdp", description, "--codec", codec, "--source", said, "--loop"]
    )  # fmt: skip
    program.wait_for("SDP in")
    return program


def receiving(description: Path, heard: Path) -> Program:
    """Our receiver, which asks nobody: it takes what comes to the port in the SDP.

    With a fixed delay: an adaptive one stretches and squeezes time, which STOI takes for damage.
    """
    return Program(
        ["receiver", "connect", "--proto", "rtp", "--sdp", description,
         "--no-sound", "--out", heard, "--seconds", SECONDS - 1, "--buffer-ms", 60]
    )  # fmt: skip


# We speak -------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["opus", "pcm"])
def test_ffmpeg_hears_us(need, judge, said, tmp_path, codec):
    """From the SDP that `streamer serve --sdp` writes; Opus by FFmpeg's own decoder."""
    need("ffmpeg")
    description, heard = tmp_path / "voice.sdp", tmp_path / "heard.wav"
    with (
        streaming(codec, said, free_port(), description),
        Program(
            ["ffmpeg", "-nostdin", "-protocol_whitelist", "file,udp,rtp", "-i", description,
             "-t", SECONDS - 2, heard]
        ) as ffmpeg,
    ):  # fmt: skip
        assert ffmpeg.finish() == 0, ffmpeg.output
    judge(heard)


@pytest.mark.parametrize("codec", ["opus", "pcm"])
def test_gstreamer_hears_us(need, judge, said, tmp_path, codec):
    """From the same SDP, through its `rtpjitterbuffer`, which `sdpdemux` has inside."""
    need("gst-launch-1.0")
    description, heard = tmp_path / "voice.sdp", tmp_path / "heard.wav"
    decode = {"opus": "rtpopusdepay ! opusdec", "pcm": "rtpL16depay ! audioconvert"}[codec]
    with (
        streaming(codec, said, free_port(), description),
        Program(
            f"gst-launch-1.0 -e filesrc location={description} ! sdpdemux ! {decode} "
            f"! wavenc ! filesink location={heard}"
        ) as gstreamer,
    ):
        size = (SECONDS - 2) * 48_000 * 2 * CHANNELS[codec]
        wait_until(
            lambda: (
                gstreamer.process.poll() is not None
                or (heard.exists() and heard.stat().st_size > size)
            ),
            "GStreamer wrote nothing",
        )
        gstreamer.interrupt()
        assert gstreamer.finish() == 0, gstreamer.output
    judge(heard)


# They speak -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("codec", "encoder"), [("opus", "libopus"), ("pcm", "pcm_s16be")])
def test_we_hear_ffmpeg(need, judge, said, tmp_path, codec, encoder):
    """From the SDP that FFmpeg writes. Its RTCP comes from and to ports of their own."""
    need("ffmpeg")
    description, heard = tmp_path / "voice.sdp", tmp_path / "heard.wav"
    port = free_port()
    with Program(
        ["ffmpeg", "-nostdin", "-re", "-stream_loop", 1, "-i", said, "-c:a", encoder,
         "-f", "rtp", "-sdp_file", description, f"rtp://127.0.0.1:{port}?pkt_size=1200"]
    ) as ffmpeg:  # fmt: skip
        wait_until(
            lambda: (
                ffmpeg.process.poll() is not None
                or (description.exists() and "a=rtpmap" in description.read_text())
            ),
            "FFmpeg wrote no SDP",
        )
        with receiving(description, heard) as receiver:
            assert receiver.finish() == 0, ffmpeg.output + receiver.output
    assert "0 too late, 0 missing" in receiver.lines[-1]
    judge(heard)


@pytest.mark.parametrize("codec", ["opus", "pcm"])
def test_we_hear_gstreamer(need, judge, said, tmp_path, codec):
    """From an SDP that says what `rtpopuspay` and `rtpL16pay` send."""
    need("gst-launch-1.0")
    description, heard = tmp_path / "voice.sdp", tmp_path / "heard.wav"
    port = free_port()
    format_ = CODECS[codec].format
    description.write_text(sdp.describe(format_, host="127.0.0.1", port=port), newline="")
    encode = {"opus": "opusenc ! rtpopuspay", "pcm": "rtpL16pay mtu=1200"}[codec]
    with receiving(description, heard) as receiver:
        receiver.wait_for("waiting for RTP")
        with Program(
            f"gst-launch-1.0 filesrc location={said} ! wavparse ! audioconvert "
            f"! {encode} pt={format_.payload_type} ! udpsink host=127.0.0.1 port={port}"
        ) as gstreamer:
            assert receiver.finish() == 0, gstreamer.output + receiver.output
    assert "0 too late, 0 missing" in receiver.lines[-1]
    judge(heard)

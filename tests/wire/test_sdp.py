"""SDP, judged by the examples of the RFCs and by FFmpeg."""

import json
import socket
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.wire import rtp, sdp
from labkit.words.errors import LocalProtocolError, Malformed
from labkit.words.format import AudioFormat
from labkit.words.packet import Packet

OPUS = AudioFormat("opus", 48_000, 2, 111, 20, {"maxaveragebitrate": "32000", "useinbandfec": "1"})
L16 = AudioFormat("L16", 48_000, 1, 96)

RFC_8866 = """v=0
o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1
s=Call to John Smith
i=SDP Offer #1
u=http://www.jdoe.example.com/home.html
e=Jane Doe <jane@jdoe.example.com>
p=+1 617 555-6011
c=IN IP4 198.51.100.1
t=0 0
m=audio 49170 RTP/AVP 0
m=audio 49180 RTP/AVP 0
m=video 51372 RTP/AVP 99
c=IN IP6 2001:db8::2
a=rtpmap:99 h263-1998/90000
"""
"""The example of RFC 8866 section 5."""

HEAD = "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"

RFC_7587 = (
    HEAD + "m=audio 54312 RTP/AVP 101\r\n"
    "a=rtpmap:101 opus/48000/2\r\n"
    "a=fmtp:101 maxplaybackrate=16000; sprop-maxcapturerate=16000;\t"
    "maxaveragebitrate=20000; stereo=1; useinbandfec=1; usedtx=0\r\n"
    "a=ptime:40\r\n"
    "a=maxptime:40\r\n"
)
"""The second example of RFC 7587 section 7."""


def test_we_write_what_the_module_shows():
    assert sdp.describe(OPUS, host="192.0.2.1", port=5004) == (
        "v=0\r\n"
        "o=- 0 0 IN IP4 192.0.2.1\r\n"
        "s=labkit\r\n"
        "c=IN IP4 192.0.2.1\r\n"
        "t=0 0\r\n"
        "m=audio 5004 RTP/AVP 111\r\n"
        "a=rtpmap:111 opus/48000/2\r\n"
        "a=fmtp:111 maxaveragebitrate=32000;useinbandfec=1\r\n"
        "a=ptime:20\r\n"
        "a=rtcp-mux\r\n"
    )


def test_the_example_of_rfc_8866():
    found = sdp.parse(RFC_8866)
    assert found.audio == AudioFormat("PCMU", 8_000, 1, 0)
    assert (found.host, found.port, found.name) == ("198.51.100.1", 49_170, "Call to John Smith")
    assert (found.rtcp_mux, found.rtcp_port) == (False, 49_171)


def test_the_example_of_rfc_7587():
    found = sdp.parse(RFC_7587)
    parameters = {
        "maxplaybackrate": "16000",
        "sprop-maxcapturerate": "16000",
        "maxaveragebitrate": "20000",
        "stereo": "1",
        "useinbandfec": "1",
        "usedtx": "0",
    }
    assert found.audio == AudioFormat("opus", 48_000, 2, 101, 40, parameters)


formats = st.one_of(
    st.builds(
        AudioFormat,
        st.sampled_from(["L16", "PCMU", "G722", "x-blank"]),
        st.integers(1, 192_000),
        st.integers(1, 8),
        st.integers(0, 127),
        st.sampled_from([2.5, 5, 10, 20, 40, 60, 120]),
        st.just({}),
    ),
    st.builds(
        AudioFormat,
        st.just("opus"),
        st.just(48_000),
        st.just(2),
        st.integers(96, 127),
        st.sampled_from([2.5, 5, 10, 20, 40, 60]),
        st.dictionaries(
            st.sampled_from(["stereo", "sprop-stereo", "useinbandfec", "usedtx", "flag"]),
            st.sampled_from(["0", "1", ""]),
        ),
    ),
)


@given(
    formats,
    st.sampled_from(["192.0.2.1", "2001:db8::1", "host.example"]),
    st.integers(0, 65_534),
    st.booleans(),
)
def test_every_description_comes_back(audio, host, port, mux):
    text = sdp.describe(audio, host=host, port=port, rtcp_mux=mux)
    found = sdp.parse(text)
    assert found == sdp.SessionDescription(
        audio, host, port, port if mux else port + 1, mux, "labkit"
    )
    assert sdp.parse(text.replace("\r\n", "\n")) == found


@pytest.mark.parametrize(
    ("payload_type", "encoding", "rate", "channels"),
    [
        (0, "PCMU", 8_000, 1),
        (8, "PCMA", 8_000, 1),
        (9, "G722", 8_000, 1),
        (10, "L16", 44_100, 2),
        (11, "L16", 44_100, 1),
    ],
)
def test_static_payload_types_need_no_rtpmap(payload_type, encoding, rate, channels):
    """RFC 3551 table 4."""
    found = sdp.parse(HEAD + f"m=audio 9 RTP/AVP {payload_type}\r\n").audio
    assert found == AudioFormat(encoding, rate, channels, payload_type)


def test_mono_opus_is_described_as_two_channels_all_the_same():
    """RFC 7587 section 7: the rtpmap says 48000/2 whatever is sent."""
    text = sdp.describe(replace(OPUS, channels=1, clock_rate=16_000), host="a", port=1)
    assert "a=rtpmap:111 opus/48000/2\r\n" in text
    assert sdp.parse(text).audio.channels == 2


def test_lines_of_the_stream_beat_lines_of_the_session_and_other_streams_are_skipped():
    text = HEAD + (
        "a=tool:unknown\r\n"
        "m=video 4000 RTP/AVP 96\r\nc=IN IP4 192.0.2.9\r\na=rtpmap:96 VP8/90000\r\n"
        "m=audio 5000/2 RTP/AVPF 111 0\r\nc=IN IP4 233.252.0.1/127\r\n"
        "a=rtcp:6000 IN IP4 192.0.2.1\r\n"
        "a=rtpmap:0 PCMU/8000\r\na=rtpmap:111 OPUS/48000/2\r\na=fmtp:0 x=y\r\n"
        "m=audio 7000 RTP/AVP 0\r\na=rtcp-mux\r\n"
    )
    found = sdp.parse(text)
    assert (found.host, found.port, found.rtcp_port) == ("233.252.0.1", 5000, 6000)
    assert found.audio == AudioFormat("opus", 48_000, 2, 111)
    assert not found.rtcp_mux


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "v="),
        ("v=1\r\n", "v="),
        ("hello", "line"),
        ("v=0\r\nhello\r\n", "line"),
        ("v=0\r\ns=a\0b\r\n", "line"),
        (HEAD, "m="),
        (HEAD + "m=video 9 RTP/AVP 96\r\n", "m="),
        (HEAD + "m=audio x RTP/AVP 0\r\n", "m="),
        (HEAD + "m=audio 65536 RTP/AVP 0\r\n", "m="),
        (HEAD + "m=audio 65535 RTP/AVP 0\r\n", "m="),  # no port is left for RTCP
        (HEAD + "m=audio 9 RTP/AVT 0\r\n", "m="),
        (HEAD + "m=audio 9 RTP/AVP 128\r\n", "m="),
        (HEAD + "m=audio 9 RTP/AVP 111\r\n", "m="),
        (HEAD + "m=audio 9 RTP/AVP 0\r\na=ptime:0\r\n", "m="),
        (HEAD + "m=audio 9 RTP/AVP 0\r\na=ptime:nan\r\n", "a="),
        (HEAD + "m=audio 9 RTP/AVP 0\r\na=ptime:" + "9" * 5000 + "\r\n", "a="),
        (HEAD + "m=audio 9 RTP/AVP 0\r\na=rtcp:x\r\n", "a="),
        (HEAD + "m=audio 9 RTP/AVP 96\r\na=rtpmap:96 L16\r\n", "a="),
        (HEAD + "m=audio 9 RTP/AVP 96\r\na=rtpmap:96 L16/0\r\n", "a="),
        (HEAD + "m=audio 9 RTP/AVP 96\r\na=rtpmap:96 L16/4٤100\r\n", "a="),
        (HEAD + "m=audio 9 RTP/AVP 96\r\na=rtpmap:96 opus/48000/1\r\n", "a="),
        (HEAD.replace("c=IN IP4 192.0.2.1\r\n", "") + "m=audio 9 RTP/AVP 0\r\n", "c="),
        (HEAD.replace("c=IN IP4", "c=IN ATM") + "m=audio 9 RTP/AVP 0\r\n", "c="),
    ],
)
def test_an_illegal_description_is_refused_by_the_name_of_the_line(text, field):
    with pytest.raises(Malformed) as caught:
        sdp.parse(text)
    assert caught.value.field == field
    assert "RFC" in caught.value.spec


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "192.0.2.1\r\na=evil"},
        {"host": "192.0.2.1 a"},
        {"host": ""},
        {"name": "two\nlines"},
        {"name": ""},
        {"port": 65_536},
        {"audio": replace(L16, payload_type=128)},
        {"audio": replace(L16, ptime=0)},
        {"audio": replace(L16, ptime=float("nan"))},
        {"audio": replace(L16, clock_rate=0)},
        {"audio": replace(L16, encoding="L16/48000")},
        {"audio": replace(L16, parameters={"a": "1;b=2"})},
        {"audio": replace(L16, parameters={"a": "1\r\nb=2"})},
        {"audio": replace(L16, parameters={"a=b": "1"})},
    ],
)
def test_what_cannot_be_described_is_the_callers_mistake(wrong):
    arguments = {"audio": L16, "host": "192.0.2.1", "port": 5004} | wrong
    with pytest.raises(LocalProtocolError):
        sdp.describe(arguments.pop("audio"), **arguments)


@pytest.mark.peer
def test_we_read_ffmpegs_description(need, tmp_path):
    need("ffmpeg")
    file = tmp_path / "ffmpeg.sdp"
    command = "ffmpeg -v error -f lavfi -i anullsrc=r=48000:cl=stereo -t 0.02 -c:a libopus -f rtp"
    command = [*command.split(), "-sdp_file", str(file), "rtp://127.0.0.1:50004"]
    subprocess.run(command, check=True, timeout=30)
    found = sdp.parse(file.read_text())
    assert (found.host, found.port) == ("127.0.0.1", 50_004)
    assert (found.audio.encoding, found.audio.clock_rate, found.audio.channels) == (
        "opus",
        48_000,
        2,
    )


@pytest.mark.peer
@pytest.mark.live
@pytest.mark.parametrize(
    ("audio", "payload", "expected"),
    [
        (OPUS, b"\xf8\xff\xfe", ("opus", "48000", 2)),
        (L16, bytes(1920), ("pcm_s16be", "48000", 1)),
        (AudioFormat("PCMU", 8_000, 1, 0), b"\xff" * 160, ("pcm_mulaw", "8000", 1)),
    ],
)
def test_ffmpeg_reads_our_description(need, tmp_path, audio, payload, expected):
    """It listens where the description says, and names the sound that we then send there."""
    need("ffprobe")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        port = free_even_port()
        file = tmp_path / "labkit.sdp"
        file.write_text(sdp.describe(audio, host="127.0.0.1", port=port), newline="")
        command = "ffprobe -v error -protocol_whitelist file,udp,rtp -show_streams -of json"
        with subprocess.Popen([*command.split(), str(file)], stdout=subprocess.PIPE) as ffprobe:
            for seq in range(2_000):
                packet = Packet(seq, seq * 960, payload, payload_type=audio.payload_type, ssrc=7)
                sender.sendto(rtp.pack(packet), ("127.0.0.1", port))
                try:
                    out, _ = ffprobe.communicate(timeout=0.01)
                    break
                except subprocess.TimeoutExpired:
                    continue
            else:
                ffprobe.kill()
                pytest.fail("ffprobe understood nothing of 2000 packets")
    (stream,) = json.loads(out)["streams"]
    assert (stream["codec_name"], stream["sample_rate"], stream["channels"]) == expected


def free_even_port():
    """RTP's port is even, and FFmpeg takes the next one for RTCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port % 2 == 0:
            return port

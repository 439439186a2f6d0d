"""Bad input: exit code 2, one line that names what is wrong, one that says what to try."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import BIN, Program, address_of, run, serving

from labkit.cli import labkit, receiver, streamer
from labkit.core.source import tone
from labkit.live.wav import WavWriter
from labkit.wire import rtp, sdp
from labkit.words.format import AudioFormat
from labkit.words.packet import Packet

EMPTY = bytes.fromhex(
    "52494646 24000000 57415645 666d7420 10000000 0100 0100 80bb0000 00770100 0200 1000"
    "64617461 00000000"
)
"""A WAV file of one channel at 48 kHz and no samples."""

MAIN = {"streamer": streamer.main, "receiver": receiver.main, "labkit": labkit.main}


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail; the line in which it says why."""

    def fail(*words: object) -> str:
        name, *arguments = map(str, words)
        try:
            code = MAIN[name](arguments)
        except SystemExit as error:  # argparse leaves by this way
            code = error.code
        said = capsys.readouterr().err.splitlines()
        assert code == 2, said
        named = [line for line in said if line.startswith(f"{name}") and ": " in line]
        assert len(named) == 1, said
        after = said[said.index(named[0]) + 1 :]
        assert len(after) == 1, said
        assert after[0].startswith("  try: "), said
        return named[0]

    return fail


@pytest.fixture
def quiet(tmp_path: Path) -> tuple[object, ...]:
    """What a receiver without a sound card is told."""
    return "--no-sound", "--out", tmp_path / "x.wav"


@pytest.fixture
def busy_port() -> int:
    """A port that somebody else has, over TCP and UDP."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        port: int = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        yield port


def a_file(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# Files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is not a WAV file"),
        (b"ID3 this is an MP3 file, perhaps", "is not a WAV file"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "is cut off"),
        (EMPTY, "no sound"),
    ],
    ids=["empty file", "no WAV file", "cut off", "no samples"],
)  # fmt: skip
def test_a_file_that_is_no_sound(complaint, tmp_path, data, why):
    """Both who plays it and who serves it says so."""
    path = a_file(tmp_path, "voice.wav", data)
    assert why in complaint("receiver", "play", path)
    assert why in complaint("streamer", "serve", "--proto", "udp", "--port", 0, "--source", path)


def test_a_file_that_is_not_there(complaint, tmp_path, quiet):
    path = tmp_path / "nothing.wav"
    assert "No such file" in complaint("receiver", "play", path)
    assert "Is a directory" in complaint("receiver", "play", tmp_path)
    assert "No such file" in complaint(
        "streamer", "record", "--source", path, "--out", tmp_path / "x.wav"
    )
    assert "No such file" in complaint(
        "receiver", "connect", "--proto", "rtp", "--sdp", path, *quiet
    )


@pytest.mark.parametrize("where", ["", "no/such/folder/x.wav"])
def test_a_file_that_cannot_be_written(complaint, tmp_path, where):
    out = tmp_path / where
    assert "cannot write" in complaint("streamer", "record", "--source", "tone", "--out", out)
    assert "cannot write" in complaint(
        "receiver", "connect", "--proto", "tcp", "--addr", ":9", "--out", out
    )


def test_a_file_on_a_full_disk(complaint):
    """/dev/full is Linux's disk without room."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    line = complaint("streamer", "record", "--source", "tone", "--out", "/dev/full")
    assert "No space left on device" in line


def test_a_folder_that_is_a_file(complaint, tmp_path):
    """Found out before ten seconds of sound are computed for nothing."""
    path = a_file(tmp_path, "demo", b"")
    assert "demo" in complaint("labkit", "demo", "--source", "tone", "--out", path)


def test_an_sdp_that_is_none(complaint, tmp_path, quiet):
    path = a_file(tmp_path, "voice.sdp", b"hello")
    assert "line" in complaint("receiver", "connect", "--proto", "rtp", "--sdp", path, *quiet)


def test_an_sdp_of_a_codec_that_nobody_knows(complaint, tmp_path, quiet):
    """G.729 is known by name only: the error comes with the first packet, out of the event loop."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    text = sdp.describe(AudioFormat("G729", 8000, 1, 18), host="127.0.0.1", port=port)
    path = a_file(tmp_path, "voice.sdp", text.encode())
    over = threading.Event()

    def send() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            for seq in range(1000):
                sock.sendto(
                    rtp.pack(Packet(seq, seq * 160, b"?", ssrc=1, payload_type=18)),
                    ("127.0.0.1", port),
                )
                if over.wait(0.02):
                    return

    sending = threading.Thread(target=send)
    sending.start()
    line = complaint("receiver", "connect", "--proto", "rtp", "--sdp", path, *quiet)
    over.set()
    sending.join()
    assert "G729" in line


# The network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("proto", ["tcp", "udp", "rtp"])
def test_a_port_that_is_busy(complaint, busy_port, proto):
    line = complaint("streamer", "serve", "--proto", proto, "--port", busy_port, "--source", "tone")
    assert f":{busy_port}: Address already in use" in line


def test_a_server_that_is_not_there(complaint, quiet):
    """TCP is told at once that nobody listens; see below for datagrams."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    line = complaint("receiver", "connect", "--proto", "tcp", "--addr", address, *quiet)
    assert line.endswith(f"cannot connect to TCP {address}: Connection refused")


def test_nothing_comes(complaint, quiet):
    """Over datagrams silence is all there is: the receiver gives up, and says who was not there."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        line = complaint(
            "receiver", "connect", "--proto", "udp", "--addr", address, "--seconds", 0.2, *quiet
        )
    assert line == "receiver: nothing was received"


@pytest.mark.parametrize("proto", ["tcp", "udp", "rtp"])
def test_a_host_without_an_address(complaint, proto, quiet):
    """RFC 6761 keeps .invalid free of hosts for ever."""
    line = complaint("receiver", "connect", "--proto", proto, "--addr", "host.invalid:5000", *quiet)
    assert "host.invalid" in line


@pytest.mark.net
def test_a_host_that_cannot_be_reached(need, quiet):
    """In a network namespace of its own, whose only device is down."""
    need("unshare")
    program = run(
        "unshare",
        "-Urn",
        BIN / "receiver",
        "connect",
        "--proto",
        "tcp",
        "--addr",
        "192.0.2.1:5000",
        *quiet,
    )
    if "unshare failed" in program.output or "Operation not permitted" in program.output:
        pytest.skip("no user namespaces")
    assert program.process.returncode == 2, program.output
    assert program.lines[-2].endswith("192.0.2.1:5000: Network is unreachable")


# What the options say -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("receiver connect --proto udp --addr 127.0.0.1", "is not host:port"),
        ("receiver connect --proto udp --addr 127.0.0.1:66000", "is not host:port"),
        ("receiver connect --proto udp --addr 127.0.0.1:0", "is not host:port"),
        ("receiver connect --proto udp", "where is the streamer?"),
        ("receiver connect --proto udp --sdp x.sdp", "--sdp describes an RTP stream"),
        ("receiver connect --proto udp --addr :5000 --no-sound", "nothing to do"),
        ("receiver connect --proto udp --addr :5000 --buffer-ms -1", "not a number above zero"),
        ("receiver connect --proto udp --addr :5000 --buffer-ms 9 --adaptive", "not allowed with"),
        ("receiver connect --proto udp --addr :5000 --retries some", "not a whole number"),
        ("receiver connect --proto rtp --addr :5000 --report-every 1e300", "below a million"),
        ("receiver connect --proto rtp --addr :5000 --report-every 20", "at most 12"),
        ("receiver play", "required: FILE.wav"),
        ("receiver play x.wav --jitter-ms nan", "not a number above zero"),
        ("receiver play x.wav --buffer-ms 1e12", "below a million"),
        ("receiver play x.wav --sweep no/such/folder/x.png", "there is no folder"),
        ("streamer serve --proto sctp", "invalid choice: 'sctp'"),
        ("streamer serve --proto udp --port 70000", "'70000' is not a port"),
        ("streamer serve --proto udp --source tone --bitrate 100", "bitrate"),
        ("streamer serve --proto udp --source tone --bitrate nan", "not a number above zero"),
        ("streamer serve --proto udp --source tone --bitrate 510000", "do not fit"),
        ("streamer serve --proto rtp --source tone --bitrate 200000 --frame-ms 60", "do not fit"),
        ("streamer serve --proto udp --source tone --max-clients 0", "number above zero"),
        ("streamer serve --proto udp --source tone --frame-ms 7", "7"),
        ("streamer serve --proto udp --source tone --frame-ms nan", "nan"),
        ("streamer serve --proto udp --source tone --codec pcm --frame-ms 0", "0"),
        ("streamer serve --proto udp --source tone --codec pcm --fec", "belong to Opus"),
        ("streamer serve --proto udp --source tone --nodelay", "--nodelay means nothing to udp"),
        (
            "receiver connect --proto rtp --addr 127.0.0.1:9 --no-sound --out x.wav --keys keys",
            "--keys means nothing to rtp",
        ),
        ("streamer serve --proto udp --source tone --to 127.0.0.1:9", "--to is for RTP"),
        ("streamer record", "required: --out"),
        ("labkit demo --link wifi-bussy", "no network profile called 'wifi-bussy'"),
        ("labkit demo --source nothing.wav", "No such file"),
        ("labkit demo --bitrate 1", "bitrate"),
        ("labkit", "required: COMMAND"),
        ("labkit sing", "invalid choice: 'sing'"),
    ],
)
def test_options_that_cannot_be(complaint, words, why):
    assert why in complaint(*words.split())


# What this machine lacks ----------------------------------------------------------------------


def test_without_libopus():
    """The voice does not begin, and says what is missing."""
    words = "streamer serve --proto udp --port 0 --source tone"
    program = run(*words.split(), env=os.environ | {"LABKIT_LIBOPUS": "none"})
    assert program.process.returncode == 2
    assert program.lines == [
        "streamer: libopus is hidden by LABKIT_LIBOPUS=none",
        "  try: unset LABKIT_LIBOPUS",
    ]


def test_a_receiver_without_libopus(quiet):
    """It learns which codec it needs with the first packet; the error is the same."""
    with Program("streamer serve --proto udp --port 0 --source tone") as server:
        address = server.wait_for(r"--addr (\S+)")[1]
        words = ("receiver", "connect", "--proto", "udp", "--addr", address, *quiet)
        program = run(*words, env=os.environ | {"LABKIT_LIBOPUS": "none"})
    assert program.process.returncode == 2, program.output
    assert program.lines[-2:] == [
        "receiver: libopus is hidden by LABKIT_LIBOPUS=none",
        "  try: unset LABKIT_LIBOPUS",
    ]


@pytest.mark.parametrize(
    "words",
    [
        "streamer record --out {}/x.wav",
        "streamer serve --proto udp --port 0",
        "receiver connect --proto udp --addr 127.0.0.1:5000",
        "receiver play {}/voice.wav",
    ],
)
def test_without_a_sound_card(tmp_path, words):
    """A microphone or a speaker that is not there is named before anything else happens."""
    with WavWriter(tmp_path / "voice.wav", 48_000, 1) as out:
        out.write(tone(duration_s=1).samples)
    if Path("/dev/snd").exists():
        pytest.skip("this machine has a sound card that no environment hides")
    bare = {n: v for n, v in os.environ.items() if not n.startswith(("PULSE", "PIPEWIRE"))}
    bare |= {
        "XDG_RUNTIME_DIR": str(tmp_path),
        "HOME": str(tmp_path),
    }
    program = run(*words.format(tmp_path).split(), env=bare)
    assert program.process.returncode == 2, program.output
    assert "device" in program.lines[-2]
    assert "Traceback" not in program.output


@pytest.mark.live
@pytest.mark.parametrize(("served", "asked"), [("ws", "tcp"), ("tcp", "ws")])
def test_a_streamer_that_speaks_something_else(quiet, served, asked):
    """It is there and hangs up: to look whether it is running would help nobody."""
    with serving(served, "speech") as server:
        addressed = ("--proto", asked, "--addr", address_of(server))
        program = run("receiver", "connect", *addressed, "--retries", 1, *quiet)
    assert program.process.returncode == 2
    said, remedy = program.lines[-2:]
    assert said == "receiver: nothing was received"
    assert "another --proto" in remedy

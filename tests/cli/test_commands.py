"""The commands as a person uses them: help, the demonstration, Ctrl-C, the status line."""

import contextlib
import os
import pty
import re
import shlex
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from programs import BIN, Program, address_of, listening, run, serving, wait_until

from labkit.cli import labkit, receiver, streamer
from labkit.live.wav import read_wav

pytestmark = pytest.mark.live

COMMANDS = {
    streamer: ["streamer", "streamer record", "streamer serve"],
    receiver: ["receiver", "receiver play", "receiver connect"],
    labkit: ["labkit", "labkit demo", "labkit doctor", "labkit net"],
}


@pytest.mark.parametrize(
    ("module", "words"),
    [(module, words) for module, every in COMMANDS.items() for words in every],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_help_ends_with_examples_that_can_be_run(module, words, capsys):
    """Exit code 0, and every example is understood by the parser that shows it."""
    with pytest.raises(SystemExit) as ended:
        module.main([*words.split()[1:], "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    name = words.split()[0]
    lines = re.sub(r"\\\n +", "", shown.partition("examples:\n")[2]).splitlines()
    examples = [line.strip().split("  ")[0] for line in lines if line.startswith(f"  {name} ")]
    assert examples, shown
    for example in examples:
        if "…" not in example:
            module.make_parser().parse_args(shlex.split(example)[1:])


def test_help_comes_at_once():
    """Under half a second, the start of Python included: the best of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([BIN / "labkit", "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


def test_the_demonstration(tmp_path):
    """Two WAV files, a picture and a table of loss, delay, STOI and MOS in under ten seconds."""
    start = time.perf_counter()
    program = run("labkit", "demo", "--out", tmp_path / "demo")
    took = time.perf_counter() - start
    assert program.process.returncode == 0, program.output
    naive, good = (read_wav(tmp_path / "demo" / name) for name in ("naive.wav", "good.wav"))
    assert naive[1] == good[1] == 48_000
    assert min(len(naive[0]), len(good[0])) > 15 * 48_000
    (picture,) = (tmp_path / "demo").glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    table = {line.split("  ")[0]: line for line in program.lines}
    for word in ("STOI", "MOS", "lost by", "delay"):
        assert word in program.output
    bad, better = (
        float(re.search(r"ms +(0\.\d\d) ", table[name])[1])
        for name in ("naive receiver", "jitter buffer, FEC, PLC")
    )
    assert better > 0.75 > bad
    assert took < 10


def test_the_doctor_examines():
    program = run("labkit", "doctor")
    assert program.process.returncode in (0, 1), program.output
    assert "libopus" in program.output
    assert "Traceback" not in program.output


# Ctrl-C -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("proto", ["tcp", "udp", "rtp"])
def test_ctrl_c_ends_the_streamer_and_the_receiver_knows(proto, tmp_path):
    """The streamer says BYE and exits with 0; the receiver plays the rest, and exits with 0."""
    out = tmp_path / "heard.wav"
    with (
        serving(proto, "speech") as server,
        listening(proto, address_of(server), out) as listener,
    ):
        listener.wait_for("receiving opus")
        server.interrupt()
        assert server.finish() == 0
        assert listener.finish() == 0, listener.output
    assert re.search(r"the stream ended: (BYE|closed)", listener.output)
    assert server.lines[-1] == "ended"
    sound, rate = read_wav(out)
    assert rate == 48_000
    assert 0 < len(sound) < 5 * rate


@pytest.mark.parametrize("proto", ["tcp", "udp", "rtp"])
def test_ctrl_c_ends_the_receiver_and_the_streamer_knows(proto, tmp_path):
    """The receiver says BYE, exits with 0 and leaves a file; the streamer serves on."""
    out = tmp_path / "heard.wav"
    with serving(proto, "tone") as server:
        with listening(proto, address_of(server), out, "--buffer-ms", 40) as listener:
            listener.wait_for("receiving opus")
            wait_until(lambda: holds_sound(out), "nothing was heard")
            listener.interrupt()
            assert listener.finish() == 0, listener.output
        server.wait_for("a receiver left: BYE")
        assert server.process.poll() is None
    sound, _ = read_wav(out)
    assert np.abs(sound).max() > 2000  # a tone at a quarter of full scale


@pytest.mark.parametrize("proto", ["tcp", "udp", "rtp"])
def test_ctrl_c_before_anything_came(proto, tmp_path):
    """Nothing was heard and nothing failed: 130, as of any program that Ctrl-C stopped."""
    kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
    with socket.socket(type=kind) as silent:
        silent.bind(("127.0.0.1", 0))
        if proto == "tcp":
            silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with listening(proto, address, tmp_path / "x.wav") as listener:
            listener.wait_for(f"asking {address}")
            with contextlib.ExitStack() as stack:
                if proto == "tcp":  # its HELLO came, so the session is open and has an end
                    peer = stack.enter_context(silent.accept()[0])
                    assert peer.recv(1)
                listener.interrupt()
                assert listener.finish() == 130, listener.output
    assert listener.lines[1].startswith("the stream ended: closed")
    assert listener.lines[2:] == ["nothing heard"]


@pytest.mark.sound
def test_ctrl_c_ends_a_recording(pulse, tmp_path):
    """A file that says how long it is, and is that long."""
    out = tmp_path / "voice.wav"
    with Program(f"streamer record --out {out}", env=pulse.env) as recording:
        wait_until(lambda: holds_sound(out), "nothing was recorded")
        recording.interrupt()
        assert recording.finish() == 0, recording.output
    sound, rate = read_wav(out)
    assert f"{out}: {len(sound) / rate:.2f} s" in recording.lines[-1]


def holds_sound(path: Path) -> bool:
    """More than its 44 bytes of header are on the disk."""
    return path.exists() and path.stat().st_size > 44


# The status line ----------------------------------------------------------------------------------


STATUS = (
    r"\rloss +([\d.]+)% +jitter +([\d.]+) ms +depth +(\d+) ms +underruns (\d+) +([\d.]+) kbit/s"
)


def test_a_status_line_that_lives(tmp_path):
    """On a terminal it is written over itself, twice a second; RTCP reports come beside it."""
    often = ("--report-every", 0.5)
    screen, terminal = pty.openpty()
    with (
        serving("rtp", "speech", *often) as server,
        listening(
            *("rtp", address_of(server), tmp_path / "x.wav", "--seconds", 3, *often),
            stderr=terminal,
            env=os.environ | {"COLUMNS": "100"},
        ) as listener,
    ):
        os.close(terminal)
        shown = read_to_the_end(screen)
        assert listener.finish() == 0
        reports = [line for line in server.lines if line.startswith("RTCP from the receiver")]
    status = re.findall(STATUS, shown)
    assert len(status) >= 4, shown
    loss, jitter, depth, underruns, rate = map(float, status[-1])
    assert (loss, underruns) == (0, 0)
    assert 0 < depth < 500
    assert 0 <= jitter < 20
    assert 5 < rate < 60  # Opus at 32 kbit/s, less in pauses
    assert "\nRTCP sent: lost 0.0% lately, 0 in all" in shown.replace("\r", "\n")
    # RFC 3550 section 6.2 spreads reports over 0.5 to 1.5 intervals, divided by 1.22.
    assert len(reports) >= 3
    assert "round trip" in reports[-1]


def read_to_the_end(screen: int) -> str:
    """All that is written to a terminal."""
    shown = b""
    try:
        while data := os.read(screen, 4096):
            shown += data
    except OSError:  # EIO: the other side has been closed
        pass
    os.close(screen)
    return shown.decode()

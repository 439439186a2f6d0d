"""Microphone and speaker on a real PortAudio.

PortAudio reads the environment once, when it is loaded, and keeps it: so each test that needs it
runs its half in a process of its own. Those halves are the functions below whose names do not
start with `test_`; they print what they found as JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from ctypes.util import find_library
from typing import Any

import numpy as np
import pytest

from labkit.core.ringbuffer import RingBuffer
from labkit.live.audio import Microphone, Speaker, devices
from labkit.words.errors import MissingCapability

RATE = 48_000
BLOCK = 960


@pytest.fixture(autouse=True, scope="module")
def portaudio():
    """sounddevice's wheels for Windows and macOS bring PortAudio, that for Linux does not."""
    if sys.platform == "linux" and find_library("portaudio") is None:
        miss = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        miss("not installed: PortAudio (`labkit doctor` says how)")


def child(half: Callable[[], None], env: dict[str, str]) -> subprocess.Popen[str]:
    """Run one of the functions below in a fresh Python."""
    return subprocess.Popen(
        [sys.executable, __file__, half.__name__],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # PortAudio and ALSA complain there
        text=True,
    )


def found(process: subprocess.Popen[str]) -> Any:
    """What it printed, last line, as a value."""
    out, complaints = process.communicate(timeout=30)
    assert process.returncode == 0, complaints
    return json.loads(out.splitlines()[-1])


def tell(value: object) -> None:
    """Hand a value to the test."""
    print(json.dumps(value), flush=True)


def without_sound() -> dict[str, str]:
    """An environment from which no sound server can be found."""
    hidden = {"PULSE_SERVER": "unix:/nonexistent", "PULSE_RUNTIME_PATH": "/nonexistent"}
    return os.environ | hidden | {"XDG_RUNTIME_DIR": "/nonexistent", "HOME": "/nonexistent"}


# What is played is what is recorded ----------------------------------------------------------


def round_trip() -> None:
    """One second of noise out of a speaker and into a microphone."""
    noise = np.random.default_rng(6).normal(0, 3000, (RATE, 1)).astype(np.int16)
    played, recorded = RingBuffer(RATE * 2, 1), RingBuffer(RATE * 3, 1)
    speaker = Speaker(played, RATE, 1, BLOCK)
    microphone = Microphone(recorded, RATE, 1, BLOCK)
    with microphone, speaker:
        played.write(noise)
        played.finish()
        while recorded.fill < RATE * 1.5 and not microphone.failure:
            time.sleep(0.01)
        latency = [speaker.latency, microphone.latency]
    delay, likeness = align(noise[:, 0], recorded.read(recorded.fill)[:, 0])
    xruns = speaker.xruns + microphone.xruns
    ends = speaker.latency + microphone.latency
    gone = speaker.failure or microphone.failure
    tell([likeness, delay, xruns, latency, ends, gone is None])


def align(sent: np.ndarray, heard: np.ndarray) -> tuple[int, float]:
    """How many samples later `sent` is found in `heard`, and how like it is there (1: the same)."""
    size = 1 << (len(sent) + len(heard)).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sent, size))
    delay = int(np.argmax(np.fft.irfft(product, size)[: len(heard)]))
    piece = heard[delay : delay + len(sent)]
    return delay, float(np.corrcoef(sent[: len(piece)], piece)[0, 1])


@pytest.mark.sound
def test_what_is_played_is_what_is_recorded(pulse, record_property):
    """Noise through speaker, null sink, monitor and microphone comes back unchanged, and soon."""
    likeness, delay, xruns, latency, ends, well = found(child(round_trip, pulse.env))
    record_property("round trip, ms", delay / RATE * 1000)
    print(f"round trip {delay / RATE * 1000:.0f} ms, correlation {likeness:.4f}, {xruns} xruns")
    assert likeness > 0.99
    assert xruns == 0
    assert delay < 0.3 * RATE
    assert min(latency) > 0  # while it runs
    assert ends == 0  # and when it is stopped
    assert well


# Starting and stopping ------------------------------------------------------------------------


def start_and_stop_twice() -> None:
    """Each of the verbs twice, and then everything again."""
    ring = RingBuffer(RATE, 2)
    speaker = Speaker(ring, RATE, 2, BLOCK, "pulse")
    left = []
    for _ in range(2):
        ring.write(np.ones((BLOCK * 4, 2), np.int16))
        speaker.start()
        speaker.start()
        while ring.fill:
            time.sleep(0.005)
        speaker.stop()
        speaker.stop()
        left.append(ring.fill)
    names = [device.name for device in devices()]
    tell([left, names, str(speaker.failure)])


@pytest.mark.sound
def test_starting_and_stopping_twice_does_no_harm(pulse):
    """A speaker can be started again after it was stopped, and stopping is no failure."""
    left, names, failure = found(child(start_and_stop_twice, pulse.env))
    assert left == [0, 0]
    assert "pulse" in names
    assert failure == "None"


# What can be missing --------------------------------------------------------------------------


def open_both() -> None:
    """Why a speaker and a microphone do not open, and a speaker that nobody has."""
    ring = RingBuffer(RATE, 1)
    why = []
    for stream in (
        Speaker(ring, RATE, 1, BLOCK),
        Microphone(ring, RATE, 1, BLOCK),
        Speaker(ring, RATE, 1, BLOCK, "gramophone"),
    ):
        try:
            stream.start()
        except MissingCapability as error:
            why.append([error.what, error.remedy])
    tell([why, len(devices())])


@pytest.mark.sound
def test_without_a_sound_card_the_error_names_the_next_step():
    """No device: `MissingCapability`, whose words help."""
    why, count = found(child(open_both, without_sound()))
    whats = [what for what, _ in why]
    if count:
        pytest.skip("this machine has a sound card that no environment hides")
    assert whats[0] == "there is no sound output device"
    assert whats[1] == "there is no sound input device"
    assert whats[2] == "there is no sound output device called 'gramophone'"
    assert all("labkit doctor" in remedy for _, remedy in why)


def absurd_rate() -> None:
    """A speaker that no driver can open."""
    try:
        Speaker(RingBuffer(RATE, 1), 7, 1, BLOCK).start()
    except MissingCapability as error:
        tell(error.what)


@pytest.mark.sound
def test_a_device_that_refuses_is_not_called_missing(pulse):
    """The driver's own reason is in the message."""
    what = found(child(absurd_rate, pulse.env))
    assert what.startswith("the sound output device cannot be opened: ")
    assert "sample rate" in what.lower()


def test_without_portaudio_the_error_names_the_package(monkeypatch):
    """sounddevice raises OSError when it finds no PortAudio: that becomes a sentence."""

    class NoPortAudio:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoPortAudio(), *sys.meta_path])
    with pytest.raises(MissingCapability) as caught:
        devices()
    assert "libportaudio2" in caught.value.remedy


def import_only() -> None:
    """Which modules this file has loaded."""
    tell("sounddevice" in sys.modules)


def test_importing_audio_loads_no_portaudio():
    """PortAudio is loaded when a device is first asked for."""
    assert found(child(import_only, dict(os.environ))) is False


# A device that goes away ----------------------------------------------------------------------


def play_until_it_fails() -> None:
    """Silence into a speaker, and whatever comes out of a microphone, until both are gone."""
    ring = RingBuffer(RATE, 1)
    speaker, microphone = Speaker(ring, RATE, 1, BLOCK), Microphone(ring, RATE, 1, BLOCK)
    with speaker, microphone:
        while not ring.started:
            time.sleep(0.005)
        tell("playing")
        until = time.monotonic() + 10
        while not (speaker.failure and microphone.failure) and time.monotonic() < until:
            time.sleep(0.005)
        tell([str(speaker.failure), str(microphone.failure)])


@pytest.mark.sound
def test_a_device_that_vanishes_is_reported(mortal_pulse):
    """The sound server dies in mid-stream: both ends say so, and stopping them still works."""
    process = child(play_until_it_fails, mortal_pulse.env)
    assert process.stdout.readline() == '"playing"\n'
    mortal_pulse.process.kill()
    for failure, kind in zip(found(process), ("output", "input"), strict=True):
        assert failure.startswith(f"the {kind} device went away while it was in use")


if __name__ == "__main__":
    globals()[sys.argv[1]]()

"""The whole way: a voice is served, received, played on a sound card, and recorded from it.

The card is PulseAudio's null sink; its monitor is the microphone (see tests/pulse.py).
"""

import pytest
from peers.likeness import likeness
from programs import Program, address_of, serving

from labkit.lab.sources import speech
from labkit.live.wav import WavWriter, read_wav

pytestmark = [pytest.mark.live, pytest.mark.sound]

SECONDS = 4


@pytest.fixture
def said(tmp_path):
    path = tmp_path / "said.wav"
    with WavWriter(path, 48_000, 1) as out:
        out.write(speech().samples[: SECONDS * 48_000])
    return path


def test_what_is_served_is_what_the_card_plays(pulse, said, tmp_path):
    """STOI above 0.9 through Opus, RTP, jitter buffer, playout and two sound card callbacks."""
    recorded = tmp_path / "recorded.wav"
    with (
        Program(["streamer", "record", "--out", recorded], env=pulse.env) as recorder,
        serving("rtp", said) as server,
    ):
        address = address_of(server)
        where = ("--proto", "rtp", "--addr", address, "--buffer-ms", 60)
        with Program(["receiver", "connect", *where], env=pulse.env) as receiver:
            assert receiver.finish() == 0, receiver.output
        assert server.finish() == 0, server.output
        recorder.interrupt()
        assert recorder.finish() == 0, recorder.output
    assert "the stream ended: BYE" in receiver.output
    found = likeness(said, recorded)
    print(f"\nSTOI {found.stoi:.3f}")
    assert found.seconds > SECONDS - 0.2
    assert found.stoi > 0.9


def test_a_microphone_is_served(pulse, tmp_path):
    """The default source of `streamer serve` is the microphone: here it hears nothing, in time."""
    heard = tmp_path / "heard.wav"
    with Program(
        "streamer serve --proto udp --port 0 --codec pcm --max-clients 1", env=pulse.env
    ) as server:
        address = address_of(server)
        where = ("--proto", "udp", "--addr", address, "--no-sound", "--out", heard)
        with Program(["receiver", "connect", *where, "--seconds", 2]) as receiver:
            assert receiver.finish() == 0, receiver.output
        server.interrupt()
        assert server.finish() == 0, server.output
    sound, rate = read_wav(heard)
    assert 1.2 * rate < len(sound) < 2.1 * rate
    assert "0 missing" in receiver.lines[-1]


def test_a_file_is_played(pulse, said):
    """`receiver play` plays it in its own time, without a gap."""
    with Program(["receiver", "play", said, "--buffer-ms", 80], env=pulse.env) as player:
        assert player.finish() == 0, player.output
    assert "4.0 s, 48000 Hz, 1 channel" in player.lines[0]
    assert player.lines[-1].startswith("buffer 80 ms: 0 underruns (0 ms of silence)")

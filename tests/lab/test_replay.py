"""A capture is heard again as the call was, and no file brings a traceback."""

import asyncio
import random
import subprocess
import tracemalloc

import numpy as np
import pytest

from labkit.cli import labkit as command
from labkit.codec.g711 import Pcmu
from labkit.codec.g722 import G722
from labkit.codec.opus import Opus
from labkit.codec.pcm import Pcm
from labkit.core import quality
from labkit.core.delaypolicy import Adaptive, Fixed
from labkit.core.naive import NaiveBuffer
from labkit.core.timeline import Fate
from labkit.lab import capturefile
from labkit.lab.call import Call
from labkit.lab.captures import describe
from labkit.lab.recording import steady
from labkit.lab.replay import Replay
from labkit.lab.sources import speech
from labkit.live.wav import read_wav
from labkit.words.errors import BadInput, Encrypted
from labkit.words.units import ms


def call(codec, tmp_path, *, link="voip-10", at="arrived", **parts):
    """A call in virtual time, and its capture at the listener."""
    result = Call(speech(), codec=codec, link=link, seed=7, **parts).simulate(capture=True)
    return result, result.save_pcapng(tmp_path / "call.pcapng", at)


@pytest.fixture(scope="module")
def opus_call(tmp_path_factory):
    return call(Opus(32_000, fec=True), tmp_path_factory.mktemp("opus"))


def frames(heard):
    """The sound of each turn that has a place in the stream."""
    return {h.timestamp: h.samples for h in heard if h.timestamp is not None}


@pytest.mark.parametrize("codec", [Opus(32_000, fec=True), Pcmu(), G722(), Pcm(16_000)])
@pytest.mark.parametrize("policy", [Fixed(ms(150)), Adaptive()])
def test_the_replay_sounds_as_the_call_did(tmp_path, codec, policy):
    """Same packets, same times, same buffer: nearly every frame is the same to the sample.

    Only the beginning differs: a session holds back the first packets until two follow each other.
    """
    result, path = call(codec, tmp_path, policy=type(policy)(*[ms(150)][: "Fixed" in repr(policy)]))
    replayed = Replay(path).play(policy=policy, codec=codec)
    said, heard = frames(result.heard), frames(replayed.heard)
    assert len(said.keys() & heard.keys()) > 0.97 * len(said)
    same = [np.array_equal(said[t], heard[t]) for t in said.keys() & heard.keys()]
    assert np.mean(same) > 0.9  # G.722 remembers a lost packet for a while
    assert replayed.unheard == pytest.approx(result.unheard, abs=0.01)
    assert replayed.timeline.count(Fate.LOST) == pytest.approx(
        result.timeline.count(Fate.LOST), abs=2
    )


def test_a_longer_buffer_loses_less_and_takes_longer(opus_call):
    replay = Replay(opus_call[1])
    results = [replay.play(policy=Fixed(ms(delay))) for delay in (20, 60, 150)]
    late = [result.timeline.count(Fate.LATE) for result in results]
    assert late[0] > late[1] > late[2]
    assert results[0].delay_ms < results[1].delay_ms < results[2].delay_ms


def test_delays_are_over_that_of_the_fastest_packet(opus_call):
    """And so a fixed buffer that is long enough adds itself."""
    result = Replay(opus_call[1]).play(policy=Fixed(ms(200)))
    assert result.timeline.network_delay_ms().min() == 0
    assert result.delay_ms == pytest.approx(200, abs=10)


def test_any_buffer_can_be_yours(opus_call):
    replay = Replay(opus_call[1])
    for buffer in (NaiveBuffer, NaiveBuffer(), lambda: NaiveBuffer()):
        assert len(replay.play(buffer=buffer).audio) > 10 * 48_000


def test_what_comes_of_it_can_be_seen_heard_and_kept(opus_call, tmp_path):
    result = Replay(opus_call[1]).play()
    assert "76 lost" in str(result)
    assert result.show().png().startswith(b"\x89PNG")
    assert "audio" in result.listen()._repr_html_()
    samples, rate = read_wav(result.save_wav(tmp_path / "x.wav"))
    assert rate == 48_000
    assert np.array_equal(samples, result.audio)


def test_the_table_names_streams_and_everything_else(opus_call):
    text = str(Replay(opus_call[1]))
    assert "722 packets, 1 RTP stream\n" in text
    assert "opus/48000" in text
    assert "76 (9.6%)" in text
    assert text.count("RTCP: ") == 2
    assert "<table>" in Replay(opus_call[1])._repr_html_()


def test_the_sliders_replay_the_same_packets(opus_call):
    lab = Replay(opus_call[1]).explore()
    before = lab.picture.value
    lab.buffer.value = 200
    assert lab.picture.value != before
    assert lab.result.timeline.count(Fate.LATE) == 0
    lab.adaptive.value = True
    assert lab.buffer.disabled
    assert "lost" in lab.report.value


# Files that are none ----------------------------------------------------------------------------


def test_a_file_cut_off_in_a_packet_is_played_up_to_there(opus_call, tmp_path):
    data = opus_call[1].read_bytes()
    (tmp_path / "cut").write_bytes(data[: len(data) // 2])
    replay = Replay(tmp_path / "cut")
    assert replay.note.startswith(f"{replay.packets} packets read")
    assert f"packet {replay.packets + 1} at byte" in replay.note
    assert replay.note in str(replay)
    assert len(replay.play().audio) > 5 * 48_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\x0a\x0d\x0d", "only 3 bytes"),
        (b"RIFF....WAVE", "neither a pcap nor a pcapng"),
        (random.Random(1).randbytes(5_000), "neither"),
        (b"\x1f\x8b\x08\x00", "gzip -d"),
    ],
)
def test_what_is_no_capture_is_refused_by_name(tmp_path, content, said):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(BadInput, match=said) as caught:
        Replay(tmp_path / "x")
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["nothing", "."])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(BadInput, match="cannot read"):
        Replay(tmp_path / name)


def test_no_damage_to_a_good_capture_brings_a_traceback(opus_call, tmp_path):
    """Bits flipped, bytes missing, bytes doubled: a result, a part of one, or a named error."""
    good = opus_call[1].read_bytes()
    rng = random.Random(5)
    outcomes = set()
    for _ in range(80):
        data = bytearray(good)
        for _ in range(rng.choice([1, 5, 200])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.3:
            at = rng.randrange(len(data))
            del data[at : at + rng.randrange(100)]
        (tmp_path / "x").write_bytes(data)
        try:
            replay = Replay(tmp_path / "x")
            outcomes.add("partial" if replay.note else "whole")
            if replay.streams:
                replay.play()
        except BadInput:
            outcomes.add("refused")
    assert outcomes == {"partial", "whole", "refused"}


def test_one_wrong_time_makes_nobody_wait_for_years():
    times = [5, 20, 40, 10**18, 60, 80, 75]
    assert steady([t * 10**9 for t in times]) == [t * 10**9 for t in [0, 15, 35, 35, 35, 55, 50]]
    assert steady([]) == []


def test_a_payload_type_that_nobody_explains(tmp_path):
    """The clock of speech at 16 kHz is none of ours."""
    _, path = call(Pcm(16_000), tmp_path)
    replay = Replay(path)
    assert "type 98, about 16000 Hz" in str(replay)
    with pytest.raises(BadInput, match="nothing in the capture says what payload type 98 is"):
        replay.play()
    assert len(replay.play(codec=Pcm(16_000)).audio) > 10 * 16_000


def test_streams_that_are_not_there(opus_call, tmp_path):
    with pytest.raises(BadInput, match="no stream 3"):
        Replay(opus_call[1]).play(3)
    _, path = call(Pcmu(), tmp_path, transport="udp", link="clear")
    replay = Replay(path)
    assert "labkit datagram" in str(replay)
    assert "no RTP stream" in str(replay)
    with pytest.raises(BadInput, match="no RTP stream"):
        replay.play()


@pytest.mark.peer
def test_a_capture_that_kept_only_the_headers(opus_call, tmp_path, need):
    need("editcap")
    subprocess.run(["editcap", "-s", "60", opus_call[1], tmp_path / "x"], check=True)
    replay = Replay(tmp_path / "x")
    assert replay.streams[0].counts.packets == 713
    with pytest.raises(BadInput, match="not kept whole"):
        replay.play()


@pytest.mark.peer
def test_sdp_in_a_comment_of_the_capture(tmp_path, need):
    """Written by editcap; type 98 is then known."""
    from labkit.wire import sdp

    need("editcap")
    _, path = call(Pcm(16_000), tmp_path)
    text = sdp.describe(Pcm(16_000).format, host="10.0.0.2", port=5006)
    subprocess.run(["editcap", "--capture-comment", text, path, tmp_path / "x"], check=True)
    assert len(Replay(tmp_path / "x").play().audio) > 10 * 16_000


def test_memory_does_not_grow_with_the_file(opus_call, tmp_path, monkeypatch):
    """Sixteen times the file, section after section, and the same peak."""
    monkeypatch.setattr(capturefile, "PIECE", 1 << 16)
    data = opus_call[1].read_bytes()
    peaks = []
    for times in (8, 128):
        (tmp_path / "x").write_bytes(data * times)
        tracemalloc.start()
        replay = Replay(tmp_path / "x", timeline=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert replay.packets == 722 * times
    assert peaks[1] < 1.1 * peaks[0] < len(data) * 16


def test_progress_is_told_in_bytes(opus_call, monkeypatch):
    monkeypatch.setattr(capturefile, "PIECE", 10_000)
    told = []
    Replay(opus_call[1], progress=lambda done, size: told.append((done, size)))
    size = opus_call[1].stat().st_size
    assert [done for done, _ in told] == [*range(10_000, size, 10_000), size]
    assert {of for _, of in told} == {size}


# The command ------------------------------------------------------------------------------------


def test_the_command_lists_plays_and_writes(opus_call, tmp_path, capsys):
    out = tmp_path / "voice.wav"
    path = str(opus_call[1])
    assert command.main(["replay", path, "--list"]) == 0
    assert "76 (9.6%)" in capsys.readouterr().out
    assert command.main(["replay", path, "--buffer-ms", "40", "--out", str(out)]) == 0
    assert "too late" in capsys.readouterr().out
    assert read_wav(out)[1] == 48_000


def test_the_command_refuses_in_a_line(tmp_path, capsys):
    (tmp_path / "x").write_bytes(b"nonsense")
    assert command.main(["replay", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err
    assert "try:" in said
    assert "Traceback" not in said


def test_a_voice_in_srtp_is_listed_and_not_played(capsys):
    """By name, with the next step; and the same voice beside it, in the clear, is played."""
    replay = Replay(describe("12_srtp").path)
    assert [bool(why) for why in replay.protections] == [True, False]
    assert "SRTP: opus/48000" in str(replay)
    with pytest.raises(Encrypted, match=r"stream 0 is SRTP.*its reports are SRTCP"):
        replay.play(0)
    plain = replay.play(1)
    assert plain.unheard < 0.01
    noise = replay.play(0, codec=plain.codec)  # who insists hears what a stranger hears
    length = min(len(plain.audio), len(noise.audio))
    voice, strange = (each.audio[:length] for each in (plain, noise))
    assert quality.stoi(voice, strange, 48_000) < 0.3
    assert command.main(["replay", str(describe("12_dtls_srtp").path)]) == 2
    assert "stream 0 is SRTP" in capsys.readouterr().err


def test_what_a_group_gets_is_played():
    """Multicast and the three copies by unicast: the same voice."""
    replay = Replay(describe("10_multicast").path)
    assert [stream.flow.destination[0] for stream in replay.streams].count("239.9.0.1") == 1
    assert len(replay.streams) == 4
    for number in range(4):
        assert replay.play(number).unheard < 0.05


def test_a_capture_without_streams_is_an_answer(tmp_path, capsys):
    _, path = call(Pcmu(), tmp_path, transport="udp", link="clear")
    assert command.main(["replay", str(path)]) == 1
    assert "no RTP stream" in capsys.readouterr().out


def test_the_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        command.main(["replay", "--help"])
    assert "labkit replay call.pcapng --send 127.0.0.1:5004" in capsys.readouterr().out


@pytest.mark.live
def test_the_packets_go_onto_the_wire_again(opus_call, tmp_path):
    """A receiver on a real socket hears what the capture holds."""
    replay = Replay(opus_call[1])
    replay._raw[0] = replay.raw()[:40]

    async def send():
        loop = asyncio.get_running_loop()
        came = []
        done = asyncio.Event()

        class Ear(asyncio.DatagramProtocol):
            def datagram_received(self, data, addr):
                came.append((loop.time(), data))
                if len(came) == 40:
                    done.set()

        transport, _ = await loop.create_datagram_endpoint(Ear, local_addr=("127.0.0.1", 0))
        sending = await replay.send(0, transport.get_extra_info("sockname"))
        await done.wait()
        transport.close()
        return came, sending

    came, sending = asyncio.run(send())
    assert [data for _, data in came] == [raw.data for raw in replay.raw()]
    assert (sending.packets, sending.refused) == (40, 0)
    took = came[-1][0] - came[0][0]
    wanted = (replay.raw()[-1].time - replay.raw()[0].time) / 1e9
    assert took == pytest.approx(wanted, abs=0.2)

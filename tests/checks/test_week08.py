"""What week 8 expects, held against the kit, RFC 6716 and programs that we did not write."""

import shutil
import subprocess
from itertools import pairwise
from random import Random

import pytest

from labkit.checks import week08
from labkit.checks.exercise import find
from labkit.checks.opusvoice import Scene, Voiced, packets_of
from labkit.checks.subject import InProcess
from labkit.lab.answers import ANSWERS
from labkit.lab.captures import capture
from labkit.resources import captures_folder
from labkit.wire import opus_toc, sdp
from labkit.words.seqnum import add16


def test_the_table_is_the_one_that_the_kit_reads_with():
    for byte in range(256):
        toc = opus_toc.parse(bytes([byte]))
        mode, band, length = week08.TABLE[byte >> 3]
        assert (toc.mode.value, toc.bandwidth.name, toc.frame_duration) == (mode, band, length * 48)
        assert week08.toc(toc.config, toc.code, int(toc.stereo)) == byte


@pytest.mark.parametrize("code", range(4))
def test_packets_called_legal_are_legal_and_last_as_long(code):
    rng = Random(code)
    for config in range(32):
        length = week08.TABLE[config][2]
        count = (1, 2, 2, rng.randrange(1, int(min(120 // length, 30)) + 1))[code]
        payload = week08._packed(rng, config, code, count)
        assert opus_toc.duration(payload) == count * length * 48


def test_the_kit_agrees_on_what_is_legal_if_only_just():
    """And on what is not: the check is run on the kit's own parser."""

    def duration(payload):
        return opus_toc.duration(payload) / 48

    def read_toc(byte):
        toc = opus_toc.parse(bytes([byte]))
        ms = toc.frame_duration / 48
        return toc.mode.value, toc.bandwidth.name, ms, int(toc.stereo) + 1, toc.code

    report = find("08.1").run(InProcess({"read_toc": read_toc, "duration": duration}))
    assert report.passed, str(report)


def test_the_flag_is_where_the_kit_reads_it():
    rng = Random(8)
    for copy in (True, False) * 20:
        assert opus_toc.has_fec(week08.payload_with(rng, copy=copy)) is copy
    for config in week08.CELT:
        assert not opus_toc.has_fec(week08.payload_with(rng, copy=True, config=config))


def test_rates_and_pauses_are_those_of_the_captures_questions():
    """Two ways to the same figures: the check's, and that of `labkit.lab.answers`."""
    (dtx,) = packets_of("08_opus_dtx")
    traffic = capture("08_opus_dtx")
    assert week08.rate_of(dtx, 0) == pytest.approx(ANSWERS["payload_bitrate"](traffic).value)
    assert max(week08.pauses_of(dtx)) == ANSWERS["pause_in_speech"](traffic).value
    pcm, opus = packets_of("08_pcm_beside_opus")
    saved = ANSWERS["codec_saves_on_the_wire"](capture("08_pcm_beside_opus")).value
    assert week08.rate_of(pcm, 40) / week08.rate_of(opus, 40) == pytest.approx(saved)


@pytest.mark.peer
def test_tshark_finds_the_same_packets(need):
    need("tshark")
    path = captures_folder() / "08_opus_dtx.pcapng"
    fields = ("rtp.seq", "rtp.timestamp", "rtp.marker", "udp.length")
    command = [shutil.which("tshark"), "-r", str(path), "-d", "udp.port==5000,rtp", "-Y", "rtp",
               "-T", "fields", *(word for name in fields for word in ("-e", name))]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    seen = [Voiced(int(s), int(t), m in ("1", "True"), int(n) - 20) for s, t, m, n in rows]
    assert seen == packets_of("08_opus_dtx")[0]


def test_descriptions_mean_to_the_kit_what_they_mean_to_the_check():
    """The kit reads the number that is preferred: so each is put first in its turn."""
    for seed in range(6):
        made = week08.Described(Random(seed), static=True, video=bool(seed % 2), eol="\r\n")
        (media,) = (line for line in made.text.splitlines() if line.startswith("m=audio"))
        head, numbers = media.split()[:3], media.split()[3:]
        for number, (name, rate, channels) in made.types.items():
            first = " ".join([*head, str(number), *(n for n in numbers if n != str(number))])
            found = sdp.parse(made.text.replace(media, first)).audio
            assert (found.encoding.lower(), found.clock_rate) == (name, rate)
            assert found.channels == channels
            assert dict(found.parameters) == made.settings.get(number, {})


def test_lines_are_worth_a_decode_loop():
    """On each there is something to win with copies, and something is lost across the wrap."""
    for seed in range(week08.SCENES):
        scene = Scene(seed)
        assert scene.best - week08.ROOM > scene.without_copies + 0.02
        seqs = [packet.seq for packet, _ in scene.turns if packet]
        assert min(seqs) < 200 < 65_000 < max(seqs)
        assert any(b != add16(a, 1) for a, b in pairwise(seqs))

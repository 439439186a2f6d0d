"""A crowd: one voice, a line for each listener, and what becomes of who is slow."""

import asyncio

import numpy as np
import pytest

from labkit import Opus, Pcm, link, speech
from labkit.core.flowcontrol import Drop, SendQueue
from labkit.lab.crowd import NEVER_READS, Crowd, NeverReads, OneQueue
from labkit.lab.crowdlab import CrowdLab
from labkit.wire.pcapreader import CaptureReader
from labkit.words.errors import BadInput
from labkit.words.units import ms

THIN = link("thin", delay="20ms", rate="30kbit")
LINES = {"ann": "lan", "ben": "lan", "dora": THIN}


@pytest.fixture(scope="module")
def each():
    return Crowd(LINES, seed=7).simulate()


def test_no_fast_listener_suffers_for_a_slow_one(each):
    """Frame by frame, the fast ones hear what they would hear without her."""
    alone = Crowd({"ann": "lan", "ben": "lan"}, seed=7).simulate()
    for name in ("ann", "ben"):
        assert each[name].unheard == 0
        assert np.array_equal(each[name].audio, alone[name].audio)
        assert each.dropped(name) == 0
    assert each.apart("ann", "ben").max() < 50


def test_the_slow_one_has_a_bounded_queue(each):
    assert each.most_queued("dora") == 50
    assert each.dropped("dora") > 100
    assert 0.3 < each["dora"].unheard < 0.6
    assert len(each.samples["dora"]) > 150


def test_one_queue_for_all_makes_everybody_wait(each):
    together = Crowd(LINES, server=OneQueue, seed=7).simulate()
    assert together["ann"].unheard == 0
    assert together.delays("ann").max() > 3000
    assert each.delays("ann").max() < 150


@pytest.mark.parametrize("drop", Drop)
def test_the_queue_is_anybodys(drop):
    made = []

    def make():
        made.append(SendQueue(20, drop))
        return made[-1]

    result = Crowd(LINES, speech(5), queue=make, seed=7).simulate()
    assert len(made) == 3
    assert result.most_queued("dora") == 20
    assert sum(queue.dropped for queue in made) == result.dropped("dora") > 0


def test_who_never_reads_costs_a_queue_and_no_more():
    result = Crowd({"ann": "lan", "eve": NEVER_READS}, speech(3.3), seed=7).simulate()
    assert result.most_queued("eve") == 50
    assert result["ann"].unheard == 0
    assert "nothing" in str(result)
    with pytest.raises(BadInput, match="nobody called 'eve'"):
        result["eve"]


def test_with_bitrates_the_slow_one_hears_most():
    """Over datagrams: the voice of 64 kbit/s is too much for her line, and 16 are not."""
    thin = {"ann": "lan", "dora": link("thin", delay="20ms", rate="40kbit", limit=100)}
    wide, adapted = (
        Crowd(thin, transport="rtp", bitrates=bitrates, seed=7).simulate()
        for bitrates in ((64_000,), (64_000, 32_000, 16_000))
    )
    assert wide["dora"].unheard > 0.9
    assert adapted["dora"].unheard < 0.1
    assert wide["ann"].unheard == adapted["ann"].unheard == 0


def test_there_are_so_many_seats():
    result = Crowd(LINES, speech(3.3), max_clients=2, seed=7).simulate()
    assert result.refused == {"no room": 1}
    assert not result["dora"].heard


def test_everything_that_crossed_is_a_capture(tmp_path):
    lines = {"ann": "lan", "ben": "lan"}
    result = Crowd(lines, speech(1), transport="rtp", seed=7).simulate(capture=True)
    reader = CaptureReader()
    records = reader.receive(result.save_pcapng(tmp_path / "crowd.pcapng").read_bytes())
    assert reader.error is None
    assert len(records.time) > 100
    with pytest.raises(BadInput, match="was not captured"):
        Crowd(lines, speech(1)).simulate().save_pcapng(tmp_path / "none.pcapng")


def test_the_same_seed_is_the_same_crowd(each):
    again = Crowd(LINES, seed=7).simulate()
    assert again.samples == each.samples
    assert np.array_equal(again["dora"].audio, each["dora"].audio)


def test_a_picture_says_in_words_what_it_shows(each):
    picture = each.show(["dora"])
    assert picture.alt.startswith("dora: at most 50 queued, lag ")
    assert picture.png().startswith(b"\x89PNG")


def test_what_cannot_be_is_refused():
    with pytest.raises(BadInput, match="tcp or rtp"):
        Crowd(LINES, transport="pigeon")
    with pytest.raises(BadInput, match="over datagrams"):
        Crowd({"eve": NEVER_READS}, transport="rtp")


def test_who_never_reads_says_that_it_is_there():
    eve = NeverReads()
    eve.tick(0)
    eve.receive_data(b"sound", 1)
    assert len(eve.transmits()) == 1
    assert eve.transmits() == eve.events() == []
    assert eve.deadline() == ms(2000)


def test_the_sliders_make_another_crowd():
    lab = CrowdLab(speech(3.3), rate=16, queue=20)
    assert lab.result.dropped("Dora") > 0
    before = lab.picture.value, lab.sounds["Ann"].value
    lab.shared.value = True
    assert lab.result.dropped("Dora") == 0
    assert (lab.picture.value, lab.sounds["Ann"].value) != before
    lab.drop.value = "all before a key point"
    assert lab.heard["Ann"].value.startswith("Ann: 100% heard, up to")


@pytest.mark.live
@pytest.mark.parametrize("transport", ["tcp", "rtp"])
def test_a_crowd_on_real_sockets(transport):
    """A second of sound; whoever never reads holds nobody up."""
    lines = {"ann": "clear", "ben": link("near", delay="5ms")}
    if transport == "tcp":
        lines["eve"] = NEVER_READS
    codec = Pcm() if transport == "tcp" else Opus(32_000)
    result = asyncio.run(Crowd(lines, speech(1), codec, transport, seed=7).run())
    for name in ("ann", "ben"):
        assert 1 - result[name].unheard > 0.8
        assert result.dropped(name) == 0
    assert len(result.apart("ann", "ben")) > 25
    assert result.samples["ann"]

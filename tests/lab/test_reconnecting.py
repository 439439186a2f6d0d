"""A listener and a server that comes back: what a follower is told, and what its answers do."""

import asyncio

import numpy as np
import pytest

from labkit.lab.followers import Death, GivesUp, Hasty, Outage, Patient
from labkit.lab.reconnecting import follow
from labkit.lab.reconnectingpicture import lifelines
from labkit.lab.restarting import follow_live
from labkit.lab.sources import speech
from labkit.words.errors import BadInput

CLIP = speech(2.0)


class Told(Patient):
    """Writes down what it is told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def opened(self):
        if hasattr(self, "told"):
            self.told.append("opened")
        super().opened()

    def fin(self, draw):
        self.told.append("fin")
        return super().fin(draw)

    def rst(self, draw):
        self.told.append("rst")
        return super().rst(draw)


def test_a_stream_without_an_outage_ends_once():
    follower = Told()
    run = follow(follower, [], clip=CLIP, seed=1)
    assert follower.told == ["opened", "fin"]
    assert run.missed == 0
    assert len(run.attempts) == 1
    assert run.log[-1].endswith("FIN: that was all")


@pytest.mark.parametrize("how", [Death.FIN, Death.MID_FRAME, Death.RST])
def test_a_patient_listener_survives_every_death(how):
    follower = Told()
    run = follow(follower, [Outage(0.6, 1.1, how)], clip=CLIP, seed=2)
    assert follower.told == ["opened", "rst" if how is Death.RST else "fin", "opened", "fin"]
    (back,) = run.back_after
    assert 0 <= back <= 0.9
    assert run.attempts_in(run.outages[0]) <= 6
    heard = np.array(run.sound)
    assert not ((heard > 0.65) & (heard < 1.1)).any()
    assert abs(len(run.result.audio) / 48_000 - 2.0) < 0.3, "no time is cut out of the sound"


def test_a_short_cut_is_nobodys_affair_but_tcps():
    follower = Told()
    run = follow(follower, [Outage(0.6, 1.1, Death.CUT)], clip=CLIP, seed=2)
    assert follower.told == ["opened", "fin"]
    assert run.result.timeline.lost == 0, "TCP loses nothing"
    (back,) = run.back_after
    assert back < 0.01


def test_a_long_cut_is_noticed_by_its_silence():
    follower = Told()
    run = follow(follower, [Outage(0.6, 2.6, Death.CUT)], clip=speech(4.0), seed=2)
    assert follower.told == ["opened", "rst", "opened", "fin"]
    waits = [each for each in run.attempts if 0.6 < each.second < 2.6]
    assert waits
    assert not any(each.worked for each in waits)
    assert waits[0].second > 1.6, "a second of silence"
    (back,) = run.back_after
    assert 0 <= back < 1.4


def test_who_takes_every_end_for_the_end_hears_no_more():
    run = follow(GivesUp(), [Outage(0.6, 1.1)], clip=CLIP, seed=2)
    assert run.back_after == [None]
    assert run.missed == pytest.approx(0.7, abs=0.05)
    assert "never" in str(run)


def test_a_busy_server_wears_nobody_out_but_the_hasty():
    outage = Outage(0.4, 0.8, busy=1.2)
    patient, hasty = (
        follow(each, [outage], clip=CLIP, link="wifi", seed=3) for each in (Patient(), Hasty())
    )
    assert patient.attempts_in(outage) < hasty.attempts_in(outage) / 4
    assert any(each.worked for each in patient.attempts[1:])
    picture = lifelines([patient, hasty])
    assert "Patient" in picture.alt
    assert picture.png()


def test_the_same_seed_is_the_same_run():
    runs = [follow(Patient(), [Outage(0.6, 1.1)], clip=CLIP, seed=4) for _ in range(2)]
    assert runs[0].log == runs[1].log
    assert runs[0].sound == runs[1].sound


class Odd(Patient):
    def refused(self, draw):
        return "soon"


def test_an_answer_that_is_none_is_told():
    with pytest.raises(BadInput, match="'soon'"):
        follow(Odd(), [Outage(0.6, 1.1)], clip=CLIP)


@pytest.mark.live
def test_on_real_sockets_a_restart_is_survived():
    run = asyncio.run(follow_live(Patient(), [Outage(0.5, 0.8)], clip=CLIP, seed=5))
    assert run.attempts[0].worked
    assert run.back_after[0] is not None
    assert run.log[-1].endswith("FIN: that was all")
    assert run.result.heard

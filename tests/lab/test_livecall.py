"""The same objects in virtual time and on real sockets: the same decisions."""

import asyncio

import numpy as np
import pytest

from labkit.codec import Blank, Opus
from labkit.core.delaypolicy import Fixed
from labkit.core.source import Clip
from labkit.core.timeline import Fate
from labkit.lab.call import Call
from labkit.lab.result import Result
from labkit.lab.sources import speech
from labkit.live.loop import run
from labkit.words.units import ms

pytestmark = pytest.mark.live

SECONDS = 5
CALLS = {
    "voip-10, adaptive": ("voip-10", None),
    "wifi-busy, adaptive": ("wifi-busy", None),
    "voip-10, fixed": ("voip-10", Fixed(ms(120))),
}


@pytest.fixture(scope="module")
def twice() -> dict[str, tuple[Result, Result]]:
    """Each call in virtual time, and live; the live ones all at once."""
    clip = Clip(speech().samples[: SECONDS * 48_000])
    calls = {
        name: Call(clip, codec=Blank(), link=link, policy=policy, seed=5)
        for name, (link, policy) in CALLS.items()
    }

    async def run_all() -> list[Result]:
        return await asyncio.gather(*(call.run() for call in calls.values()))

    simulated = [call.simulate() for call in calls.values()]
    return dict(zip(calls, zip(simulated, run(run_all()), strict=True), strict=True))


@pytest.mark.parametrize("name", CALLS)
def test_the_same_packets_are_lost_played_and_late(twice, name):
    """What the network loses is the same set. What is late may differ by the little that a real
    event loop is late itself: of a hundred packets at most two."""
    simulated, live = (result.timeline for result in twice[name])
    assert live.seq.tolist() == simulated.seq.tolist()
    fates = np.stack([simulated.fate, live.fate])
    lost = fates == Fate.LOST
    same = float(np.mean(fates[0] == fates[1]))
    late = (fates == Fate.LATE).sum(axis=1)
    print(f"\n{name}: {same:.1%} alike; lost {lost.sum(axis=1)}, late {late}")
    assert np.array_equal(lost[0], lost[1])
    assert lost[0].sum() > 0
    assert same >= 0.98


def test_over_tcp_nothing_is_lost_in_either():
    clip = Clip(speech().samples[: 2 * 48_000])
    call = Call(clip, codec=Blank(), link="wifi", transport="tcp", seed=5)
    for result in (call.simulate(), asyncio.run(call.run())):
        assert len(result.timeline) == 100
        assert result.timeline.lost == 0
        assert result.unheard < 0.05


def test_what_a_students_buffer_raises_comes_out_of_the_call():
    """At once, with its own traceback, not after half a minute of silence."""

    class Wrong:
        def push(self, packet, now):
            return {}["no such packet"]

        def pull(self, now):
            return None

    clip = Clip(speech().samples[:48_000])
    for transport in ("rtp", "tcp"):
        call = Call(clip, codec=Opus(), jitter_buffer=Wrong, transport=transport)
        with pytest.raises(KeyError, match="no such packet"):
            asyncio.run(asyncio.wait_for(call.run(), 5))

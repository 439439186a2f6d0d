"""Calls over WebSocket, with TLS and without: the same layers in virtual time and live."""

import asyncio

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.core.source import Clip
from labkit.core.timeline import Fate
from labkit.lab.call import Call
from labkit.lab.sources import speech

SECOND = Clip(speech().samples[:48_000])


@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_a_seed_decides_when_every_packet_arrives(transport):
    """The keys of TLS are drawn by chance, in virtual time too; only lengths count here."""
    call = Call(SECOND, codec=Blank(), link="wifi-busy", transport=transport, seed=3)
    first, second = call.simulate(), call.simulate()
    for column in ("seq", "sent", "arrived", "played"):
        assert np.array_equal(getattr(first.timeline, column), getattr(second.timeline, column))
    assert np.array_equal(first.heard[0].played, second.heard[0].played)
    assert (first.timeline.fate != Fate.LOST).all()


def test_what_each_layer_costs_is_a_later_first_word():
    """A round trip for TCP's payload each: HELLO; upgrade, HELLO; TLS, upgrade, HELLO."""
    joined = []
    for transport in ("tcp", "ws", "wss"):
        result = Call(SECOND, codec=Blank(), link="clear", transport=transport).simulate()
        joined.append(int(result.timeline.sent[0]))
    profile = Call(SECOND, codec=Blank()).profile
    round_trip = profile.up.delay + profile.down.delay
    steps = np.diff(joined)
    assert steps == pytest.approx([round_trip, round_trip], abs=2_000_000)


@pytest.mark.live
@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_live_it_is_the_same_call(transport):
    result = asyncio.run(Call(SECOND, codec=Blank(), link="clear", transport=transport).run())
    assert len(result.timeline) == 50
    assert (result.timeline.fate == Fate.PLAYED).all()

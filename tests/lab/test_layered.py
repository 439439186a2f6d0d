"""Calls over WebSocket, with TLS and without: the same layers in virtual time and live."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from labkit.codec import Blank
from labkit.core.source import Clip
from labkit.core.timeline import Fate
from labkit.lab.call import Call
from labkit.lab.sources import speech
from labkit.resources import load_profile
from labkit.words.linkspec import LinkSpec
from labkit.words.units import ms

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
    """A round trip each: HELLO alone; upgrade and HELLO; TLS, upgrade and HELLO."""
    link = replace(load_profile("clear"), up=LinkSpec(delay=ms(20)), down=LinkSpec(delay=ms(30)))
    begun = []
    for transport in ("tcp", "ws", "wss"):
        result = Call(SECOND, codec=Blank(), link=link, transport=transport).simulate()
        begun.append(int(result.timeline.captured[0]))
    assert begun == [ms(20), ms(70), ms(120)]


@pytest.mark.live
@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_live_it_is_the_same_call(transport):
    result = asyncio.run(Call(SECOND, codec=Blank(), link="clear", transport=transport).run())
    assert len(result.timeline) == 50
    assert (result.timeline.fate == Fate.PLAYED).all()

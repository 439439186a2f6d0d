"""A call over QUIC: the same parts, in virtual time and on real sockets."""

import asyncio

import pytest

from labkit.codec import Blank
from labkit.core.source import Clip
from labkit.lab.call import Call
from labkit.lab.quic import QUIC
from labkit.lab.sources import speech


@pytest.mark.parametrize("transport", QUIC)
def test_the_same_seed_the_same_call(transport):
    """Audio and timing, sample for sample, though no byte on the wire is the same."""
    clip = speech(until=3.3)
    first, again = (
        Call(clip, transport=transport, link="voip-5", seed=3).simulate() for _ in range(2)
    )
    assert (first.audio == again.audio).all()
    assert first.received_trace.entries == again.received_trace.entries
    assert first.transport == transport


def test_datagrams_lose_what_streams_make_late():
    calls = {
        name: Call(speech(until=7.5), Blank(), transport=name, link="voip-10", seed=4).simulate()
        for name in QUIC
    }
    assert calls["quic"].timeline.arrived.min() < 0 < calls["quic-streams"].timeline.arrived.min()
    assert calls["quic-stream"].timeline.arrived.min() > 0


@pytest.mark.live
@pytest.mark.parametrize("transport", ["quic", "quic-streams"])
def test_on_real_sockets(transport):
    clip = Clip(speech().samples[:24_000])
    result = asyncio.run(Call(clip, Blank(), transport=transport, link="lan").run())
    assert result.unheard < 0.1
    assert len(result.timeline) == 25

"""Somebody on the line, and figures over time."""

import asyncio

import pytest

from labkit.lab.call import Call
from labkit.lab.links import link
from labkit.lab.operating import alerts, attack, observe, scrape
from labkit.lab.players import opens_our_srtp
from labkit.lab.sources import speech
from labkit.words.errors import BadInput


def test_an_intruder_is_heard_over_rtp_and_not_over_srtp():
    plain, sealed = attack("rtp"), attack("srtp")
    assert plain.refused == {}
    assert sealed.refused == {"not authentic": 100, "replayed": 10}
    assert plain.result.stoi < 0.95 < sealed.result.stoi
    with pytest.raises(BadInput, match="quic"):
        attack("quic")


def test_figures_are_those_of_the_call():
    call = Call(speech(7.5), link=link("a bad line", loss="10%"), seed=7)
    moments = observe(call)
    assert 6 <= len(moments) <= 9
    lost = sum(m.loss * m.packets for m in moments if m.loss is not None) / 100
    assert 20 < lost < 60
    assert alerts(moments, "loss", above=5, wait=0).alt.startswith("loss over time; above 5")
    assert "fires 0 times" in alerts(moments, "loss", above=5, wait=60).alt
    assert "below 1 for 0 s: fires 0" in alerts(moments, "packets", below=1).alt
    with pytest.raises(BadInput, match="one threshold"):
        alerts(moments, "loss")
    assert alerts(moments, "loss", above=100, wait=0).png().startswith(b"\x89PNG")


def test_only_this_machine_is_read():
    with pytest.raises(BadInput, match="this machine"):
        asyncio.run(scrape("http://192.0.2.1/metrics"))


@pytest.mark.live
@pytest.mark.peer
def test_ffmpeg_opens_our_srtp(need):
    """Its SRTP was written for FFmpeg: the key comes in our SDP."""
    need("ffmpeg")
    played = asyncio.run(opens_our_srtp(speech(3.3)))
    assert played.stoi > 0.9

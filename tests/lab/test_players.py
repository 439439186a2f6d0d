"""FFmpeg and GStreamer, both ways, as the lab of week 7 shows them."""

import asyncio

import pytest

from labkit.lab import players
from labkit.lab.sources import speech
from labkit.words.errors import BadInput, MissingCapability


@pytest.mark.live
@pytest.mark.peer
@pytest.mark.parametrize("program", ["ffmpeg", "gstreamer"])
def test_what_is_said_is_what_is_heard(need, program):
    need(players.COMMANDS[program])
    for found in asyncio.run(players.both_ways(program, speech(2.3))):
        assert found.stoi > 0.8, found
        assert len(found.heard) / found.heard.sample_rate > 1.2, found
        assert program in str(found)


def test_what_is_not_here(monkeypatch):
    monkeypatch.setattr(players.shutil, "which", lambda _: None)
    with pytest.raises(MissingCapability, match="ffmpeg is not installed"):
        asyncio.run(players.both_ways("ffmpeg", speech(1)))
    with pytest.raises(BadInput, match="ffmpeg or gstreamer"):
        asyncio.run(players.both_ways("vlc", speech(1)))


def test_a_program_that_cannot_is_told_as_missing():
    with pytest.raises(MissingCapability, match="cannot do this here"):
        asyncio.run(players._run("ffmpeg", ["sh", "-c", "echo no such thing >&2; exit 1"]))

"""A decode loop takes over what a receiver plays at each turn."""

import numpy as np
import pytest

from labkit.codec.opus import Opus
from labkit.core.delaypolicy import Fixed
from labkit.lab.call import Call
from labkit.lab.links import link
from labkit.lab.sources import speech
from labkit.words.errors import BadInput
from labkit.words.units import ms

LOSSY = link("lossy", delay="30ms", loss="20%")
CODEC = Opus(32_000, fec=True)


class Says:
    """Says one thing where a packet is missing, and another where it is here."""

    def __init__(self, missing, here="decode"):
        self.missing = missing
        self.here = here
        self.asked = []

    def turn(self, packet, following):
        self.asked.append((packet and packet.seq, following and following.seq))
        return self.missing if packet is None else self.here


def call(**words):
    return Call(speech(2.5), CODEC, link=LOSSY, policy=Fixed(ms(60)), seed=3, **words).simulate()


@pytest.mark.parametrize(("says", "words"), [("fec", {}), ("plc", {"fec": False})])
def test_it_does_what_the_receiver_would_do_with_the_same_choice(says, words):
    """Sample for sample; and the words that it makes idle change nothing."""
    mine = call(decode_loop=Says(says), fec=False, conceal=False)
    assert np.array_equal(mine.audio, call(**words).audio)


def test_silence_is_told_apart_in_the_timeline():
    concealed = call(decode_loop=lambda: Says("silence")).timeline.concealed
    assert set(concealed) == {0, 3}


def test_what_is_here_need_not_be_decoded():
    result = call(decode_loop=Says("plc", here="silence"))
    assert not result.aligned[:48_000].any()
    assert result.unheard == 1


def test_it_sees_this_packet_and_the_next_one():
    loop = Says("plc")
    call(decode_loop=lambda: loop)
    assert len(loop.asked) > 100
    both = [(a, b) for a, b in loop.asked if a is not None and b is not None]
    assert all((b - a) % 65536 == 1 for a, b in both)
    assert any(a is None and b is not None for a, b in loop.asked)


@pytest.mark.parametrize("said", [None, "PLC", 2, ["plc"]])
def test_what_it_must_not_say(said):
    with pytest.raises(BadInput, match="decode loop Says: turn gave"):
        call(decode_loop=Says(said))

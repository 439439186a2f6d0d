"""Networks written down in a cell: the same words as in a profile's file."""

import pytest

from labkit import Call, Pcmu, link, ms, tone
from labkit.words.errors import BadInput
from labkit.words.linkspec import GilbertElliott


def test_the_words_are_those_of_netem():
    made = link("mine", delay="20ms", jitter="5ms", gemodel={"p": "4%", "r": "33%"}, limit=9)
    assert made.name == made.title == "mine"
    assert made.up == made.down
    assert (made.down.delay, made.down.jitter, made.down.limit) == (ms(20), ms(5), 9)
    assert made.down.gemodel == GilbertElliott(0.04, 0.33)


def test_a_name_may_hold_quotes():
    assert link('the "good" one').title == 'the "good" one'


def test_a_word_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match="jitter"):
        link(jiter="5ms")


def test_a_call_crosses_it():
    result = Call(tone(duration_s=1), codec=Pcmu(), link=link(delay="30ms")).simulate()
    assert result.network_delay_ms == pytest.approx(30)

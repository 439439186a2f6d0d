"""Delay traces as text."""

import pytest

from labkit.words.delaytrace import parse_delay_trace
from labkit.words.errors import BadInput
from labkit.words.units import ms


def test_one_delay_a_line_lost_packets_and_comments():
    text = "# what it is\n\n31.52\nlost\n  0\n1e2\n"
    assert parse_delay_trace(text) == [ms(31.52), None, 0, ms(100)]


@pytest.mark.parametrize("word", ["-1", "nan", "inf", "61000", "0x10", "1,5", "LOST", "5 6"])
def test_a_bad_line_is_named(word):
    with pytest.raises(BadInput, match="line 3"):
        parse_delay_trace(f"# header\n5\n{word}\n")


@pytest.mark.parametrize("text", ["", "# only words\n", "\n\n"])
def test_a_trace_without_packets_is_refused(text):
    with pytest.raises(BadInput, match="no packets"):
        parse_delay_trace(text)

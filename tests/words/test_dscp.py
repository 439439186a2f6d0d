"""Code points and their names. What is expected stands in the RFCs; the bytes are tshark's."""

import pytest

from labkit.words.dscp import (
    SERVICES,
    AccessCategory,
    Dscp,
    Ecn,
    Mark,
    access_category,
    name_of,
    read_dscp,
    read_tos,
)
from labkit.words.errors import BadInput


def test_the_bits_are_those_of_the_rfcs():
    """Binary, as the documents write them."""
    assert Dscp.EF == 0b101110  # RFC 3246 section 2.7
    assert Dscp.VOICE_ADMIT == 0b101100  # RFC 5865 section 2
    assert Dscp.LE == 0b000001  # RFC 8622 section 4
    for k in range(8):
        assert Dscp[f"CS{k}"] == k << 3  # RFC 2474 section 4.2.2
    for x in (1, 2, 3, 4):
        for y in (1, 2, 3):
            assert Dscp[f"AF{x}{y}"] == x << 3 | y << 1  # RFC 2597 section 6


@pytest.mark.parametrize("byte", range(256))
def test_the_byte_taken_apart_is_the_byte(byte):
    mark = read_tos(byte)
    assert mark.tos == byte
    assert 0 <= mark.dscp < 64


def test_voice_is_b8():
    assert Mark(Dscp.EF).tos == 0xB8
    assert str(read_tos(0xBB)) == "EF, CE"
    assert read_tos(0xBA) == (46, Ecn.ECT_0)


@pytest.mark.parametrize(
    ("words", "dscp"),
    [("EF", 46), ("ef", 46), ("46", 46), ("0x2e", 46), (46, 46), ("af41", 34), ("default", 0),
     ("BE", 0), ("voice-admit", 44), ("VOICE_ADMIT", 44), ("va", 44), ("le", 1), ("cs7", 56)],
)  # fmt: skip
def test_what_people_write(words, dscp):
    assert read_dscp(words) == dscp


@pytest.mark.parametrize("words", ["", "voice", "AF44", "64", "-1", "4.5", "EF EF"])
def test_what_is_no_dscp_is_refused_with_a_way_out(words):
    with pytest.raises(BadInput, match="EF for voice"):
        read_dscp(words)


def test_who_gives_the_whole_byte_is_told_so():
    with pytest.raises(BadInput, match="184 is the byte of EF"):
        read_dscp("0xb8")


def test_names():
    assert [name_of(n) for n in (0, 1, 34, 44, 46, 47)] == [
        "CS0", "LE", "AF41", "VOICE-ADMIT", "EF", "47",
    ]  # fmt: skip
    assert all(read_dscp(name_of(n)) == n for n in range(64))


def test_wifi_puts_voice_among_the_videos_unless_told_otherwise():
    """RFC 8325 section 2.2 complains of it, section 4.2.1 says what should be."""
    assert access_category(Dscp.EF) is AccessCategory.VOICE
    assert access_category(Dscp.EF, rfc8325=False) is AccessCategory.VIDEO
    assert access_category(Dscp.LE) is AccessCategory.BACKGROUND
    assert access_category(Dscp.CS0) is AccessCategory.BEST_EFFORT
    assert {access_category(n) for n in range(64)} == set(AccessCategory)


def test_telephony_is_expedited():
    """RFC 4594 figure 3."""
    assert SERVICES["telephony"] is Dscp.EF
    assert SERVICES["signalling"] is Dscp.CS5

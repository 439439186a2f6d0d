"""The capstone: whose parts carry the call, what happens to those that stumble, and the class."""

import json
from pathlib import Path

import numpy as np
import pytest

from labkit.checks.ownparts import own_parts
from labkit.cli import labkit
from labkit.core.naive import NaiveBuffer
from labkit.core.ringbuffer import RingBuffer
from labkit.lab import capstonelayers
from labkit.lab.capstone import capstone
from labkit.lab.capstoneparts import BY_WORD
from labkit.lab.leaderboard import MOST_BYTES, read_boards, read_line
from labkit.lab.sources import speech
from labkit.words.errors import BadInput
from labkit.words.units import ms

ROOT = Path(__file__).parents[2]
SHORT = {"profiles": ["voip-5"], "clip": speech(2.4), "seed": 7}


@pytest.fixture(scope="module")
def parts():
    return own_parts(ROOT / "solutions")


@pytest.fixture(scope="module")
def card(parts):
    return capstone(parts, name="Ada", **SHORT)


def test_the_parts_of_all_solutions_carry_one_call(parts, card):
    """Every part of every solved notebook is in its place, and as good as the kit's."""
    assert card.stumbled == {}
    assert set(card.own) | set(card.resting) == set(parts)
    assert set(card.resting) == {"buffer", "aimd"}
    (row,) = card.rows
    assert row.own.stoi > row.kits.stoi - 0.05
    assert row.own.fooled == row.kits.fooled == 0
    assert "yours, resting: policy is there" in str(card)
    assert card.show().png().startswith(b"\x89PNG")
    assert len(card.listen().sounds) == 3


def test_who_rests_can_be_heard_alone(parts):
    card = capstone({word: parts[word] for word in ("buffer", "aimd")}, **SHORT)
    assert set(card.own) == {"buffer", "aimd"}
    assert card.stumbled == {}


def test_the_kits_ring_is_a_ring():
    """It has the face of exercise 02.1; what the card plays is what was heard, a little later."""
    card = capstone({"ring": RingBuffer}, **SHORT)
    assert card.own == ("ring",)
    assert card.rows[0].own == card.rows[0].kits


class Deaf:
    def __init__(self, size):
        pass

    def index(self, seq):
        return seq

    def is_new(self, index):
        return True

    def accept(self, index):
        pass


def test_a_window_that_forgets_is_fooled():
    """Mallory's copies are authentic; only the window keeps them out."""
    card = capstone({"window": Deaf}, **SHORT)
    assert card.rows[0].own.fooled >= 3
    assert card.rows[0].kits.fooled == 0


def unwritten(*args):
    raise NotImplementedError


def broken(*args):
    return 1 // 0


STUMBLES = [
    ("token", (broken, broken), "ZeroDivisionError"),
    ("token", (lambda *a: "t", lambda *a: "listener"), "a bad token opens the door"),
    ("backoff", type("S", (), {"__init__": lambda s, a, b: None, "failed": lambda s, d: -1}),
     "failed gave -1"),
    ("frame", (lambda *a: b"", unwritten), "not as week 1 has it"),
    ("decoder", type("D", (), {"feed": lambda s, d: []}), "0 frames of 4"),
    ("ring", type("G", (), {"__init__": lambda s, c, n: None, "write": lambda s, x: len(x),
                            "read": lambda s, n: np.zeros((n, 1), np.int16)}), "did not give"),
    ("packetizer", type("P", (), {"__init__": lambda s, *a: None, "push": lambda s, x: []}),
     "one packet of 1920 bytes"),
    ("packetizer", type("P", (), {"__init__": lambda s, *a: None, "push": lambda s, x: [b""]}),
     "one packet of 1920 bytes"),
    ("header", (unwritten, unwritten), "not written yet"),
    ("reception", type("R", (), {"__init__": lambda s, r: None, "add": broken}), "Zero"),
    ("block", lambda *a: b"", "report_block gave b''"),
    ("loop", type("L", (), {"turn": lambda s, p, f: "sing"}), "turn gave 'sing'"),
    ("queue", type("Q", (), {"__init__": lambda s, *a: None, "put": broken,
                             "__len__": lambda s: 0}), "Zero"),
    ("queue", type("Q", (), {"__init__": lambda s, *a: None}), "has no len()"),
    ("policy", type("P", (), {"target": lambda s: 0}), "it has no observe"),
    ("policy", type("P", (), {"target": lambda s: "soon", "observe": lambda s, t, n: None}),
     "TypeError"),
    ("control", type("C", (), {"bitrate": 0}), "the bitrate is 0"),
    ("srtp", lambda *a: "sound", "unprotect gave 'sound'"),
    ("window", type("W", (), {"__init__": lambda s, n: None, "index": lambda s, q: None}),
     "index gave None"),
    ("buffer", type("B", (), {"__init__": lambda s, d: None, "push": lambda s, p, n: None,
                              "pull": lambda s, n: 7}), "pull gave 7"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "part", "why"), STUMBLES)
def test_the_kit_stands_in_for_a_part_that_stumbles(place, part, why, monkeypatch):
    monkeypatch.setattr(capstonelayers, "EVERY", ms(500))
    card = capstone({place: part}, profiles=["lan"], clip=speech(1.2))
    assert why in card.stumbled[place]
    assert card.own == ()
    assert f"because yours: {card.stumbled[place]}" in str(card)
    assert card.rows[0].own == card.rows[0].kits


def test_what_has_no_place_is_said():
    with pytest.raises(BadInput, match="no place called 'policies'"):
        capstone({"policies": NaiveBuffer})
    with pytest.raises(BadInput, match="pack and unpack"):
        capstone({"header": unwritten})
    with pytest.raises(BadInput, match="no name"):
        capstone({}, name="a\nb")
    with pytest.raises(BadInput, match="no notebooks"):
        own_parts(ROOT / "docs")


def test_places_are_those_that_the_exercises_want():
    from labkit.checks.exercise import exercises

    known = exercises()
    for place in BY_WORD.values():
        if place.exercise in known:
            assert set(place.names) <= set(known[place.exercise].wants), place


def test_packets_opened_in_python_are_libsrtps():
    """An altered bit, another index and another key are all refused."""
    import pylibsrtp

    key = bytes(range(30))
    policy = pylibsrtp.Policy(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    plain = b"\x80\x6f\x00\x07" + bytes(8) + b"sound"
    packet = pylibsrtp.Session(policy).protect(plain)
    opened = capstonelayers.unprotect
    assert opened(key[:16], key[16:], 7, packet) == plain
    assert opened(key[:16], key[16:], 7 + 65536, packet) is None
    assert opened(key[1:17], key[16:], 7, packet) is None
    for at in range(len(packet)):
        changed = packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1 :]
        assert opened(key[:16], key[16:], 7, changed) is None


# The class -------------------------------------------------------------------------------------


def line(card, **changes):
    return json.dumps(card.line() | changes).encode() + b"\n"


def test_a_card_survives_its_line(card, tmp_path, capsys):
    path = card.save(tmp_path / "ada.jsonl")
    with path.open("ab") as file:
        file.write(b"\nnonsense\n" + line(card, name="Ben", seed=8))
    assert labkit.main(["course", "leaderboard", str(path), "--picture", str(tmp_path / "b.png")])
    out = capsys.readouterr().out
    assert "refused: ada.jsonl:3: no JSON" in out
    assert "Ada" in out
    assert "Ben" in out
    assert "Not all crossed the same networks" in out
    assert "the students' own word" in out
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert read_boards([path]).entries[0].r == pytest.approx(card.r, abs=0.01)


def test_of_one_name_the_last_line_counts(card, tmp_path):
    path = tmp_path / "all.jsonl"
    path.write_bytes(line(card, parts=[]) + line(card))
    (entry,) = read_boards([path]).entries
    assert entry.parts == card.own
    with pytest.raises(BadInput, match=r"none\.jsonl"):
        read_boards([tmp_path / "none.jsonl"])


LIES = [
    ({"name": "x" * 41}, "name"), ({"name": ""}, "name"), ({"name": "\x1b[31mred"}, "name"),
    ({"name": 7}, "name"), ({"labkit": ""}, "labkit"), ({"seed": True}, "seed"),
    ({"seed": -1}, "seed"), ({"parts": ["all"]}, "parts"), ({"parts": ["ring", "ring"]}, "twice"),
    ({"parts": [[]]}, "parts"), ({"r": 99.0}, "r is not the mean"), ({"r": 101}, "r is no number"),
    ({"stoi": float("nan")}, "stoi"), ({"networks": {}}, "networks"), ({"more": 1}, "fields"),
    ({"networks": {"a": 1}}, "figures"), ({"networks": {"\n": {}}}, "names"), ({"r": "9"}, "r"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "why"), LIES)
def test_a_line_that_cannot_be_is_refused(card, change, why):
    with pytest.raises(ValueError, match=why):
        read_line(line(card, **change))


@pytest.mark.parametrize("data", [b"[]", b"{}", b"\xff\n", b"[" * 5000, b"1" * (MOST_BYTES + 1)])
def test_bytes_that_are_no_card_are_refused(data, tmp_path):
    with pytest.raises(ValueError, match=r"JSON|fields|longer"):
        read_line(data)
    path = tmp_path / "x.jsonl"
    path.write_bytes(data.strip() + b"\n" + data)
    assert [text.split(":")[1] for text in read_boards([path]).refused] == ["1", "2"]

"""The page that a student gets, and the pictures on it."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from labkit.checks.report import Finding, PartReport, Report
from labkit.grading.drawing import svg
from labkit.grading.page import Sheet, page
from labkit.grading.pagestyle import STYLE
from labkit.grading.result import ExerciseResult, Result, Status
from labkit.words.units import ms

VOID = {"meta", "br", "img", "link"}
NASTY = "</code><script>alert('1')</script> & \"x\" `y` \u202e"
TURNS = {
    "kind": "turns",
    "frame": ms(20),
    "arrivals": [(0, 1, ""), (ms(21), 2, ""), (ms(90), 3, "late"), (ms(91), 3, "twice")],
    "wanted": [(ms(60), 1), (ms(80), None), (ms(100), 3)],
    "yours": [(ms(60), 1), (ms(80), 3), (ms(100), None)],
}
FRONTIER = {
    "kind": "frontier",
    "points": {"fixed": [(100.0, 5.0), (150.0, 0.5)], "yours <b>": [(120.0, 0.0)]},
    "ylabel": "not heard (%)",
}
BYTES = {
    "kind": "bytes",
    "fields": [("ver", 0, 0), ("seq", 1, 2), ("rest", 3, 99)],
    "wanted": "0100070d",
    "yours": "01070000ff",
}


class Balanced(HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def report_of(drawing=None, steps=("push(1)",)) -> Report:
    finding = Finding(NASTY, NASTY, NASTY, NASTY, "hole", NASTY)
    unwritten = Finding("a", "b", "c", "Nothing is written here yet.", "unwritten", NASTY)
    parts = (
        PartReport("holes", NASTY, 0, 1, steps, finding, drawing),
        PartReport("some", "Some", 0.5, 1, (), finding),
        PartReport("new", "New", 0, 1, (), unwritten),
        PartReport("good", "Good", 1, 1, ("x",)),
    )
    return Report("06.1", NASTY, 424_242, ("FixedBuffer",), parts, NASTY)


def page_of(report, seed=None) -> str:
    exercises = (ExerciseResult.from_report(report),)
    told = (NASTY, "one `a`")
    result = Result(
        "ann" + NASTY, "week06", Status.GRADED, "c", "s", "k", repairs=told, exercises=exercises
    )
    return page(Sheet(result, (report,), NASTY + ".ipynb", seed))


@pytest.mark.parametrize("drawing", [TURNS, FRONTIER, BYTES], ids=lambda d: d["kind"])
def test_pictures_are_well_formed_and_stay_inside(drawing):
    picture = ET.fromstring(svg(drawing))
    _, _, width, height = map(float, picture.get("viewBox").split())
    for each in picture.iter():
        for name, most in (("x", width), ("y", height), ("cx", width), ("cy", height)):
            assert 0 <= float(each.get(name, 0)) <= most, ET.tostring(each)
    assert picture.get("aria-label")


def test_what_is_wrong_in_a_picture_is_marked():
    turns = svg(TURNS)
    assert turns.count('class="wrong"') == 1
    assert turns.count('class="gap wronggap"') == 1
    assert "at 80 ms your turn gives 3" in turns
    assert turns.count('class="late"') == 2
    assert "bytes that differ: 1, 2, 3, 4" in svg(BYTES)
    assert "yours &lt;b&gt;" in svg(FRONTIER)


def test_odd_drawings_do_no_harm():
    one = {**TURNS, "arrivals": [(5, 1, "")], "wanted": [(5, None)], "yours": []}
    flat = {**FRONTIER, "points": {"yours": [(100.0, 0.0)]}}
    nothing = {**BYTES, "wanted": "", "yours": ""}
    for drawing in (one, flat, nothing):
        ET.fromstring(svg(drawing))
    assert svg({"kind": "a new one"}) == ""


def test_a_long_run_shows_its_end():
    wanted = [(ms(20 * n), n) for n in range(300)]
    yours = [*wanted[:-1], (ms(20 * 299), 7)]
    picture = svg({**TURNS, "arrivals": [(now, seq, "") for now, seq in wanted],
                   "wanted": wanted, "yours": yours})  # fmt: skip
    assert 'class="wrong"' in picture
    assert picture.count("<rect") == 44


@pytest.mark.parametrize("drawing", [None, TURNS, FRONTIER, BYTES])
def test_a_page_is_whole_and_escapes_what_strangers_say(drawing):
    text = page_of(report_of(drawing, tuple(f"step {n} {NASTY}" for n in range(30))))
    Balanced(text)
    assert "<script" not in text
    assert text.count("18 steps before these") == 1
    assert '<ol start="19">' in text
    assert ("for Wireshark" in text) is (drawing is TURNS)


def test_the_seed_only_when_it_is_released():
    assert "424242" not in page_of(report_of())
    open_page = page_of(report_of(), seed=424_242)
    assert "check(&quot;06.1&quot;, FixedBuffer, seed=424242, only=&quot;holes&quot;)" in open_page


@pytest.mark.parametrize(
    ("status", "words"),
    [(Status.UNREADABLE, "could not be read"), (Status.FAILED, "not graded yet")],
)
def test_who_has_no_grade_is_told_why(status, words):
    result = Result("ann", "week06", status, "", "s", "k", problem=NASTY)
    text = page(Sheet(result, (), "x.ipynb"))
    Balanced(text)
    assert words in text
    assert "&lt;script&gt;" in text


def test_every_class_of_a_picture_has_a_colour_in_light_and_dark():
    colours = set(re.findall(r"var\(--(\w+)\)", STYLE))
    light, dark = STYLE.split("@media (prefers-color-scheme:dark)")[:2]
    for colour in colours - {"mono"}:
        assert f"--{colour}:" in light
        assert f"--{colour}:" in dark
    for drawing in (TURNS, FRONTIER, BYTES):
        for names in re.findall(r'class="([^"]+)"', svg(drawing)):
            assert any(f".{name}" in STYLE for name in names.split()), names

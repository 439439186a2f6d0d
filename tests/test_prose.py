"""What is written for people: spelt right, leading somewhere, and described where it is a picture.

Nothing here asks the network: `make links` does, and tries the addresses that lead elsewhere.
"""

import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import codespell_lib
import pytest
from links import trouble
from prose import ROOT, paths, read, slug

PAGES = [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in paths()]
each = pytest.mark.parametrize("path", PAGES)

WORDS = ROOT / "tests" / "words.txt"
"""Right words that the list of wrong ones holds, such as half of one in a regular expression."""
AMERICAN_TOO = {
    *("program", "programs", "programmed"),  # of a computer
    *("meter", "meters"),  # that measures
    *("story", "stories", "license", "practice", "check", "checks", "dialog", "disk"),
    "analyze",  # Wireshark's menu
}
"""Of the American spellings, those that are British in another sense, or somebody's name."""
OURS = re.compile(
    r"(labkit|docs|tests|notebooks|benchmarks|captures|netem|exercises|solutions|\.ci)/[\w./-]+\.\w+"
)


def spelt_wrong(folder):
    """What codespell says of the files in a folder."""
    command = [sys.executable, "-m", "codespell_lib", "--ignore-words", str(WORDS), str(folder)]
    return subprocess.run(command, capture_output=True, text=True).stdout


def test_no_word_is_misspelt(tmp_path):
    """In the prose of all pages at once: starting the checker takes longer than reading them."""
    for path in paths():
        name = "+".join(path.relative_to(ROOT).parts)
        (tmp_path / f"{name}.txt").write_text(read(path).words(), encoding="utf-8")
    assert spelt_wrong(tmp_path) == ""


def test_no_word_of_the_kit_is_misspelt():
    """Its docstrings, comments and messages are read by students too."""
    assert spelt_wrong(ROOT / "labkit") == ""


def test_a_misspelt_word_is_found(tmp_path):
    (tmp_path / "page.txt").write_text("You will recieve a packet.")
    assert "recieve ==> receive" in spelt_wrong(tmp_path)


@pytest.fixture(scope="module")
def american():
    """American spellings, each with the British one."""
    table = Path(codespell_lib.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt"
    pairs = [line.split("->") for line in table.read_text(encoding="utf-8").splitlines()]
    british = {ours for ours, _ in pairs}
    found = {word.strip(): ours for ours, theirs in pairs for word in theirs.split(",")}
    return {word: ours for word, ours in found.items() if word not in british | AMERICAN_TOO}


@each
def test_the_spelling_is_british(path, american):
    assert american["color"] == "colour"
    words = re.findall(r"[a-z]+", read(path).words().lower())
    assert not {word: american[word] for word in words if word in american}


@each
def test_every_link_leads_somewhere(path):
    """To a file of the project, and to a heading in it; elsewhere only by https."""
    for link in read(path).links():
        if re.match(r"[a-z]+:", link):
            parts = urlsplit(link)
            assert parts.scheme == "https", link
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), link
            assert not re.search(r"\s", link), link
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert target.suffix == ".md", f"{link}: headings in notebooks have no fixed address"
            assert anchor in read(target).anchors(), f"{link}: there is no such heading"


@each
def test_every_file_that_is_named_exists(path):
    """`labkit/core/jitterbuffer.py` in a sentence is as good as a link."""
    for words in read(path).code():
        if OURS.fullmatch(words) and "NN" not in words:
            assert (ROOT / words).exists(), words


@each
def test_every_picture_is_described(path):
    """For who cannot see it: what it shows, in a few words."""
    for picture, words in read(path).pictures():
        assert len(words.split()) >= 4, picture


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Beside nbgrader, and otter", "beside-nbgrader-and-otter"),
        ("1. Hear it break", "1-hear-it-break"),
        ("A C++ `peer`: who?", "a-c-peer-who"),
    ],
)
def test_headings_have_the_addresses_that_github_gives_them(heading, anchor):
    assert slug(heading.replace("`", "")) == anchor


def test_what_is_code_is_no_prose(tmp_path):
    """Or every name in it would be a misspelt word; and what is prose is not missed."""
    page = tmp_path / "page.md"
    page.write_text(
        "# Head\n\nsome `teh` [words](x.md#y) ![a picture](z.png)\n\n    teh\n\n"
        "<details><summary>Answer</summary>\n\nfolded **too**\n\n</details>\n\n"
        '| a | b |\n| --- | --- |\n| cell | <a href="https://e.org/">e</a> |\n'
    )
    found = read(page)
    words = found.words().split()
    assert "teh" not in words
    assert {"Head", "words", "picture", "Answer", "folded", "too", "cell"} <= set(words)
    assert found.links() == ["x.md#y", "z.png", "https://e.org/"]
    assert found.pictures() == [("z.png", "a picture")]
    assert found.code() == ["teh"]
    assert found.anchors() == {"head"}


class Site(BaseHTTPRequestHandler):
    """Answers with the number that it is asked for."""

    def do_GET(self):
        self.send_response(int(self.path[1:]))
        self.end_headers()

    def log_message(self, *_words):
        pass


@pytest.mark.live
def test_an_address_is_good_if_somebody_answers():
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        Thread(target=site.serve_forever, args=(0.05,)).start()
        here = f"http://127.0.0.1:{site.server_port}"
        try:
            found = [trouble(f"{here}/{code}#part") for code in (200, 403, 404, 500)]
        finally:
            site.shutdown()
    assert found == ["", "", "404 Not Found", "500 Internal Server Error"]
    assert "refused" in trouble(f"{here}/200")

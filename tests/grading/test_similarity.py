"""Similarity: copies are found however they are dressed, and honest work is not."""

import inspect
import keyword
import random
import re
import time

import pytest
from grading.honest import ANN, HONEST
from hypothesis import given, settings
from hypothesis import strategies as st
from wrong_answers import week06

from labkit.checks.notebook import read
from labkit.grading.similarity import WINDOW, K, Work, compare, passages
from labkit.grading.similaritypage import page
from labkit.grading.tokens import tokens
from labkit.resources import solution_path

WEEK = solution_path(6)


@pytest.fixture(scope="module")
def released():
    """The cells that all were given."""
    return [cell.source for cell in read(WEEK.parents[1] / "exercises" / WEEK.name)]


def work(name, cells, given=()):
    return Work(name, dict(enumerate([*given, *cells.values()])))


def renamed(cells):
    """Other names, other comments, other layout."""
    keep = {*keyword.kwlist, "self"}

    def other(match):
        return match[0] if match[0] in keep or match[0].startswith("__") else f"{match[0]}_x"

    def dressed(source):
        source = re.sub(r"[^\W\d]\w*", other, source)
        lines = [
            f"{line}  # and so" if line.strip() else "\n# nothing" for line in source.split("\n")
        ]
        return "\n".join(lines).replace(" + ", "+").replace("(self", "( self").replace("    ", "  ")

    return {name: dressed(source) for name, source in cells.items()}


def methods_moved(cells):
    """The cells backwards, and in each class the methods too."""
    moved = {}
    for name, source in reversed(cells.items()):
        head, *rest = re.split(r"\n(?=    def |def )", source)
        moved[name] = "\n".join([head, *reversed(rest)])
    return moved


def wrongs():
    """What people write in week 6, as they would have written it."""
    found = {}
    for wrong in week06.WRONG:
        sources = {}
        for name, made in wrong.names.items():
            try:
                sources[name] = inspect.getsource(made)
            except (TypeError, OSError):
                continue
        if sources and not any("lambda" in each for each in sources.values()):
            found[f"{wrong.exercise} {wrong.mistake}"] = sources
    return found


def score(found, a, b):
    return next((p.score for p in found.pairs if {p.left, p.right} == {a, b}), 0.0)


@pytest.mark.parametrize("dress", [renamed, methods_moved, lambda c: methods_moved(renamed(c))])
def test_a_copy_is_found_first_however_it_is_dressed(released, dress):
    people = [work(name, cells, released) for name, cells in HONEST.items()]
    people += [work(name, cells, released) for name, cells in wrongs().items()]
    people.append(work("copy", dress(ANN), released))
    found = compare(people, released)
    best = found.pairs[0]
    assert {best.left, best.right} == {"ann", "copy"}
    assert best.score > 0.7


def test_honest_solutions_are_not_alike(released):
    people = [work(name, cells, released) for name, cells in HONEST.items()]
    people.append(Work("solution", {i: cell.source for i, cell in enumerate(read(WEEK))}))
    found = compare(people, released)
    assert [pair for pair in found.pairs if pair.score > 0.3] == []


def test_what_was_given_is_not_counted(released):
    """Two who wrote nothing, or only moved what was given, have nothing in common."""
    nothing = [work("a", {}, released), work("b", {}, list(reversed(released)))]
    joined = Work("c", {1: "\n\n".join(released)})
    found = compare([*nothing, joined], released)
    assert found.pairs == ()
    assert [found.prints[name].own for name in "ab"] == [0, 0]
    assert compare(nothing).pairs != ()


def test_what_many_wrote_is_left_out(released):
    people = [work(f"p{i}", ANN, released) for i in range(30)]
    found = compare([*people, work("bo", HONEST["bo"], released)], released)
    assert found.pairs == ()
    assert found.common > 10
    assert len(compare(people[:5], released).pairs) == 10


def test_the_guarantee_of_winnowing():
    """A shared passage of K + WINDOW - 1 tokens is always found, one shorter than K never."""
    dice = random.Random(6)
    signs = [*"+-*/%&|^@<>=(){}[],.;", "if", "for", "while", "return", "not"]

    def noise(count):
        return [dice.choice(signs) for _ in range(count)]

    for _ in range(200):
        for length, found in ((K + WINDOW - 1, True), (K - 1, False)):
            shared = noise(length)
            rows = []
            for edge in ("import", "lambda"):  # or chance would make the passage longer
                row = [*noise(dice.randrange(80)), edge, *shared, edge, *noise(dice.randrange(80))]
                rows.append(" ".join(row))
            prints = compare([Work("a", {1: rows[0]}), Work("b", {1: rows[1]})]).prints
            assert bool(prints["a"].at.keys() & prints["b"].at.keys()) == found


def test_passages_are_the_same_tokens(released):
    found = compare(
        [work("ann", ANN, released), work("copy", methods_moved(renamed(ANN)), released)], released
    )
    a, b = found.prints["ann"], found.prints["copy"]
    matches = passages(a, b)
    for each in matches:
        left = a.tokens[each.left : each.left + each.length]
        right = b.tokens[each.right : each.right + each.length]
        assert [t.kind for t in left] == [t.kind for t in right]
        assert len({t.cell for t in left}) == len({t.cell for t in right}) == 1
    assert sum(each.length for each in matches) > 0.6 * a.own


def test_the_tokens_of_python():
    import io
    import tokenize

    source = ANN["buffer"] + HONEST["bo"]["network"] + "x = r\"\\d\" + b'a' if 0x1F else 1e-3\n"
    theirs = [
        t.string
        for t in tokenize.generate_tokens(io.StringIO(source).readline)
        if t.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING)
    ]
    kinds = [token.kind for token in tokens(source.replace("1e-3", "1e3"))]
    assert len(kinds) == len(theirs)
    for kind, text in zip(kinds, theirs, strict=True):
        assert kind == text or kind in ("name", "number", "text")


def test_what_says_nothing_is_gone():
    plain = list(tokens("def f(a):\n    return a + 1\n"))
    dressed = 'def g(\n  b ,\n):\n    """Doc."""\n    # why\n    return \\\n  b+2  # so\n'
    kinds = [token.kind for token in tokens(dressed)]
    assert [k for k in kinds if k != ","] == [token.kind for token in plain]
    assert [token.line for token in tokens("a\n\n'''x\ny'''+b")] == [1, 3, 4, 4]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="ab\"'\\\n#(=1 é\0"), max_size=4))
def test_any_text_can_be_compared(texts):
    works = [Work(str(i), {1: text * 9}) for i, text in enumerate(texts)]
    page(compare(works), works, "week06")


def test_hostile_submissions_take_no_time(released):
    """Hundreds of thousands of the same tokens, in two submissions."""
    big = ["x = 1\n" * 60_000, "(" * 300_000, '"' * 300_001, "a+b\n'''" * 40_000]
    works = [Work(f"{i}{j}", {1: text}) for i, text in enumerate(big) for j in "ab"]
    begun = time.process_time()
    page(compare(works, released), works, "week06")
    assert time.process_time() - begun < 15


def test_the_page_shows_both_and_says_what_it_is_not(released):
    cells = {**ANN, "evil": "x = '<script>alert(1)</script>'\n" + "y = [1, 2, 3, 4, 5]\n" * 12}
    works = [work("ann <b>", cells, released), work("copy", renamed(cells), released)]
    html = page(compare(works, released), works, "week06")
    assert "Similarity is not proof" in html
    assert "<script>alert" not in html
    assert "ann &lt;b&gt;" in html
    assert html.count("<mark") >= 4
    assert "http" not in re.sub(r"https?://www\.w3\.org\S+", "", html)

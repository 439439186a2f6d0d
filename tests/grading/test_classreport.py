"""The class report and the command, on a small class whose answers were checked for real."""

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from grading.records import NOON, checked, leave, record, unreadable

from labkit.cli.labkit import main
from labkit.grading.classpage import page
from labkit.grading.classreport import class_figures
from labkit.grading.gradebook import Gradebook
from labkit.grading.result import Status
from labkit.grading.standing import Student
from labkit.words.errors import BadInput


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """Eleven answers, somebody who is missing, one unreadable, one that the grader failed at."""
    book = Gradebook(tmp_path_factory.mktemp("book") / "grades.db", create=True)
    those = checked()
    book.add_students([Student("gone", "Gone <Girl>")])
    book.add_students([Student(each.student, f"Name of {each.student}") for each in those])
    book.take([*those, unreadable("torn"), record("fay", status=Status.FAILED)], "", NOON)
    book.set_assignment("week06", due=NOON + timedelta(hours=5))
    return book.facts()


def test_counts_are_those_of_the_records(facts):
    figures = class_figures(facts, "week06")
    those = checked()
    assert (figures.graded, figures.of) == (len(those), 18)
    assert figures.points == tuple(sorted(each.points for each in those))
    assert [each.id for each in figures.missing] == ["gone"]
    assert [each.id for each in figures.unreadable] == ["torn"]
    assert [each.id for each in figures.failed] == ["fay"]
    assert figures.margins == (5.0,) * len(those)
    for each in figures.exercises:
        right = [e for r in those for e in r.exercises if e.name == each.name]
        assert each.full == sum(e.points == e.of for e in right)
        assert each.mean == pytest.approx(sum(e.points for e in right) / len(right))
        for part in each.parts:
            assert part.full + part.some + part.none == len(those)
            lost = sum(mistake.many for mistake in part.mistakes)
            assert lost == part.some + part.none


def test_the_hint_that_most_got_is_first(facts):
    figures = class_figures(facts, "week06")
    many = [each.many for each in figures.worst]
    assert many == sorted(many, reverse=True)
    got = {}
    for each in checked():
        for exercise in each.exercises:
            for part in exercise.parts:
                if part.hint:
                    got.setdefault((exercise.name, part.hint), set()).add(each.student)
    assert {(m.exercise, m.hint): set(m.students) for m in figures.worst} == got


class Words(HTMLParser):
    """The text of a page; and that every element that was opened is closed."""

    VOID = frozenset({"meta", "rect", "line", "img"})

    def __init__(self):
        super().__init__()
        self.open, self.text, self.loads = [], [], []

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in ("src", "href", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def words(html):
    parser = Words()
    parser.feed(html)
    assert parser.open == []
    assert all(each.startswith("#") for each in parser.loads)
    return " ".join(parser.text)


def test_no_name_stands_beside_a_mistake_unless_asked(facts):
    figures = class_figures(facts, "week06")
    said = words(page(figures, facts.students))
    assert "Gone <Girl>" in said
    assert "Name of" not in said
    assert not re.search(r"student\d", said)
    assert "torn" not in said
    named = words(page(figures, facts.students, names=True))
    wrong = [each.student for each in checked() if each.points < each.of]
    assert all(f"Name of {each}" in named for each in wrong)
    assert "torn" in named


def test_the_page_says_what_is_hard(facts):
    figures = class_figures(facts, "week06")
    said = words(page(figures, facts.students))
    for each in figures.worst:
        assert (
            each.said.replace("`", "") in re.sub(r"\s+", " ", said).replace(" ,", ",")
            or "`" in each.said
        )
    assert f"median {figures.median:g}" in said


def test_classes_of_no_and_of_one(tmp_path):
    book = Gradebook(tmp_path / "grades.db", create=True)
    with pytest.raises(BadInput):
        class_figures(book.facts(), "week06")
    book.take([unreadable("cy")], "", NOON)
    words(page(class_figures(book.facts(), "week06"), book.facts().students))
    book.take([record("ann", 4, 4)], "", NOON)
    assert "everybody has all points" in words(
        page(class_figures(book.facts(), "week06"), book.facts().students)
    )


# The command --------------------------------------------------------------------------------------


@pytest.fixture
def play(tmp_path, monkeypatch):
    """A folder with two runs of the grader."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABKIT_GRADEBOOK", raising=False)
    leave(tmp_path / "out", record("ann", 4, 3.5), record("bo", 1, 1))
    leave(tmp_path / "later", record("ann", 3, 3.5, checks="c2"), record("bo", 1, 1, checks="c2"))
    (tmp_path / "later" / "results" / "torn.json").write_text("{")
    return tmp_path


def run(capsys, *words):
    code = main(["gradebook", *words])
    out = capsys.readouterr()
    assert "Traceback" not in out.err
    return code, out.out, out.err


def test_a_term_on_the_command_line(play, capsys):
    code, out, _ = run(capsys, "import", "out")
    assert (code, out) == (0, "2 new, 0 as before, 0 replaced (grades.db)\n")
    (play / "class.csv").write_text('id,name\nann,"Müller, Zoë"\n', encoding="utf-8")
    assert run(capsys, "students", "class.csv")[0] == 0
    due = ["--due", "2026-11-19 23:59", "--zone", "Europe/Berlin"]
    assert "22:59:00Z" in run(capsys, "assignment", "week06", *due)[1]
    assert "10 % of the points" in run(capsys, "policy", "--per-day", "10")[1]
    assert run(capsys, "set", "bo", "06.2", "--points", "3", "--comment", "Good")[0] == 0
    assert run(capsys, "extend", "ann", "week06", "--days", "2")[0] == 0
    out = run(capsys, "show")[1]
    assert re.search(r"ann +Müller, Zoë +7.5 +93.8 %", out)
    assert re.search(r"bo +3.6 +45 %", out)
    assert "3 of 4 by hand, checks 1" in run(capsys, "show", "bo")[1]
    code, out, _ = run(capsys, "import", "later")
    assert code == 1
    assert "7.5 -> 6.5 of 8 (-1): the checks changed" in out
    assert "torn.json: not taken in: it is not JSON" in out
    assert run(capsys, "moves")[0] == 1
    assert '"ann",' in run(capsys, "export")[1]
    assert run(capsys, "export", "--format", "canvas", "--out", "c.csv")[0] == 0
    assert (play / "c.csv").read_text(encoding="utf-8").startswith('"Student","ID"')
    assert "median" in run(capsys, "report")[1]
    assert "<h1>Week 6</h1>" in (play / "week06.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("show", "labkit gradebook import"),
        ("import nowhere", "labkit grade"),
        ("set bo 06.1", "--points, --comment"),
        ("set bo 06.1 --points 1 --clear", "different things"),
        ("show zed", "there is no student"),
        ("export --out none/x.csv", "no folder"),
        ("report week99", "week06"),
        ("assignment week06 --due soon", "is no time"),
        ("assignment week06 --due 2026-11-19 --zone Mars/Base", "time zone"),
        ("policy --per-day 200", "percentage"),
        ("similar nowhere --week 6", "nowhere"),
        ("show --db mysql://u:geheim@h/x", "PostgreSQL"),
    ],
)
def test_what_cannot_be_names_a_remedy(play, capsys, line, said):
    if line != "show":
        run(capsys, "import", "out")
    code, _, err = run(capsys, *line.split())
    assert code == 2
    assert said in err
    assert "try: " in err
    assert "geheim" not in err


COMMANDS = "import show set extend assignment students policy moves export report similar"


@pytest.mark.parametrize("name", COMMANDS.split())
def test_every_command_has_help_with_examples(name, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["gradebook", name, "--help"])
    assert caught.value.code == 0
    assert f"labkit gradebook {name}" in capsys.readouterr().out.split("examples:")[1]


def test_similar_reads_what_was_handed_in(play, capsys):
    from labkit.resources import solution_path

    text = solution_path(6).read_text(encoding="utf-8")
    for who in ("ann", "bo"):
        folder = play / "submitted" / who / "week06"
        folder.mkdir(parents=True)
        (folder / solution_path(6).name).write_text(text, encoding="utf-8")
    (play / "submitted" / "cy" / "week06").mkdir(parents=True)
    (play / "submitted" / "cy" / "week06" / solution_path(6).name).write_text("{", "utf-8")
    code, out, _ = run(capsys, "similar", "submitted", "--week", "6")
    assert code == 0
    assert "100%  ann  bo" in out
    assert "cy: not compared" in out
    assert "not proof" in out

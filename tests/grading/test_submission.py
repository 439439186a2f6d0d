"""Finding who handed in what, in the layouts that people have."""

import os
import stat
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labkit.grading.submission import CannotRead, Source, find, slug
from labkit.words.errors import BadInput

NAME = "week06_jitter_buffer.ipynb"


def folder_of(tmp_path: Path, *names: str) -> Path:
    folder = tmp_path / "in"
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return folder


def zip_of(tmp_path: Path, *names: str) -> Path:
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def found(where: Path, **how):
    return {s.student: s for s in find(where, 6, NAME, **how).submissions}


LAYOUTS = [
    ("nbgrader", [f"ann/week06/{NAME}", f"bob/week06/{NAME}", f"ann/week01/{NAME[:0]}x.ipynb"]),
    ("nbgrader", [f"submitted/ann/week06/{NAME}", f"submitted/bob/week06/{NAME}"]),
    ("canvas", [f"ann_12_345_{NAME}", f"bob_13_346_{NAME}"]),
    ("canvas", [f"submissions/ann_12_345_{NAME}", f"submissions/bob_LATE_13_346_{NAME}"]),
    ("moodle", [f"ann_12_assignsubmission_file_/{NAME}", f"bob_13_assignsubmission_file_/{NAME}"]),
    ("moodle", [f"ann_12_assignsubmission_file_{NAME}", f"bob_13_assignsubmission_file_{NAME}"]),
    ("plain", ["ann.ipynb", "bob.ipynb"]),
    ("plain", ["ann/mine.ipynb", f"bob/{NAME}"]),
    ("plain", ["week 6/ann.ipynb", "week 6/bob.ipynb"]),
]


@pytest.mark.parametrize("make", [folder_of, zip_of])
@pytest.mark.parametrize(("layout", "names"), LAYOUTS, ids=lambda v: v[0] if len(v) < 4 else v)
def test_layouts(tmp_path, make, layout, names):
    """The same students, in a folder and in an archive."""
    who = found(make(tmp_path, *names))
    assert list(who) == ["ann", "bob"]
    assert {s.layout for s in who.values()} == {layout}
    assert who["bob"].source.read().decode() == names[1]


def test_names_with_spaces_and_underscores(tmp_path):
    who = found(folder_of(
        tmp_path,
        f"Jane van der Doe_1234_assignsubmission_file_/{NAME}",
        f"Jürgen_O'Neil_99_assignsubmission_file_/{NAME}",
        "Jane van der Doe_1234_assignsubmission_onlinetext_/onlinetext.html",
    ))  # fmt: skip
    assert list(who) == ["Jane van der Doe", "Jürgen_O'Neil"]
    assert who["Jane van der Doe"].number == "1234"


def test_two_of_one_name_are_two(tmp_path):
    who = found(folder_of(tmp_path, f"doe_jane_12345_678_{NAME}", f"doe_jane_777_679_{NAME}"))
    assert list(who) == ["doe_jane_12345", "doe_jane_777"]


def test_late_as_canvas_says(tmp_path):
    who = found(folder_of(tmp_path, f"doe_jane_LATE_12345_678_{NAME}"))
    assert who["doe_jane"].marked_late


def test_when_as_nbgrader_says(tmp_path):
    where = folder_of(tmp_path, f"ann/week06/{NAME}", f"bob/week06/{NAME}")
    stamp = where / "ann" / "week06" / "timestamp.txt"
    stamp.write_text("2026-11-20 22:59:01.5 UTC")
    (where / "bob" / "week06" / "timestamp.txt").write_text("yesterday")
    who = found(where)
    assert who["ann"].submitted == datetime(2026, 11, 20, 22, 59, 1, 500_000, UTC)
    assert who["bob"].submitted is None


def test_the_newest_version_counts_and_the_given_name_before_all(tmp_path):
    who = found(folder_of(
        tmp_path,
        "ann_1_10_week06_jitter_buffer.ipynb",
        "ann_1_11_week06_jitter_buffer-1.ipynb",
        "ann_1_12_week06_jitter_buffer-10.ipynb",
        "ann_1_13_scratch-99.ipynb",
        "bob/notes.ipynb",
        "bob/week6 final.ipynb",
        "eve/week06_jitter_buffer (2).ipynb",
        "eve/week06_jitter_buffer.ipynb",
    ))  # fmt: skip
    assert who["ann"].file == "week06_jitter_buffer-10.ipynb"
    assert who["bob"].file == "week6 final.ipynb"
    assert who["eve"].file == "week06_jitter_buffer (2).ipynb"
    assert who["bob"].others == ("notes.ipynb",)


def test_other_weeks_are_passed_over(tmp_path):
    where = folder_of(tmp_path, "ann/week01_frames.ipynb", f"ann/{NAME}", "bob/week1/x.ipynb")
    all_found = find(where, 6, NAME)
    assert [s.student for s in all_found.submissions] == ["ann"]
    assert all_found.ignored == ("ann/week01_frames.ipynb", "bob/week1/x.ipynb")


def test_who_hands_in_something_else_is_there_too(tmp_path):
    who = found(folder_of(tmp_path, "ann/homework.py", "bob_1_2_essay.pdf", "README.txt"))
    assert list(who) == ["ann", "bob"]
    with pytest.raises(CannotRead, match="no notebook"):
        who["ann"].read()


def test_what_is_hidden_or_ours_is_passed_over(tmp_path):
    where = folder_of(
        tmp_path,
        f"ann/{NAME}",
        f"ann/.ipynb_checkpoints/{NAME}",
        "__MACOSX/ann.ipynb",
        "graded/x.ipynb",
    )
    assert list(found(where, without=[where / "graded"])) == ["ann"]


def test_links_and_pipes_are_not_read(tmp_path):
    """A link to somebody else's file, a pipe that never ends."""
    where = folder_of(tmp_path, "ann/real.ipynb")
    (where / "bob").mkdir()
    (where / "bob" / NAME).symlink_to(where / "ann" / "real.ipynb")
    (where / "eve").mkdir()
    os.mkfifo(where / "eve" / NAME)
    who = found(where)
    for name in ("bob", "eve"):
        with pytest.raises(CannotRead, match="cannot be read"):
            who[name].read()


def test_a_zip_of_zips(tmp_path):
    """As Moodle gives it, where students zip what they hand in."""
    where = tmp_path / "in" / "ann"
    where.mkdir(parents=True)
    zip_of(tmp_path, NAME).rename(where / "homework.zip")
    assert found(tmp_path / "in")["ann"].read().decode() == NAME


def test_archives_that_mean_harm(tmp_path):
    """Names that lead out of it, one that unpacks to more than it may, one that is none."""
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"../../ann/{NAME}", "x")
        archive.writestr(f"/bob/{NAME}", bytes(40_000_000))
    who = found(path)
    assert list(who) == ["ann", "bob"]
    with pytest.raises(CannotRead, match="more than 32 MB"):
        who["bob"].read()
    broken = folder_of(tmp_path, "eve/homework.zip", f"bob/{NAME}")
    with pytest.raises(CannotRead, match="no notebook"):
        found(broken)["eve"].read()


def test_a_damaged_member_is_a_reason(tmp_path):
    path = zip_of(tmp_path, "ann.ipynb")
    data = bytearray(path.read_bytes())
    data[40] ^= 255
    path.write_bytes(bytes(data))
    with pytest.raises(CannotRead):
        Source(path, "ann.ipynb").read()


def test_too_large_is_said_before_it_is_read(tmp_path):
    path = tmp_path / "ann.ipynb"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(CannotRead, match="more than 32 MB"):
        found(path)["ann"].read()


def test_one_notebook_of_ones_own(tmp_path):
    where = folder_of(tmp_path, NAME)
    assert list(found(where / NAME)) == ["week06_jitter_buffer"]


@pytest.mark.parametrize("name", ["nothing", "in"])
def test_nothing_there(tmp_path, name):
    folder_of(tmp_path, "README.txt")
    with pytest.raises(BadInput, match=r"no folder|no submissions of week 6"):
        find(tmp_path / name, 6)


def test_names_of_files_keep_students_apart():
    strange = ["../../etc/passwd", "a/b", "a_b", "A_b", "con", ".", "", "x" * 300, "x" * 301,
               "Jane Doe", "jane doe", "é", "\u202etxt", "\ud800", "a\nb", "-rf",
               "a.b"]  # fmt: skip
    slugs = [slug(name) for name in strange]
    assert len({s.lower() for s in slugs}) == len(strange)
    for each in slugs:
        assert len(each) < 80
        assert not each.startswith((".", "-"))
        assert all(c.isascii() and (c.isalnum() or c in "@+=_.-") for c in each), each
    assert slug("doe_jane") == "doe_jane"
    assert slug("con") != "con"


def test_a_name_that_is_no_text(tmp_path):
    """Bytes that are no UTF-8, as an old archive leaves them."""
    where = tmp_path / "in"
    where.mkdir()
    os.close(
        os.open(os.fsencode(where) + b"/J\xfcrgen.ipynb", os.O_CREAT | os.O_WRONLY, stat.S_IRUSR)
    )
    ((student, submission),) = found(where).items()
    assert student == "J?rgen"
    assert submission.read() == b""

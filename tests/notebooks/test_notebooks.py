"""Notebooks are the course: each runs from top to bottom on a machine with nothing special.

What the form of a lab is, the tests on its text say; that it works, the test that runs it does. A
notebook is run in an empty folder, as if somebody had just opened it, and may say nothing on the
error output: a warning in a lab is a bug.
"""

import ast
import os
import re
import statistics
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
NAME = re.compile(r"index|(week\d\d|elective\d)_[a-z_]+")
FEWEST = {"index": 1, "week00_start": 10}
"""Cells of what is no lab: the way to all of them, and what is done before the first."""


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    """Each notebook in turn."""
    return request.param


@pytest.fixture
def notebook(path):
    """The same, read and validated against the schema."""
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    return notebook


def sources(notebook, kind):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def test_there_are_notebooks():
    """Or nothing below tests anything."""
    assert NOTEBOOKS


def test_the_name_says_the_week(path):
    """So that `ls */week06_*` shows a whole week."""
    assert NAME.fullmatch(path.stem)


def test_nothing_that_a_run_leaves_is_stored(notebook):
    """Outputs are the student's, and a diff shows what was written."""
    for cell in notebook.cells:
        assert not cell.get("outputs"), cell.id
        assert cell.get("execution_count") is None, cell.id
        assert not cell.metadata, cell.id
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.kernelspec.name == "python3"


def test_every_cell_has_a_name_of_its_own(path, notebook):
    """In words, so that it survives editing: a random one is as good as none."""
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    raw = nbformat.read(path, nbformat.NO_CONVERT).cells
    names = [cell.get("id", "") for cell in raw]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name), name
        assert not re.fullmatch(r"[0-9a-f]{8}", name), f"{name} was made by a machine"


def test_the_lab_has_the_form_of_a_lab(path, notebook):
    """Forty to sixty cells, code of two to five lines, and something to hear in the first five."""
    code = sources(notebook, "code")
    lengths = [len(source.splitlines()) for source in code]
    assert FEWEST.get(path.stem, 40) <= len(notebook.cells) <= 60
    assert max(lengths, default=0) <= 20
    assert statistics.median(lengths or [0]) <= 5
    if path.stem == "index":
        return
    first = "\n".join(cell.source for cell in notebook.cells[:5] if cell.cell_type == "code")
    assert "listen(" in first


def test_the_index_leads_everywhere():
    """To each lab, exercise, capture and page: what nobody finds has not been written."""
    root = NOTEBOOKS[0].parents[1]
    text = (root / "notebooks" / "index.ipynb").read_text(encoding="utf-8")
    for pattern in ("notebooks/week*.ipynb", "exercises/*.ipynb", "docs/*.md"):
        for found in root.glob(pattern):
            assert f"{found.name})" in text, found
    for found in root.glob("captures/*.pcapng"):
        assert f"`{found.stem}`" in text, found


def test_prose_is_short(notebook):
    """No wall of text: fifty words between two pictures. Questions and references are lists."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            told = re.sub(r"<details.*?</details>", "", cell.source, flags=re.DOTALL)
            told = re.sub(r"^(#|- |\*\*\d+\.).*$", "", told, flags=re.MULTILINE)
            assert len(told.split()) <= 50, cell.id


def test_code_cells_are_python(notebook):
    """No shell, no magic: they would tie a lab to one system."""
    for source in sources(notebook, "code"):
        compile(source, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.timeout(150)  # two run beside each other, on a busy machine
def test_it_runs_from_top_to_bottom(path, notebook, tmp_path):
    """In under a minute of one processor, without an error or a word on the error output."""
    before = os.times()
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources=folder).execute()
    after = os.times()
    took = after.children_user + after.children_system
    assert took - before.children_user - before.children_system < 60
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", f"{path.name}, {cell.id}: {output.text}"
    assert path.stem == "index" or any(picture_or_sound(cell) for cell in notebook.cells)


def picture_or_sound(cell):
    kinds = [kind for output in cell.get("outputs", []) for kind in output.get("data", {})]
    return "image/png" in kinds or "text/html" in kinds


@pytest.mark.sound
@pytest.mark.timeout(150)
def test_with_a_sound_card_a_lab_plays_through_it(pulse, tmp_path):
    """Without one the same cell says what is missing, and the lab goes on."""
    (path,) = [path for path in NOTEBOOKS if path.stem == "week02_playback"]
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    folder = {"metadata": {"path": str(tmp_path)}}
    client = NotebookClient(notebook, timeout=60, kernel_name="python3", resources=folder)
    client.execute(env=pulse.env)
    (cell,) = [cell for cell in notebook.cells if cell.id == "wire-card"]
    (output,) = cell.outputs
    assert re.match(r"buffer 80 ms: \d+ underruns", output.text), output.text

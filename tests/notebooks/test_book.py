"""The book: that it has a place for every page, and what becomes of a notebook's outputs in it.

That it builds is tried by `make book`, which runs all notebooks; this holds what is cheap to hold.
"""

import base64
import importlib.util
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "docs" / "book"
NOT_IN_IT = {"README"}
"""The first page: it has the table of contents."""


def load(name, monkeypatch):
    """A file of docs/book, which is no package."""
    monkeypatch.syspath_prepend(str(BOOK))
    spec = importlib.util.spec_from_file_location(name, BOOK / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for needed in ("contents", "run", "still"):
        sys.modules.pop(needed, None)
    return module


@pytest.fixture
def contents(monkeypatch):
    return load("contents", monkeypatch)


def test_every_page_has_its_place_and_only_one(contents):
    found = [page for part in contents.CONTENTS for page in contents.pages(part)]
    places = ["*.md", "docs/*.md", "docs/instructors/*.md", "[a-z]*/README.md", "notebooks/*.ipynb"]
    there = {
        path.relative_to(ROOT).with_suffix("").as_posix()
        for pattern in [*places, "exercises/*.ipynb"]
        for path in ROOT.glob(pattern)
    }
    missing = there - set(found) - NOT_IN_IT
    assert not missing, "a line in docs/book/contents.py is missing"
    assert len(set(found)) == len(found)


def test_every_line_of_it_leads_somewhere(contents):
    for part, patterns in contents.CONTENTS.items():
        assert contents.pages(part) or all("*" in pattern for pattern in patterns), part
        for pattern in patterns:
            assert "*" in pattern or list(ROOT.glob(f"{pattern}.*")), pattern


def test_weeks_are_in_order(contents):
    for part in ("Labs", "Exercises"):
        weeks = [int(week) for week in re.findall(r"/week(\d\d)_", " ".join(contents.pages(part)))]
        assert weeks == sorted(weeks)
        assert weeks


def test_the_configuration_names_what_there_is(monkeypatch):
    conf = load("conf", monkeypatch)
    assert (ROOT / f"{conf.root_doc}.md").exists()
    assert conf.nb_execution_mode == "off", "the notebooks were run, with their pictures described"
    own = Path(conf.html_static_path[0])
    assert all((own / name).exists() for name in conf.html_css_files)
    assert "solutions/week01_frames.*" not in conf.include_patterns
    assert "http" not in (BOOK / "static" / "book.css").read_text()


# Outputs of a run -------------------------------------------------------------------------------

SLIDER = {
    "model_name": "IntSliderModel",
    "state": {"description": "loss <%>", "min": 0, "max": 30, "step": 1, "value": 5},
}
PICTURE = {
    "model_name": "ImageModel",
    "state": {"format": "png"},
    "buffers": [{"path": ["value"], "data": base64.b64encode(b"dots").decode()}],
}
BOX = {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_a", "IPY_MODEL_b"]}}
STATE = "application/vnd.jupyter.widget-state+json"


def shown(tmp_path, monkeypatch, data, widgets=None):
    """What becomes of one output, as HTML."""
    output = nbformat.v4.new_output("display_data", data)
    cell = nbformat.v4.new_code_cell("it", id="it", outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    if widgets:
        notebook.metadata["widgets"] = nbformat.from_dict({STATE: {"state": widgets}})
    done = load("still", monkeypatch).still(notebook, tmp_path, "notebooks/week")
    nbformat.validate(done)
    assert "widgets" not in done.metadata
    return done.cells[0].outputs[0].data["text/html"]


def test_a_picture_is_described_by_its_words(tmp_path, monkeypatch):
    data = {
        "image/png": base64.b64encode(b"dots").decode(),
        "text/plain": '<Picture: 3 packets: 2 "played">',
    }
    html = shown(tmp_path, monkeypatch, data)
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == b"dots"
    assert f'src="../_static/{file.name}"' in html
    assert 'alt="3 packets: 2 &quot;played&quot;"' in html


def test_a_sound_is_a_file_once(tmp_path, monkeypatch):
    player = f'<audio src="data:audio/flac;base64,{base64.b64encode(b"la").decode()}"></audio>'
    html = shown(tmp_path, monkeypatch, {"text/html": player + player})
    (file,) = tmp_path.iterdir()
    assert file.suffix == ".flac"
    assert html == f'<audio src="../_static/{file.name}"></audio>' * 2


def test_sliders_stand_still_with_their_picture(tmp_path, monkeypatch):
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "c"}, "text/plain": "Box()"}
    html = shown(tmp_path, monkeypatch, view, {"a": SLIDER, "b": PICTURE, "c": BOX})
    (file,) = tmp_path.iterdir()
    assert "loss &lt;%&gt;" in html
    assert 'disabled min="0" max="30" step="1" value="5"' in html
    assert f'src="../_static/{file.name}"' in html
    assert "In JupyterLab these can be moved." in html

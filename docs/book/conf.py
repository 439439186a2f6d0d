"""The book: all labs, run, and all documents, to be read before anything is installed.

`make book` runs the notebooks (run.py) and then Sphinx with this file, whose sources are where they
always are: nothing is copied or moved. What a page needs it has with it, sound and search too, so
the book can be read from a disk, and nobody learns from a page who reads it.
"""

import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

sys.path.insert(0, str(Path(__file__).parent))
from contents import CONTENTS, pages
from run import RUN

project = "labkit"
author = "The authors of labkit"
extensions = ["myst_nb"]
root_doc = "README"
parts = {caption: pages(caption) for caption in CONTENTS}
include_patterns = [f"{root_doc}.md", *(f"{page}.*" for part in parts.values() for page in part)]
exclude_patterns = [".*", "build", "dist"]  # not to be looked through

nb_execution_mode = "off"  # run.py did
nb_merge_streams = True
highlight_language = "text"  # what says nothing else is what a terminal shows
myst_heading_anchors = 6
myst_enable_extensions = ["dollarmath"]

html_theme = "furo"
html_title = "labkit"
html_static_path = [str(Path(__file__).parent / "static"), str(RUN / "static")]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_math_renderer = "mathml"

TREE = """
```{{toctree}}
:hidden:
:caption: {caption}
:maxdepth: 1

{pages}
```
"""
MOVED = (
    '<!doctype html><title>labkit</title><meta http-equiv="refresh" content="0; url=README.html">\n'
)


def _source(app: Sphinx, page: str, source: list[str]) -> None:
    """The first page has the table of contents, and a notebook what its run left."""
    if page == root_doc:
        for caption, found in parts.items():
            if found:
                source[0] += TREE.format(caption=caption, pages="\n".join(found))
    elif (ran := RUN / f"{page}.ipynb").exists():
        source[0] = ran.read_text(encoding="utf-8")


def _mathml(translator: HTML5Translator, node: nodes.Element) -> None:
    """Formulas as browsers draw them themselves, with no script from elsewhere."""
    block = isinstance(node, nodes.math_block)
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=block))
    raise nodes.SkipNode


def _finished(app: Sphinx, error: Exception | None) -> None:
    """Who opens the folder comes to the first page."""
    if error is None:
        (Path(app.outdir) / "index.html").write_text(MOVED, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _source)
    app.connect("build-finished", _finished)
    app.add_html_math_renderer("mathml", (_mathml, None), (_mathml, None))

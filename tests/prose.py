"""All that is written for people to read: pages in Markdown, and the Markdown cells of notebooks.

    for page in pages(): page.words(), page.links(), page.pictures(), page.anchors()

Code is no prose: what stands in backticks, in a block, or in a code cell is left out of `words`.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nbformat
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
PLACES = (
    "*.md", "docs/**/*.md", "[a-z]*/README.md", "labkit/**/*.md",
    "notebooks/*.ipynb", "exercises/*.ipynb", "solutions/*.ipynb",
)  # fmt: skip
HTML_LINK = re.compile(r"""<(a|img|audio|source)\b[^>]*?\b(?:href|src)=["']([^"']+)""")
HTML_IMAGE = re.compile(r"<img\b[^>]*>")
HTML_TAG = re.compile(r"<[^>]*>")
ALT = re.compile(r"""\balt=["']([^"']*)""")
_reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Page(NamedTuple):
    """A file, and what in it is Markdown: one piece, or one for each cell."""

    path: Path
    cells: dict[str, str]

    def tokens(self) -> Iterator[Token]:
        """What a Markdown reader finds, inline pieces in the order of the page."""
        for text in self.cells.values():
            for token in _reader.parse(text):
                yield from token.children or (token,)

    def words(self) -> str:
        """The prose alone, a line for a piece of it."""
        lines = []
        for text in self.cells.values():
            for block in _reader.parse(text):
                pieces = [
                    HTML_TAG.sub(" ", piece.content)
                    for piece in (block.children or (block,))
                    if piece.type in ("text", "html_block", "html_inline", "image", "softbreak")
                ]
                lines.append("".join(piece or " " for piece in pieces))
        return "\n".join(filter(str.strip, lines))

    def code(self) -> list[str]:
        """What stands in backticks."""
        return [token.content for token in self.tokens() if token.type == "code_inline"]

    def links(self) -> list[str]:
        """Every address, of pictures too."""
        found = []
        for token in self.tokens():
            if token.type in ("html_block", "html_inline"):
                found += [address for _, address in HTML_LINK.findall(token.content)]
            address = token.attrGet("href") or token.attrGet("src")
            if address:
                found.append(str(address))
        return found

    def pictures(self) -> list[tuple[str, str]]:
        """Each with its description."""
        found = []
        for token in self.tokens():
            if token.type == "image":
                found.append((str(token.attrGet("src")), token.content))
            elif token.type in ("html_block", "html_inline"):
                for picture in HTML_IMAGE.findall(token.content):
                    words = ALT.search(picture)
                    found.append((picture, words[1] if words else ""))
        return found

    def anchors(self) -> set[str]:
        """Of its headings, as GitHub and the book name them."""
        found: set[str] = set()
        for text in self.cells.values():
            blocks = _reader.parse(text)
            for at, block in enumerate(blocks):
                if block.type == "heading_open":
                    pieces = blocks[at + 1].children or []
                    name = slug("".join(piece.content for piece in pieces))
                    same = sum(
                        re.fullmatch(rf"{re.escape(name)}(-\d+)?", x) is not None for x in found
                    )
                    found.add(f"{name}-{same}" if same else name)
        return found


def slug(heading: str) -> str:
    """`Beside nbgrader, and otter` is beside-nbgrader-and-otter."""
    kept = re.sub(r"[^\w\- ]", "", unicodedata.normalize("NFC", heading).strip().lower())
    return kept.replace(" ", "-")


@cache
def read(path: Path) -> Page:
    """One of them."""
    if path.suffix == ".md":
        return Page(path, {"": path.read_text(encoding="utf-8")})
    book = nbformat.read(path, nbformat.NO_CONVERT)
    cells = {cell.id: cell.source for cell in book.cells if cell.cell_type == "markdown"}
    return Page(path, cells)


def paths() -> list[Path]:
    """Of all pages."""
    return sorted({path for place in PLACES for path in ROOT.glob(place)})

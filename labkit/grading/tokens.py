"""Code as a row of tokens in which only its shape is left.

What is easily changed is gone before two submissions are compared: comments, docstrings, blanks,
line breaks; every name is one and the same token, every number another, every text a third.
Keywords, brackets and operators stay as they are. So a copy whose variables were renamed, whose
comments were rewritten and whose lines were broken elsewhere gives the same row.

Any text gives tokens, also one that is no Python: nothing is parsed, and nothing is run.
"""

import keyword
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

NAME, NUMBER, TEXT = "name", "number", "text"
_TOKENS: Final = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
  | (?P<text>[rRbBuUfF]{0,2}(?:\"\"\"(?:[^\\]|\\.)*?(?:\"\"\"|\Z)|'''(?:[^\\]|\\.)*?(?:'''|\Z)
             |"(?:[^"\\\n]|\\.)*(?:"|$)|'(?:[^'\\\n]|\\.)*(?:'|$)))
  | (?P<number>(?:\d|\.\d)[\w.]*)
  | (?P<name>[^\W\d]\w*)
  | (?P<line>\n)
  | (?P<blank>[^\S\n]+|\\\n)
  | (?P<sign>\*\*=|//=|>>=|<<=|\.\.\.|[-+*/%&|^@:=!<>]=|->|\*\*|//|<<|>>|.)
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_KEYWORDS: Final = frozenset(keyword.kwlist)


class Token(NamedTuple):
    """One of them, and where it stood."""

    kind: str
    cell: int
    line: int


def tokens(source: str, cell: int = 0) -> Iterator[Token]:
    """The tokens of a cell; lines count from 1."""
    line = 1
    begins = True  # a statement: a text that is one by itself is a docstring
    held: Token | None = None
    for match in _TOKENS.finditer(source):
        group, said = match.lastgroup, match[0]
        if group == "line":
            held, begins = None, True
        elif group not in ("comment", "blank"):
            if held is not None:
                yield held
                held = None
            if group == "text" and begins:
                held = Token(TEXT, cell, line)
            elif group == "text":
                yield Token(TEXT, cell, line)
            elif group == "name":
                yield Token(said if said in _KEYWORDS else NAME, cell, line)
            else:
                yield Token(NUMBER if group == "number" else said, cell, line)
            begins = said in (":", ";")
        line += said.count("\n")

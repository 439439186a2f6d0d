"""One's own parts, as the exercise notebooks define them (week 12).

    parts = own_parts("exercises")
    card = capstone(parts, name="Ada")

It runs the notebooks' code in this process: for one's own notebooks only. Which names are a part,
and of what, `labkit.lab.capstoneparts` knows.
"""

from pathlib import Path
from typing import Any

from labkit.checks.notebook import execute, read
from labkit.lab.capstoneparts import PLACES, parts_of
from labkit.words.errors import BadInput


def own_parts(*folders: str | Path) -> dict[str, Any]:
    """The parts in the notebooks `weekNN_*.ipynb` of these folders; later folders count more.

    Cells that check or play are not run. What is only begun is in it, too: the call finds out.
    """
    found: dict[str, Any] = {}
    notebooks = [path for folder in folders for path in sorted(Path(folder).glob("week??_*.ipynb"))]
    if not notebooks:
        where = ", ".join(map(str, folders)) or "no folder"
        raise BadInput(f"no notebooks weekNN_… in {where}", 'own_parts("exercises")')
    for path in notebooks:
        week = path.name[4:6]
        places = [place for place in PLACES if place.exercise.startswith(week)]
        if places:
            names, _ = execute(read(path))
            found |= parts_of(names, places)
    return found

"""What stands in the book, in which order: the one list. A test holds it to the files there are.

A page is a path from the root of the project without its ending, as Sphinx has it; with a star it
is all of those, by name, so that a new week needs no line here.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTENTS = {
    "Begin": ["docs/install", "docs/syllabus", "docs/glossary"],
    "Labs": ["notebooks/index*", "notebooks/week*", "notebooks/elective*"],
    "Exercises": ["exercises/README", "exercises/week*"],
    "What a voice meets": [
        "docs/jitter-buffers", "docs/rate-adaptation", "docs/quic", "docs/broadcast",
        "docs/security", "docs/getting-through", "docs/nat", "docs/qos", "docs/hostility",
    ],
    "Tools": [
        "docs/lab-network", "docs/engines", "netem/README", "captures/README", "docs/replay",
        "docs/observability", "docs/browser-sound",
    ],
    "For instructors": [
        "docs/instructors/*", "docs/capstone", "docs/checks", "docs/grading", "docs/gradebook",
        "docs/nbgrader", "docs/many-machines", "solutions/README",
    ],
    "The kit": [
        "docs/architecture", "docs/benchmarks", "docs/fuzzing", "CONTRIBUTING", "CHANGELOG",
    ],
}  # fmt: skip


def pages(part: str) -> list[str]:
    """The pages of a part that exist, in order."""
    found = [path for pattern in CONTENTS[part] for path in sorted(ROOT.glob(f"{pattern}.*"))]
    kept = (path.relative_to(ROOT) for path in found if path.suffix in (".md", ".ipynb"))
    return [path.with_suffix("").as_posix() for path in kept]

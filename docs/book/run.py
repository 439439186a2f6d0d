"""Runs the labs and exercises for the book, two at a time; what has not changed is not run again.

    python docs/book/run.py

Each runs in an empty folder, as if it had just been opened, and must come to its end; what its
outputs become for a page without a kernel, still.py says. The results lie in build/book-run and
nowhere else: stored notebooks have no outputs.
"""

import asyncio
import hashlib
import os
import sys
import tempfile

import nbformat
from contents import CONTENTS, ROOT, pages
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from still import still

RUN = ROOT / "build" / "book-run"
SECONDS = 300
"""For one cell, on a busy machine."""


def kit() -> bytes:
    """A digest of all that a notebook can get from the kit: if it changes, all run again."""
    digest = hashlib.sha256()
    for folder in ("labkit", "captures", "netem", "docs/book"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.digest()


async def run(page: str, of_kit: bytes, free: asyncio.Semaphore) -> str:
    """One notebook, if there is not yet a run of just this one; what went wrong, or nothing."""
    source, ran = ROOT / f"{page}.ipynb", RUN / f"{page}.ipynb"
    stamp = hashlib.sha256(of_kit + source.read_bytes()).hexdigest()
    kept = ran.with_suffix(".stamp")
    if kept.exists() and kept.read_text() == stamp:
        return ""
    notebook = nbformat.read(source, nbformat.NO_CONVERT)
    async with free:
        print(f"running {page}", flush=True)
        with tempfile.TemporaryDirectory(prefix="book-") as folder:
            client = NotebookClient(
                notebook, timeout=SECONDS, kernel_name="python3",
                resources={"metadata": {"path": folder}}, extra_arguments=["--log-level=ERROR"],
            )  # fmt: skip
            try:
                await client.async_execute(env=os.environ | {"LABKIT_HOME": f"{folder}/home"})
            except (CellExecutionError, DeadKernelError, CellTimeoutError) as error:
                return f"{page}: {error}"
    ran.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(still(notebook, RUN / "static", page), ran)
    kept.write_text(stamp)
    return ""


async def main() -> int:
    """All of them."""
    free, of_kit = asyncio.Semaphore(os.cpu_count() or 1), kit()
    notebooks = [
        page for part in CONTENTS for page in pages(part) if (ROOT / f"{page}.ipynb").exists()
    ]
    wrong = list(filter(None, await asyncio.gather(*(run(n, of_kit, free) for n in notebooks))))
    for each in wrong:
        print(each, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

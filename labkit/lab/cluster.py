"""Work spread over the workers of a Dask scheduler: bytes go there, bytes come back.

    with Cluster("tcp://lab.example.org:8786") as cluster:
        for number, answer in cluster.spread(work, jobs): ...

The face is that of `labkit.lab.spread`. A job whose worker is lost goes to another one; a job that
has lost `LIVES` workers is given up, and told as `LostWork`. Jobs are held here and at the
scheduler until their answers have come, a few for each place at a time, so nothing is lost with a
worker, and a large class does not fill the scheduler's memory.

Every worker must run the labkit that we run, to the last line: otherwise grades depend on who
graded. `stamp` travels with each job and is compared where the job is done, also on workers that
come later. A scheduler runs the code of whoever reaches it: see `certificates`, and
docs/many-machines.md.
"""

import contextlib
import hashlib
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import labkit
from labkit.lab.spread import Work
from labkit.words.errors import BadInput, LabError, MissingCapability

LIVES: Final = 4
"""So many workers may be lost with one job."""
AHEAD: Final = 2
"""Jobs at the scheduler for each place: none waits for us, and no more than that are there."""
PATIENCE: Final = 30
"""Seconds until the scheduler must answer, and then until there must be a worker."""
EXTRA: Final = "pip install 'labkit[grade]'"


class OtherVersion(LabError):
    """A worker runs another labkit, or another Python, than we do."""


class LostWork(LabError):
    """A job was given up: the workers that had it ended."""


@cache
def stamp() -> str:
    """Names this labkit: version, Python, and a fingerprint of every line of its code."""
    whole = hashlib.sha256()
    home = Path(labkit.__file__).parent
    for path in sorted(home.rglob("*.py")):
        code = path.read_bytes()
        whole.update(f"{path.relative_to(home).as_posix()} {len(code)} ".encode() + code)
    python = ".".join(platform.python_version_tuple()[:2])
    return f"labkit {labkit.__version__} ({whole.hexdigest()[:12]}) on Python {python}"


@dataclass(frozen=True, slots=True)
class Job:
    """Bytes that nobody prints: Dask writes what a failing task was given into its log."""

    data: bytes = field(repr=False)


def do(work: Work, ours: str, job: Job) -> tuple[str, bytes]:
    """On the worker: the stamp of its labkit, and the answer when that is the one asked for."""
    theirs = stamp()
    return theirs, work(job.data) if theirs == ours else b""


class Cluster:
    """A scheduler and its workers.

    `certificates` is a folder in which `labkit certs node` wrote: then all talk over TLS, and know
    each other by it. `MissingCapability` without Dask, `BadInput` when nobody is there.
    """

    def __init__(
        self,
        url: str,
        certificates: Path | None = None,
        *,
        patience: float = PATIENCE,
        for_workers: float = PATIENCE,
    ) -> None:
        distributed = _distributed()
        options: dict[str, Any] = {"security": security(certificates)} if certificates else {}
        self._distributed = distributed
        try:
            self._client: Any = distributed.Client(
                url, timeout=patience, set_as_default=False, **options
            )
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0][:200]
            what = f"no scheduler answers at {url} ({said})"
            raise BadInput(what, "dask scheduler, and the address that it prints") from None
        try:
            self._client.wait_for_workers(1, timeout=for_workers)
        except (TimeoutError, self._distributed.TimeoutError):
            self.close()
            raise BadInput(f"no worker came to {url}", f"dask worker {url}") from None
        self.places = max(1, sum(self._client.nthreads().values()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye to the scheduler. What nobody waits for any more is not begun."""
        self._client.close(timeout=2)

    def everywhere(self, work: Callable[[], None]) -> None:
        """Have this done on every worker that can be reached: tidying up, no more."""
        with contextlib.suppress(Exception):
            self._client.run(work, on_error="ignore", wait=False)

    def spread(self, work: Work, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """The number of each job and its answer, as they are ready."""
        for number, answer in self.attempt(work, jobs):
            if isinstance(answer, LabError):
                raise answer
            yield number, answer

    def attempt(self, work: Work, jobs: Sequence[bytes]) -> Iterator[tuple[int, bytes | LostWork]]:
        """The same, and what is given up is told in its place: the others go on."""
        numbers: dict[Any, int] = {}
        waiting = iter(range(len(jobs)))
        coming = self._distributed.as_completed(loop=self._client.loop)

        def give(count: int) -> None:
            for number in (n for _, n in zip(range(count), waiting, strict=False)):
                future = self._submit(work, jobs[number])
                numbers[future] = number
                coming.add(future)

        try:
            give(self.places * AHEAD)
            for future in coming:
                yield numbers[future], self._answer(future)
                del numbers[future]
                give(1)
        finally:
            for future in numbers:
                with contextlib.suppress(Exception):  # the scheduler may be gone
                    future.cancel()

    def _submit(self, work: Work, job: bytes) -> Any:
        return self._client.submit(do, work, stamp(), Job(job), pure=False)

    def _answer(self, future: Any) -> bytes | LostWork:
        try:
            theirs, answer = future.result()
        except self._distributed.KilledWorker:
            return LostWork(f"{LIVES} workers that had it ended, one after the other")
        except ImportError as error:
            what = f"a worker cannot import {error.name}"
            raise OtherVersion(f"{what}\n  try: {EXTRA} on every worker, as here") from None
        if theirs != stamp():
            raise OtherVersion(
                f"a worker runs {theirs}, here is {stamp()}\n  try: the same on every machine"
            )
        data: bytes = answer
        return data


def security(folder: Path) -> Any:
    """Dask's own TLS, with what `labkit certs node` wrote into this folder."""
    ca, cert, key = (str(folder / name) for name in ("ca.pem", "node.pem", "node-key.pem"))
    for name in (ca, cert, key):
        if not Path(name).is_file():
            raise BadInput(f"there is no {name}", f"labkit certs node --folder {folder}")
    return _distributed().Security(
        require_encryption=True,
        tls_ca_file=ca,
        tls_client_cert=cert,
        tls_client_key=key,
    )


def _distributed() -> Any:
    """Dask, which is imported when it is needed: it takes half a second."""
    try:
        return import_module("distributed")
    except ImportError:
        raise MissingCapability("Dask is not installed", EXTRA) from None

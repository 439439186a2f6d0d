"""How much a submission may use.

There is one process inside a sandbox and there can be no second one (`labkit.grading.seccomp`), so
what the kernel counts for a process (getrlimit(2)) it counts for the submission as a whole: time of
the processor, memory, files. Three times are kept by the clock: that of a cell, that of all calls
which a check makes, and that of everything together.
"""

from dataclasses import dataclass
from typing import Final

from labkit.checks.subject import TIME

MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one submission. Seconds, bytes, numbers."""

    cell_seconds: float = 10.0
    """For one cell."""
    check_seconds: float = TIME
    """For all calls of one check together: as in the notebook."""
    grace_seconds: float = 2.0
    """Beyond those two, until a process that does not answer is ended."""
    wall_seconds: float = 180.0
    """For everything, with what is begun again after the process has ended."""
    cpu_seconds: int = 60
    """Of the processor, for one process."""
    memory: int = 1024 * MB
    """Address space: what the code takes, and the libraries it imports."""
    scratch: int = 32 * MB
    """Of /tmp, the only place that can be written to. It is memory."""
    file_size: int = 16 * MB
    """Of one file."""
    open_files: int = 64
    threads: int = 32
    """The first one counts."""
    printed: int = 4000
    """Characters of what a cell prints that are kept: the last ones."""
    revivals: int = 6
    """So many times a process that the code has ended is started again for what comes next."""

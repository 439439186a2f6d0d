"""A capture file, piece by piece: every pass over one begins here.

Four megabytes at a time: large enough for numpy, small enough for the processor's cache, and all
the memory that a file of any size takes.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from labkit.wire.datagrams import DatagramReader, Datagrams
from labkit.wire.pcapreader import CaptureReader
from labkit.words.errors import BadInput

PIECE: Final = 4 << 20

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many bytes are done, and of how many; the latter is 0 when that is not known."""


class CaptureFile:
    """One pass over a file; afterwards `capture.error` says whether it reached the end."""

    def __init__(self, path: str | Path, progress: Progress | None = None) -> None:
        self.path = Path(path)
        self.capture = CaptureReader()
        self.reader = DatagramReader()
        self._progress = progress

    def datagrams(self) -> Iterator[Datagrams]:
        """Every UDP datagram, in batches. `BadInput` when this is no file, or not a capture."""
        try:
            with self.path.open("rb", buffering=0) as file:
                size = self.path.stat().st_size if self.path.is_file() else 0
                while self.capture.error is None:
                    count = file.readinto(self.capture.room(PIECE))
                    if not count:
                        break
                    yield self.reader.read(self.capture.filled(count))
                    if self._progress is not None:
                        self._progress(file.tell() if size else self.capture.offset, size)
        except OSError as error:
            raise BadInput(
                f"cannot read {self.path}: {error.strerror}", "the path of a pcap or pcapng file"
            ) from error
        self.capture.receive_eof()
        if self.capture.error is not None and not self.capture.packets:
            raise BadInput(
                f"{self.path}: no packet can be read: {self.capture.error}",
                "a pcap or pcapng file, as tshark, tcpdump and `labkit` write them",
            )

    @property
    def note(self) -> str:
        """How far the pass came, when it did not come to the end."""
        error = self.capture.error
        if error is None:
            return ""
        count = f"{self.capture.packets:,}".replace(",", " ")
        return f"{count} packets read, then the file is damaged: {error}"

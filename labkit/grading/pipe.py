"""Frames on the pipes between a grader and the process that runs a student's code.

     0        4                12
     ├─ size ─┼──── number ────┼─ UTF-8 text, `size` bytes ─┤       both in network byte order

A request has a number and its answer has the same. There is one request at a time, so an answer
with another number was written by nobody who was asked: the student's code can write to this pipe
as the worker can. Whatever it writes harms nobody else's grade. A frame announces its size before
it comes, and one that is too large is not read.

The other end may read nothing, answer nothing or answer a byte a second: `Pipes` has a deadline for
the whole of a question. This module knows no values: the text is that of `labkit.checks.pipe`.
"""

import os
import select
import struct
import time
from typing import Final

from labkit.checks.pipe import LONGEST

HEADER: Final = struct.Struct("!IQ")
CHUNK: Final = 1 << 18


class NoAnswer(Exception):
    """There is none, and there will be none."""


class TooLate(NoAnswer):
    """The time is over."""


class Gone(NoAnswer):
    """The other end has closed the pipe."""


class Forged(NoAnswer):
    """What came is no answer to what was asked."""


def frame(number: int, text: str) -> bytes:
    """One frame."""
    data = text.encode()
    return HEADER.pack(len(data), number) + data


class Pipes:
    """The grader's side: ask, and have an answer by the deadline or a `NoAnswer`."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._asked = 0
        for end in (reading, writing):
            os.set_blocking(end, False)

    def ask(self, text: str, deadline: float) -> str:
        """Send a request; what was answered. `deadline` is of time.monotonic()."""
        self._asked += 1
        self._write(frame(self._asked, text), deadline)
        return self.answer(self._asked, deadline)

    def answer(self, number: int, deadline: float) -> str:
        """The next answer, which must have this number."""
        size, answered = HEADER.unpack(self._read(HEADER.size, deadline))
        if answered != number or size > LONGEST:
            raise Forged("something else was written into the grader's pipe")
        try:
            return self._read(size, deadline).decode()
        except UnicodeDecodeError:
            raise Forged("something that is no text was written into the pipe") from None

    def _write(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            self._wait(self._writing, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(self._writing, rest[:CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise Gone("the process has closed the pipe") from None

    def _read(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._wait(self._reading, select.POLLIN, deadline)
            try:
                some = os.read(self._reading, min(size - len(data), CHUNK))
            except BlockingIOError:
                continue
            if not some:
                raise Gone("the process has ended")
            data += some
        return bytes(data)

    @staticmethod
    def _wait(end: int, event: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        poll = select.poll()
        poll.register(end, event)
        if left <= 0 or not poll.poll(left * 1000):
            raise TooLate("there was no answer in time")


def read_frame(end: int) -> tuple[int, str] | None:
    """The worker's side: the next request and its number; None when there is no more."""
    head = _read_all(end, HEADER.size)
    if head is None:
        return None
    size, number = HEADER.unpack(head)
    data = _read_all(end, size)
    return None if data is None else (number, data.decode())


def write_frame(end: int, number: int, text: str) -> None:
    """The worker's side: an answer."""
    rest = memoryview(frame(number, text))
    while rest:
        rest = rest[os.write(end, rest) :]


def _read_all(end: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        some = os.read(end, min(size - len(data), CHUNK))
        if not some:
            return None
        data += some
    return bytes(data)

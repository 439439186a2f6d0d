"""What a stranger may write into the pipe, and the program that the kernel runs for his calls."""

import errno
import os
import re
import struct
import threading
import time
from pathlib import Path

import pytest

from labkit.checks import pipe as text
from labkit.checks.plain import NotPlain
from labkit.grading import seccomp
from labkit.grading.pipe import HEADER, Forged, Gone, Pipes, TooLate, frame, read_frame, write_frame

# Frames -----------------------------------------------------------------------------------------


class Ends:
    """The grader's side, and the two ends of the other."""

    def __init__(self):
        reading, self.answers = os.pipe()
        self.requests, self.writing = os.pipe()
        self._open = {reading, self.answers, self.requests, self.writing}
        self.pipes = Pipes(reading, self.writing)

    def close(self, *ends):
        for end in ends or tuple(self._open):
            self._open.remove(end)
            os.close(end)


@pytest.fixture
def ends():
    ends = Ends()
    yield ends
    ends.close()


def soon():
    return time.monotonic() + 10


def at_once():
    return time.monotonic() + 0.05


def test_a_request_and_its_answer(ends):
    pipes, requests, answers = ends.pipes, ends.requests, ends.answers
    long = "ü" * 300_000

    def worker():
        while (request := read_frame(requests)) is not None:
            number, said = request
            write_frame(answers, number, said[::-1])

    thread = threading.Thread(target=worker)
    thread.start()
    assert pipes.ask("abc", soon()) == "cba"
    assert pipes.ask(long, soon()) == long
    ends.close(ends.writing)
    thread.join()


def test_the_frame_is_as_it_is_drawn():
    assert frame(7, "é") == bytes.fromhex("00000002 0000000000000007 c3a9")


@pytest.mark.parametrize(
    "written",
    [
        frame(2, "too early"),
        frame(0, "too late"),
        HEADER.pack(2**32 - 1, 1),
        HEADER.pack(2, 1) + b"\xff\xfe",
        b"points: 100 of 100",
    ],
)
def test_what_was_not_asked_for_is_no_answer(ends, written):
    os.write(ends.answers, written)
    with pytest.raises(Forged):
        ends.pipes.ask("what?", soon())


@pytest.mark.parametrize("written", [b"", b"\x00", HEADER.pack(100, 1) + b"x" * 99])
def test_half_an_answer_is_none(ends, written):
    os.write(ends.answers, written)
    with pytest.raises(TooLate):
        ends.pipes.ask("what?", at_once())
    ends.close(ends.answers)
    with pytest.raises(Gone):
        ends.pipes.answer(1, soon())


def test_who_does_not_read_is_not_waited_for(ends):
    with pytest.raises(TooLate):
        ends.pipes.ask("x" * 1_000_000, at_once())
    ends.close(ends.requests)
    with pytest.raises(Gone):
        ends.pipes.ask("x", soon())


# Lines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('[["returned",' + "[]," * 3_000_000 + "[]]]", "parts"),
        ("[" * 1_000_000, "parts"),
        ('[["returned",{"d":[' + ",".join(f"[{n * (2**61 - 1)},0]" for n in range(60_000)) + "]}]]",
         "a key that is none"),
        ('[["raised",["E"],"m",null,[1]]]', "no names"),
        ('[["returned",{"a":["int16",[99999999999999999999],"AAA="]}]]', "cannot be read"),
        ('[["timed out",[],null]]', "cannot be read"),
        ('[["timed out",1e999,["x",1e999,""]]]', "a line without a number"),
    ],
)  # fmt: skip
def test_a_line_that_would_cost_us_dearly_is_refused_at_once(line, said):
    begun = time.process_time()
    with pytest.raises(NotPlain, match=said):
        text.outcomes_from_text(line, 1)
    assert time.process_time() - begun < 2


def test_a_strangers_words_do_not_move_the_cursor():
    (outcome,) = text.outcomes_from_text(
        r'[["raised",["E"],"a\u001b[2J\ud800\nb",null,{"d":[]}]]', 1
    )
    assert outcome.message == "a·[2J·\nb"


# Calls ------------------------------------------------------------------------------------------

ARCHES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
CLONE = {"x86_64": 56, "aarch64": 220}
SOCKET = {"x86_64": 41, "aarch64": 198}
FOR_A_THREAD = 0x3D0F00
"""The flags with which glibc makes one: CLONE_VM, CLONE_THREAD, CLONE_SETTLS and more."""
SIGCHLD = 17


def kernel(machine, number, argument=0, arch=None):
    """What the program says to a call: the machine of bpf(4), as far as it is used."""
    rows = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    data = struct.pack("=IIQQ", number, arch or ARCHES[machine], 0, argument)
    word, at = 0, 0
    while True:
        code, yes, no, value = rows[at]
        at += 1
        match code:
            case 0x20:
                word = struct.unpack_from("=I", data, value)[0]
            case 0x15:
                at += yes if word == value else no
            case 0x35:
                at += yes if word >= value else no
            case 0x45:
                at += yes if word & value else no
            case 0x06:
                return value
            case _:
                raise AssertionError(code)


def refused(number):
    return 0x0005_0000 | number


ALLOWED, KILLED = 0x7FFF_0000, 0x8000_0000


@pytest.mark.parametrize("machine", ARCHES)
def test_the_program_says_what_it_should(machine):
    clone, socket = CLONE[machine], SOCKET[machine]
    assert kernel(machine, clone, FOR_A_THREAD) == ALLOWED
    assert kernel(machine, clone, SIGCHLD) == refused(errno.EPERM)
    assert kernel(machine, 435) == refused(errno.ENOSYS), "clone3, so that libc uses clone"
    for family in range(50):
        allowed = family in (1, 2, 10, 16)
        wanted = ALLOWED if allowed else refused(errno.EAFNOSUPPORT)
        assert kernel(machine, socket, family) == wanted
        assert kernel(machine, socket, family | 1 << 32) == wanted, "the kernel reads an int"
    _, table = seccomp.TABLES[machine]
    for name, number in {**table, **seccomp.COMMON}.items():
        if name not in ("clone", "socket", "socketpair"):
            assert kernel(machine, number) in (refused(errno.EPERM), refused(errno.ENOSYS)), name
    assert kernel(machine, 63 if machine == "aarch64" else 0) == ALLOWED, "read"
    assert kernel(machine, clone, FOR_A_THREAD, arch=0x4000_0003) == KILLED, "as 32 bit"


def test_the_second_table_of_calls_is_closed():
    assert kernel("x86_64", 0x4000_0000 + 57) == KILLED
    assert kernel("x86_64", 0xFFFF_FFFF) == KILLED


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_the_numbers_are_the_kernels(machine, header):
    found = sorted(Path("/").glob(header[1:]))
    if not found:
        pytest.skip("no headers of the kernel (linux-libc-dev)")
    said = found[0].read_text()
    numbers = {n: int(v) for n, v in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\n", said)}
    _, table = seccomp.TABLES[machine]
    for name, number in {**seccomp.COMMON, **table}.items():
        # The headers may be older than one of the young ones.
        assert numbers.get(name, number if name in seccomp.COMMON else None) == number, name

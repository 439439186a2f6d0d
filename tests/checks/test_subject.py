"""The seam: what passes between a check and a student's code, and what does not."""

import enum
import sys
import threading
import time
from typing import NamedTuple

import numpy as np
import pytest

from labkit.checks import pipe
from labkit.checks.limit import TimeUp, limit
from labkit.checks.plain import NotPlain, plain, same, shown
from labkit.checks.subject import (
    Ask,
    Died,
    Handle,
    InProcess,
    Missing,
    Raised,
    Returned,
    TimedOut,
    Unfit,
)
from labkit.words.errors import Malformed
from labkit.words.packet import Packet


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.IntEnum):
    RED = 3


class AlwaysEqual:
    """The oldest trick."""

    def __eq__(self, other):
        return True

    __hash__ = None


class LiesAboutItsType:
    @property
    def __class__(self):
        return int


VALUES = [
    None, True, 0, -(2**100), 1.5, float("inf"), "text", b"\x00\xff", [1, [2]], (1, (2, "x")),
    {"a": [1], 3: b"x"}, Packet(65535, 960, b"sound", True, 111, 7), {}, [], (), "", b"",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_pass_as_they_are(value):
    copied = plain(value)
    assert same(copied, value)
    assert type(copied) is type(value)
    (line,) = [pipe.outcomes_to_text([Returned(copied)])]
    assert same(pipe.outcomes_from_text(line, 1)[0].value, value)
    ask = Ask("call", "f", (value, 2))
    assert same(pipe.asks_from_text(pipe.asks_to_text([ask]))[0].args, (value, 2))


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (np.int64(7), 7),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (Colour.RED, 3),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
        (Point(1, 2), (1, 2)),
    ],
)
def test_what_people_return_by_habit_is_taken_for_what_it_means(given, taken):
    assert same(plain(given), taken)


def test_arrays_pass_in_the_byte_order_of_this_machine():
    array = np.array([[1], [-2]], ">i2")
    for copied in (plain(array), _through_text(plain(array))):
        assert copied.dtype == np.int16
        assert copied.tolist() == [[1], [-2]]


def _through_text(value):
    return pipe.outcomes_from_text(pipe.outcomes_to_text([Returned(value)]), 1)[0].value


def _cycle():
    inner = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (AlwaysEqual(), "an AlwaysEqual"),
        (AlwaysEqual, "a type"),
        (1 << 4000, "an integer of 4001 bits"),
        (b"x" * 5_000_000, "more than 4 MB"),
        (["x" * 1_000_000] * 5, "more than 4 MB"),
        ([0] * 100_001, "more than 100000 items"),
        (_cycle(), "more than 8 deep"),
        (1j, "a complex"),
        (np.zeros((2, 2, 2)), "3 dimensions"),
        (np.array(["a"]), "an array of str"),
        (Packet("1", 2, b""), "a Packet whose seq is a str"),
        ({(1, 2): 3}, "a tuple for a key"),
    ],
)
def test_the_rest_does_not_pass(value, said):
    with pytest.raises(NotPlain, match=said):
        plain(value)


def test_no_method_of_a_strangers_class_is_called():
    class Evil(int):
        def __pos__(self):
            raise AssertionError

        __eq__ = __index__ = __int__ = bit_length = __pos__
        __hash__ = int.__hash__

    class EvilList(list):
        def __iter__(self):
            raise AssertionError

        __len__ = __iter__

    assert same(plain([Evil(3), EvilList([1])]), [3, [1]])
    assert type(plain(Evil(3))) is int


@pytest.mark.parametrize(
    ("found", "wanted"),
    [(True, 1), (1, True), (1.0, 1), ([1], (1,)), ("1", 1), (b"1", "1"), ([1], [1, 2])],
)
def test_equality_is_ours_and_knows_types(found, wanted):
    assert not same(found, wanted)


def test_an_integer_will_do_where_a_float_is_wanted():
    assert same(60, 60.0)


def test_long_values_are_shown_in_a_line():
    for value in (b"x" * 1000, "x" * 1000, list(range(1000)), np.zeros(1000, np.int16)):
        assert len(shown(value)) < 120
    assert shown(b"\x01\x02") == "2 bytes: 01 02"


# Asking -----------------------------------------------------------------------------------------


class Buffer:
    def __init__(self, delay):
        self.delay = delay
        self.packets = []

    def push(self, packet):
        self.packets.append(packet)

    def pull(self):
        return self.packets.pop(0)


def divide(a, b):
    return a / b


def refuse(data):
    raise Malformed("ver", 0, "2, not 1", "labkit frame")


def leave():
    sys.exit("bye")


def both_ways(names):
    """The subject itself, and one whose every question and outcome goes through text."""

    class ThroughText(InProcess):
        def ask(self, asks):
            asks = pipe.asks_from_text(pipe.asks_to_text(asks))
            line = pipe.outcomes_to_text(super().ask(asks))
            return pipe.outcomes_from_text(line, len(asks))

    return [InProcess(names), ThroughText(names)]


@pytest.fixture(params=[0, 1], ids=["in process", "through text"])
def subject(request):
    names = {
        "divide": divide, "Buffer": Buffer, "slowest": 31.5, "refuse": refuse, "leave": leave,
        "odd": lambda: AlwaysEqual(),
    }  # fmt: skip
    return both_ways(names)[request.param]


def test_a_function_a_value_an_object(subject):
    assert subject.call("divide", 1, 2) == Returned(0.5)
    assert subject.value("slowest") == Returned(31.5)
    assert subject.has("divide")
    assert not subject.has("multiply")
    buffer = subject.make("Buffer", 60)
    assert isinstance(buffer, Handle)
    assert buffer.value("delay") == Returned(60)
    assert buffer.has("push")
    packet = Packet(1, 960, b"x")
    assert buffer.run([("push", packet), ("pull",)]) == [Returned(None), Returned(packet)]


def test_a_row_ends_with_the_first_that_does_not_return(subject):
    buffer = subject.make("Buffer", 60)
    first, second = buffer.run([("push", Packet(1, 0, b"")), ("drop",), ("pull",)])
    assert first == Returned(None)
    assert second == Missing("drop")


def test_an_error_has_the_students_line_and_not_ours(subject):
    outcome = subject.call("divide", 1, 0)
    assert isinstance(outcome, Raised)
    assert outcome.kinds[:2] == ("ZeroDivisionError", "ArithmeticError")
    assert outcome.where.place == "test_subject.py"
    assert outcome.where.code == "return a / b"


def test_the_fields_of_an_error_come_along(subject):
    outcome = subject.call("refuse", b"")
    assert "WireError" in outcome.kinds
    assert outcome.fields["field"] == "ver"


def test_leaving_is_an_error_like_others(subject):
    assert subject.call("leave").kind == "SystemExit"


def test_what_is_no_plain_value_is_named(subject):
    assert subject.call("odd") == Unfit("an AlwaysEqual")
    assert subject.make("Nothing") == Missing("Nothing")
    assert isinstance(subject.call("slowest"), Missing)


def test_what_is_printed_is_kept_and_not_shown(capfd):
    subject = InProcess({"f": lambda: print("x" * 5000)})
    assert subject.call("f") == Returned(None)
    assert subject.printed() == "x" * 2000
    assert capfd.readouterr() == ("", "")


# Time -------------------------------------------------------------------------------------------


def loop():
    while True:
        pass


def sleep():
    time.sleep(60)


def swallow():
    while True:
        try:  # noqa: SIM105  (as a student writes it)
            time.sleep(0.01)
        except BaseException:  # noqa: BLE001
            pass


def swallow_and_sleep():
    while True:
        try:
            swallow()
        except BaseException:  # noqa: BLE001
            while True:
                try:
                    time.sleep(5)
                except BaseException:  # noqa: BLE001
                    continue


@pytest.mark.parametrize("forever", [loop, sleep, swallow, swallow_and_sleep])
def test_nothing_runs_for_ever(forever):
    subject = InProcess({"f": forever, "g": lambda: 1}, seconds=0.1)
    begun = time.monotonic()
    outcome = subject.call("f")
    assert isinstance(outcome, TimedOut)
    assert outcome.where.place == "test_subject.py"
    assert time.monotonic() - begun < 5
    assert isinstance(subject.call("f"), TimedOut), "the time is that of all calls together"


def test_nothing_rings_afterwards():
    with pytest.raises(TimeUp), limit(0.01):
        loop()
    time.monotonic()
    with limit(0.02):
        pass
    deadline = time.monotonic() + 0.1
    while time.monotonic() < deadline:
        pass


def test_another_thread_has_a_limit_too():
    found = []
    subject = InProcess({"f": loop}, seconds=0.05)
    thread = threading.Thread(target=lambda: found.append(subject.call("f")))
    thread.start()
    thread.join(10)
    assert isinstance(found[0], TimedOut)


# What a stranger's process may answer -------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        "null",
        "7",
        '[["returned"]]',
        '[["returned",1],["returned",2]]',
        '[["points",100]]',
        '[["died","x"]]',
        '[["raised",[],"",null,{"d":[]}]]',
        '[["returned",{}]]',
        '[["returned",{"b":"$$"}]]',
        '[["returned",{"x":1}]]',
        '[["returned",{"a":["object",[1],""]}]]',
        '[["returned",{"a":["int16",[99],"AAA="]}]]',
        '[["returned",{"a":["int16",[-1,0],""]}]]',
        '[["returned",{"d":[[[1],2]]}]]',
        '[["returned",{"p":[1,2,3]}]]',
        '[["unfit",7]]',
        '[["raised",["X"],"",["f","1",""],{"d":[]}]]',
        '[["returned",' + "[" * 5000 + "]" * 5000 + "]]",
        '[["returned",' + "9" * 5000 + "]]",
        '[["returned",' + "9" * 1000 + "]]",
    ],
)
def test_only_what_we_wrote_is_read(line):
    with pytest.raises(NotPlain):
        pipe.outcomes_from_text(line, 1)


def test_not_a_number_is_no_trouble():
    (outcome,) = pipe.outcomes_from_text('[["returned",NaN]]', 1)
    assert same(outcome.value, float("nan"))
    assert not same(outcome.value, 1.0)


def test_too_long_an_answer_is_not_read():
    with pytest.raises(NotPlain, match="characters"):
        pipe.outcomes_from_text(" " * (pipe.LONGEST + 1), 1)


def test_that_it_died_only_this_side_can_say():
    assert Died("killed").why == "killed"

"""A trace keeps what is written to it, in order, and gives it back as text."""

import io
import json

from labkit.words.trace import Did, Entry, Trace


def written() -> Trace:
    trace = Trace()
    trace.add((0, Did.SENT, 1, 160))
    trace.add((5, Did.LOST, 1, 0))
    trace.add((7, Did.SENT, 2, 160))
    return trace


def test_entries_come_back_in_the_order_in_which_they_were_written():
    trace = written()
    assert len(trace) == 3
    assert list(trace) == [
        Entry(0, Did.SENT, 1, 160),
        Entry(5, Did.LOST, 1, 0),
        Entry(7, Did.SENT, 2, 160),
    ]


def test_some_kinds_only():
    assert [entry.seq for entry in written().of(Did.SENT)] == [1, 2]
    assert [entry.did for entry in written().of(Did.LOST, Did.SENT)] == [
        Did.SENT,
        Did.LOST,
        Did.SENT,
    ]
    assert list(written().of(Did.PLAYED)) == []


def test_jsonl_is_one_object_a_line():
    out = io.StringIO()
    written().write_jsonl(out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[1] == {"now": 5, "did": "lost", "seq": 1, "value": 0}
    assert len(lines) == 3

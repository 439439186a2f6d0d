"""Reading a trace again: columns, events, pictures."""

import numpy as np
import pytest

from labkit.core.figures import ClientFigures, ReceiverFigures, ServerFigures
from labkit.core.session import Closed, Joined
from labkit.lab.tracelog import load_trace
from labkit.live.tracefile import TraceFile
from labkit.words.errors import BadInput
from labkit.words.units import ms, seconds


@pytest.fixture
def receiver_trace(tmp_path):
    path = tmp_path / "call.jsonl"
    with TraceFile(path) as trace:
        trace.take(Joined(), seconds(9))
        for n in range(1, 6):
            figures = ReceiverFigures(
                received=45 * n, expected=50 * n, lost=5 * n, late=n, depth=ms(60), target=ms(50),
                mouth_to_ear=ms(100 + n) if n > 1 else None,
            )  # fmt: skip
            trace.figures(figures, seconds(9 + n))
        trace.take(Closed(False, "us", "nothing heard"), seconds(15))
    return path


def test_columns_have_nan_where_nothing_was_known(receiver_trace):
    log = load_trace(receiver_trace)
    assert list(log.t) == [1, 2, 3, 4, 5]
    assert list(log["lost"]) == [5, 10, 15, 20, 25]
    assert np.isnan(log["mouth_to_ear"][0])
    assert log["mouth_to_ear"][1] == ms(102)
    assert [e["what"] for e in log.events] == ["joined", "closed", "end"]
    assert {"lost", "depth", "bitrate"} <= set(log.names)


def test_a_receiver_is_shown(receiver_trace):
    picture = load_trace(receiver_trace).show()
    assert picture.alt == "225 packets received, 25 lost, 5 late"
    lost, late = picture.figure.axes[0].lines[:2]
    assert list(lost.get_ydata()[1:]) == [10] * 4  # percent of 50 each second
    assert list(late.get_ydata()[1:]) == [2] * 4
    assert picture.png().startswith(b"\x89PNG")


def test_a_server_is_shown_with_a_line_for_each_listener(tmp_path):
    path = tmp_path / "server.jsonl"
    with TraceFile(path) as trace:
        for n in range(4):
            clients = tuple(ClientFigures(f"client {c}", queued=c * n) for c in range(1 + n % 2))
            trace.figures(ServerFigures(listening=len(clients), clients=clients), seconds(n))
    log = load_trace(path)
    queued = log.clients("queued")
    assert list(queued) == ["client 0", "client 1"]
    assert np.isnan(queued["client 1"][[0, 2]]).all()
    assert list(queued["client 1"][[1, 3]]) == [1, 3]
    assert log.show().alt == "up to 2 listeners"


def test_half_a_line_at_the_end_is_left_out(receiver_trace):
    text = receiver_trace.read_text()
    receiver_trace.write_text(text[:-20])
    assert len(load_trace(receiver_trace).figures) == 5


@pytest.mark.parametrize("text", ["no JSON\n", "[]\n", "{}\n", '{"t": 1}\n', "7\n"])
def test_another_file_is_refused_with_its_line(tmp_path, text):
    path = tmp_path / "x.jsonl"
    path.write_text('{"t": 0, "what": "begin"}\n' + text)
    with pytest.raises(BadInput, match="line 2"):
        load_trace(path)


def test_what_is_not_there_is_said_in_words(tmp_path, receiver_trace):
    with pytest.raises(BadInput, match="cannot read"):
        load_trace(tmp_path / "nothing.jsonl")
    with pytest.raises(BadInput, match="depth"):
        load_trace(receiver_trace)["dept"]
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(BadInput, match="no figures yet"):
        load_trace(empty).show()

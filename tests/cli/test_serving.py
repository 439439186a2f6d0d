"""What a streamer says of those who come: enough to follow it, and not more under a flood."""

import pytest

from labkit.cli import serving
from labkit.core.session import Closed, Joined, Refused, Report
from labkit.words.errors import RemoteProtocolError
from labkit.words.units import seconds


class Lines(list):
    """Stands for the terminal."""

    say = list.append


class Nobody:
    """Stands for the trace."""

    def take(self, event):
        pass


@pytest.fixture
def told(monkeypatch):
    lines = Lines()
    reporter = serving._Reporter(lines, Nobody())

    def tell(events, at=0):
        monkeypatch.setattr(serving, "now", lambda: seconds(at))
        for event in events:
            reporter.take(event)
        said = list(lines)
        lines.clear()
        return said

    return tell


REPORT = Report(1, False, 0.5, 3, 4, 5, None)


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda n: Refused(RemoteProtocolError(f"noise {n}")), serving.MAX_LINES),
        (lambda n: Closed(False, "peer", f"cut off {n}"), serving.MAX_LINES),
        (lambda n: REPORT, serving.MAX_LINES),
        (lambda n: Joined(""), serving.MAX_JOINED),
    ],
)
def test_a_flood_of_one_kind_is_some_lines_a_second(told, make, most):
    first = told(map(make, range(1000)))
    assert len(first) == most
    assert first[-1].endswith(", and more; the metrics count them")
    assert sum("and more" in line for line in first) == 1
    assert len(told(map(make, range(3)), at=1)) == 3


def test_a_flood_of_one_kind_hides_no_other(told):
    told(Refused(RemoteProtocolError(str(n))) for n in range(1000))
    assert told([Joined("")]) == ["a receiver joined"]


def test_a_refusal_is_told_once(told):
    why = "the token has expired"
    assert told([Refused(RemoteProtocolError(why)), Closed(False, "us", why)]) == [
        f"refused: {why}"
    ]

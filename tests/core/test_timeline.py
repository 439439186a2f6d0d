"""The fate of every packet, from traces written by hand."""

import numpy as np
import pytest

from labkit.core import timeline
from labkit.core.timeline import Fate
from labkit.words.errors import BadInput
from labkit.words.trace import Did, Trace
from labkit.words.units import ms


def sender(*seqs: int) -> Trace:
    """Frames of 20 ms, spoken one after the other from time 0."""
    trace = Trace()
    for turn, seq in enumerate(seqs):
        trace.add((ms(20) * turn, Did.CAPTURED, seq, 0))
        trace.add((ms(20) * (turn + 1), Did.SENT, seq, 80))
    return trace


def receiver(*entries: tuple[int, Did, int, int]) -> Trace:
    trace = Trace()
    for entry in entries:
        trace.add(entry)
    return trace


def test_each_packet_has_one_of_three_fates() -> None:
    """Played, arrived but not played, never arrived."""
    found = timeline.build(
        sender(10, 11, 12),
        receiver(
            (ms(50), Did.ARRIVED, 10, 80),
            (ms(100), Did.PLAYED, 10, 0),
            (ms(120), Did.CONCEALED, 11, 1),
            (ms(140), Did.CONCEALED, 12, 2),
            (ms(300), Did.ARRIVED, 12, 80),
        ),
    )
    assert [Fate(f) for f in found.fate] == [Fate.PLAYED, Fate.LOST, Fate.LATE]
    assert list(found.concealed) == [0, 1, 2]
    assert found.missing == pytest.approx(2 / 3)
    assert found.lost == pytest.approx(1 / 3)
    assert list(found.network_delay_ms()) == [30, 240]
    assert list(found.mouth_to_ear_ms()) == [100]
    assert list(found.buffer_delay_ms()) == [50]


def test_a_second_arrival_is_a_duplicate_and_changes_no_delay() -> None:
    """The first copy counts."""
    found = timeline.build(
        sender(7),
        receiver((ms(50), Did.ARRIVED, 7, 80), (ms(90), Did.ARRIVED, 7, 80)),
    )
    assert found.duplicates == 1
    assert list(found.network_delay_ms()) == [30]


def test_reordered_counts_packets_that_were_overtaken() -> None:
    """Arrivals 1 3 2 4: packet 2 came after one that was sent later (RFC 4737 section 3)."""
    found = timeline.build(
        sender(1, 2, 3, 4),
        receiver(*((ms(100 + i), Did.ARRIVED, seq, 80) for i, seq in enumerate((1, 3, 2, 4)))),
    )
    assert found.reordered() == 1


def test_waiting_for_the_goodbye_is_not_waiting_for_a_packet() -> None:
    """One turn between two packets counts; the two after the last one do not."""
    found = timeline.build(
        sender(1, 2),
        receiver(
            (ms(100), Did.PLAYED, 1, 0),
            (ms(120), Did.HELD, -1, 0),
            (ms(140), Did.PLAYED, 2, 0),
            (ms(160), Did.HELD, -1, 0),
            (ms(180), Did.HELD, -1, 0),
        ),
    )
    assert found.held == 1


@pytest.mark.parametrize("shift", [0, 65536, -65536])
def test_both_sides_may_count_from_different_turns_of_the_circle(shift: int) -> None:
    """A receiver whose first packet came after a wrap unwraps from there."""
    found = timeline.build(
        sender(65530, 65531, 65532),
        receiver((ms(50), Did.ARRIVED, 65531 + shift, 80), (ms(90), Did.PLAYED, 65531 + shift, 0)),
    )
    assert [Fate(f) for f in found.fate] == [Fate.LOST, Fate.PLAYED, Fate.LOST]


def test_nothing_sent_is_said() -> None:
    """No timeline of nothing."""
    with pytest.raises(BadInput, match="nothing was sent"):
        timeline.build(Trace(), Trace())


def test_describe_names_its_figures() -> None:
    """Shares from 0 to 1, delays in milliseconds, and not-a-number where nothing was played."""
    found = timeline.describe(timeline.build(sender(1, 2), receiver((ms(21), Did.ARRIVED, 1, 80))))
    assert found["packets"] == 2
    assert found["lost"] == 0.5
    assert found["late"] == 0.5
    assert found["network_ms_p50"] == pytest.approx(1)
    assert np.isnan(found["mouth_to_ear_ms_mean"])

"""What week 7's checks expect of a header, a stream and a report is what the kit does."""

from random import Random

import pytest

from labkit.checks import arrivals, rtpcounting, rtpheader, week07
from labkit.core.meters import JitterMeter, StreamStats
from labkit.core.reception import Reception
from labkit.lab.captures import capture
from labkit.lab.reports import reports
from labkit.wire import rtcp, rtp
from labkit.words.packet import Packet


@pytest.mark.parametrize("seed", range(5))
def test_the_header_is_the_one_that_the_kit_sends(seed):
    rng = Random(seed)
    for csrcs, extension, padding in rtpheader.some_extras(rng):
        packet = rtpheader.some_packet(rng)
        kits = extension and rtp.Extension(*extension)
        data = rtp.pack(packet, csrcs=csrcs, extension=kits, padding=padding)
        assert rtpheader.datagram(packet, csrcs, extension, padding) == data
        assert rtp.parse(data) == (packet, csrcs, extension, padding)


def test_the_block_is_the_one_that_the_kit_sends():
    for lost in (7, -1, 0x7FFFFF, -0x800000):
        block = week07._some_block(Random(3), lost)
        kits = rtcp.pack(rtcp.ReceiverReport(1, (rtcp.ReportBlock(*block),)))
        assert week07.block_bytes(block) == kits[8:]


@pytest.mark.parametrize("seed", range(5))
def test_streams_are_counted_as_the_kit_counts(seed):
    rng = Random(seed)
    rows = arrivals.stream(
        rng, 65_500, 300, start=(1 << 32) - 900, gone=(3, 50, 51), twice=(7, 60), swapped=(36, 80)
    )
    stats, meter = StreamStats(), JitterMeter(8000)
    highest = []
    for row in rows:
        stats.add(row.seq)
        meter.add(row.timestamp, row.now)
        highest.append(stats.highest)
    assert arrivals.counted(rows) == (highest, stats.expected, stats.lost)
    assert int(arrivals.jitter_of(rows, 8000)) == pytest.approx(meter.ticks, abs=1)


def test_strangers_are_those_of_the_kit():
    for ahead, belongs in ((3000, False), (-100, False), (-99, True), (2999, True)):
        reception = Reception(Packet(20_000, 0, b""), 0, 8000)
        assert reception.update(Packet(20_000 + ahead, 0, b""), 0) is belongs


def test_of_the_capture_the_checks_count_what_its_listener_reported():
    traffic = capture("07_rtp_rtcp")
    now, block = reports(traffic).blocks[-1]
    rows = [row for row in rtpcounting.rows_of(rtpheader.captured()) if row.now <= now]
    found = arrivals.counted(rows)
    assert found.lost == block.cumulative_lost
    assert found.extended[-1] == block.highest_seq
    assert arrivals.jitter_of(rows, 48_000) == pytest.approx(block.jitter, rel=0.01)

"""RTCP, judged by scapy and by what RFC 3550 draws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib import rtcp as scapy_rtcp

from labkit.wire import rtcp, rtp
from labkit.wire.rtcp import (
    App,
    Bye,
    Chunk,
    Item,
    ItemType,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    Unknown,
    is_rtcp,
)
from labkit.words.errors import LocalProtocolError, Malformed, Truncated
from labkit.words.packet import Packet

u8, u32, u64 = st.integers(0, 0xFF), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)


def words(most):
    return st.integers(0, most).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))


blocks = st.lists(
    st.builds(ReportBlock, u32, u8, st.integers(-(2**23), 2**23 - 1), u32, u32, u32, u32),
    max_size=31,
).map(tuple)
reports = st.one_of(
    st.builds(SenderReport, u32, u64, u32, u32, u32, blocks, words(3)),
    st.builds(ReceiverReport, u32, blocks, words(3)),
)
items = st.builds(Item, st.integers(1, 255), st.binary(max_size=255))
chunks = st.builds(Chunk, u32, st.lists(items, max_size=4).map(tuple))
others = st.one_of(
    reports,
    st.builds(SourceDescription, st.lists(chunks, max_size=31).map(tuple)),
    st.builds(Bye, st.lists(u32, max_size=31).map(tuple), st.text(max_size=60)),
    st.builds(App, u32, st.binary(min_size=4, max_size=4), words(3), st.integers(0, 31)),
    st.builds(Unknown, st.integers(205, 255), st.integers(0, 31), words(3)),
)

BLOCK = ReportBlock(0x0708090A, 0x40, -2, 0x00010005, 0x78, 0x11223344, 0x00008000)
SR = SenderReport(0x01020304, 0x1111111122222222, 0x33333333, 4, 640, (BLOCK,))
RR = ReceiverReport(0x01020304)


def test_the_bytes_of_a_sender_report_are_those_of_rfc_3550_section_6_4_1():
    data = bytes.fromhex(
        "81 c8 000c 01020304 11111111 22222222 33333333 00000004 00000280"
        "0708090a 40 fffffe 00010005 00000078 11223344 00008000"
    )
    assert rtcp.pack(SR) == data
    assert rtcp.unpack(data) == [SR]


def test_the_bytes_of_a_source_description_are_padded_to_a_word_with_at_least_one_zero():
    """RFC 3550 section 6.5: no item fills the word, so the list ends with one to four zeros."""
    for name, size in [("", 12), ("a", 12), ("ab", 16), ("abc", 16), ("abcde", 16), ("abcdef", 20)]:
        data = rtcp.pack(RR, SourceDescription.named(7, name))[8:]
        assert len(data) == size
        assert data[8:10] == bytes([1, len(name)])  # CNAME is item 1
        assert data[-1] == 0


@given(reports, st.lists(others, max_size=5))
def test_every_legal_compound_comes_back(first, rest):
    compound = [first, *rest]
    assert rtcp.unpack(rtcp.pack(*compound)) == compound


@given(others)
def test_a_reduced_size_packet_needs_permission(packet):
    """RFC 5506: alone, without a report before it."""
    data = rtcp.pack(packet)
    assert rtcp.unpack(data, reduced_size=True) == [packet]
    if not isinstance(packet, SenderReport | ReceiverReport):
        with pytest.raises(Malformed, match="begins with"):
            rtcp.unpack(data)


def test_more_than_31_blocks_become_several_packets_of_one_source():
    every = tuple(ReportBlock(i, 0, 0, 0, 0) for i in range(70))
    found = rtcp.unpack(rtcp.pack(SenderReport(9, 1, 2, 3, 4, every)))
    assert [type(p) for p in found] == [SenderReport, ReceiverReport, ReceiverReport]
    assert {p.ssrc for p in found} == {9}
    assert sum((p.reports for p in found), ()) == every


def test_losses_fill_their_8_and_24_bits():
    for fraction, lost in [(0, -(2**23)), (255, 2**23 - 1), (255, -1), (0, 0)]:
        report = ReceiverReport(1, (ReportBlock(2, fraction, lost, 3, 4),))
        assert rtcp.unpack(rtcp.pack(report)) == [report]


def test_scapy_reads_our_reports():
    found = scapy_rtcp.RTCP(rtcp.pack(SR, SourceDescription.named(7, "ann@example.org")))
    assert found.packet_type == 200
    assert found.sourcesync == SR.ssrc
    info = found.sender_info
    assert info.ntp_timestamp == SR.ntp
    assert (info.rtp_timestamp, info.sender_packet_count, info.sender_octet_count) == (
        SR.rtp_timestamp,
        SR.packet_count,
        SR.octet_count,
    )
    block = found.report_blocks[0]
    assert (block.sourcesync, block.fraction_lost, block.highest_seqnum_recv) == (
        BLOCK.ssrc,
        BLOCK.fraction_lost,
        BLOCK.highest_seq,
    )
    assert block.cumulative_lost == BLOCK.cumulative_lost & 0xFFFFFF  # scapy takes it as unsigned
    assert (block.interarrival_jitter, block.last_SR_timestamp, block.delay_since_last_SR) == (
        BLOCK.jitter,
        BLOCK.lsr,
        BLOCK.dlsr,
    )


def test_we_read_scapys_reports():
    block = scapy_rtcp.ReceptionReport(
        sourcesync=5, fraction_lost=3, cumulative_lost=2, highest_seqnum_recv=9
    )
    data = bytes(scapy_rtcp.RTCP(packet_type=201, sourcesync=7, count=1, report_blocks=[block]))
    assert rtcp.unpack(data) == [ReceiverReport(7, (ReportBlock(5, 3, 2, 9, 0),))]


def test_what_people_wrote_is_text():
    sdes = SourceDescription.named(7, "tschüss@example.org")
    assert sdes.chunks[0].items[0].text == "tschüss@example.org"
    assert Item(ItemType.NOTE, b"\xff").text == "\N{REPLACEMENT CHARACTER}"
    assert rtcp.unpack(rtcp.pack(RR, Bye((7,), "à bientôt")))[1].reason == "à bientôt"


@pytest.mark.parametrize(
    ("data", "error", "field", "offset"),
    [
        ("", Truncated, "header", 0),
        ("80 c9 00", Truncated, "header", 0),
        ("00 c9 0001 00000001", Malformed, "V", 0),
        ("80 c9 0002 00000001", Truncated, "length", 2),
        ("80 c9 0000", Truncated, "SSRC", 4),
        ("80 ca 0000", Malformed, "PT", 1),
        ("80 c8 0001 00000001", Truncated, "sender info", 4),
        ("81 c9 0001 00000001", Truncated, "report blocks", 8),
        ("80 c9 0001 00000001 80", Truncated, "header", 8),
        ("80 c9 0001 00000001 41 cb 0001 00000001", Malformed, "V", 8),
        ("a0 c9 0002 00000001 00000004 80 cb 0000", Malformed, "P", 0),
        ("a0 c9 0002 00000001 00000000", Malformed, "padding", 11),
        ("a0 c9 0002 00000001 00000003", Malformed, "padding", 11),
        ("a0 c9 0002 00000001 0000000c", Malformed, "padding", 11),
        ("80 c9 0001 00000001 81 ca 0001 00000001", Truncated, "SDES item", 16),
        ("80 c9 0001 00000001 81 ca 0002 00000001 01026162", Truncated, "SDES item", 20),
        ("80 c9 0001 00000001 81 ca 0002 00000001 01056162", Truncated, "SDES item", 16),
        ("80 c9 0001 00000001 82 ca 0002 00000001 00000000", Truncated, "SSRC", 20),
        ("80 c9 0001 00000001 82 cb 0001 00000001", Truncated, "SSRC", 12),
        ("80 c9 0001 00000001 81 cb 0002 00000001 04616263", Truncated, "reason", 16),
        ("80 c9 0001 00000001 80 cc 0001 00000001", Truncated, "SSRC and name", 12),
    ],
)
def test_an_illegal_compound_is_refused_by_the_name_of_the_field(data, error, field, offset):
    with pytest.raises(error) as caught:
        rtcp.unpack(bytes.fromhex(data))
    assert (caught.value.field, caught.value.offset) == (field, offset)
    assert "RFC 3550" in caught.value.spec


def test_padding_is_allowed_on_the_last_packet_and_dropped():
    data = bytes.fromhex("80 c9 0001 00000001 a1 cb 0002 00000001 00000004")
    assert rtcp.unpack(data) == [ReceiverReport(1), Bye((1,))]
    nothing_else = bytes.fromhex("a0 cd 0001 00000004")
    assert rtcp.unpack(nothing_else, reduced_size=True) == [Unknown(205, 0, b"")]


def test_the_longest_texts_pass():
    compound = [RR, SourceDescription.named(7, "x" * 255), Bye((7,), "y" * 255)]
    assert rtcp.unpack(rtcp.pack(*compound)) == compound


@pytest.mark.parametrize(
    "packet",
    [
        ReceiverReport(2**32),
        ReceiverReport(1, (ReportBlock(1, 256, 0, 0, 0),)),
        ReceiverReport(1, (ReportBlock(1, -1, 0, 0, 0),)),
        ReceiverReport(1, (ReportBlock(1, 0, 2**23, 0, 0),)),
        ReceiverReport(1, (ReportBlock(1, 0, -(2**23) - 1, 0, 0),)),
        ReceiverReport(1, (ReportBlock(1, 0, 0, 0, -1),)),
        ReceiverReport(1, extension=b"abc"),
        SenderReport(1, 2**64, 0, 0, 0),
        SourceDescription((Chunk(1),) * 32),
        SourceDescription((Chunk(1, (Item(0, b"x"),)),)),
        SourceDescription.named(1, "x" * 256),
        Bye(tuple(range(32))),
        Bye((1,), "x" * 256),
        App(1, b"abc"),
        App(1, b"abcd", b"x"),
        App(1, b"abcd", subtype=32),
        Unknown(256, 0, b""),
        Unknown(205, 0, bytes(4 * 65_536)),
    ],
)
def test_a_value_that_does_not_fit_is_the_callers_mistake(packet):
    with pytest.raises(LocalProtocolError):
        rtcp.pack(packet)


def test_rtcp_is_told_from_rtp_on_one_port():
    """RFC 5761 section 4: every packet type of ours, against every payload type it allows."""
    for packet in (SR, RR, SourceDescription(), Bye(), App(1, b"abcd"), Unknown(206, 1, b"")):
        assert is_rtcp(rtcp.pack(packet))
    for payload_type in (*range(64), *range(96, 128)):
        for marker in (False, True):
            assert not is_rtcp(rtp.pack(Packet(1, 2, b"", marker, payload_type)))
    assert [is_rtcp(bytes([0x80, second])) for second in (191, 192, 223, 224)] == [
        False,
        True,
        True,
        False,
    ]
    for noise in (b"", b"\x80", b"\x00\xc8\x00\x00"):
        assert not is_rtcp(noise)

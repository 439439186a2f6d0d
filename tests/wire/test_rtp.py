"""RTP data packets, judged by aiortc and scapy."""

import pytest
from aiortc.rtp import RtpPacket as AiortcPacket
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.rtp import RTP as ScapyRtp  # noqa: N811

from labkit.wire import rtp
from labkit.words.errors import LocalProtocolError, Malformed, Truncated, WireError
from labkit.words.packet import Packet

u32 = st.integers(0, 0xFFFFFFFF)
packets = st.builds(
    Packet,
    seq=st.integers(0, 0xFFFF),
    timestamp=u32,
    payload=st.binary(max_size=40),
    marker=st.booleans(),
    payload_type=st.integers(0, 127),
    ssrc=u32,
)
csrc_lists = st.lists(u32, max_size=15).map(tuple)
extensions = st.none() | st.builds(
    rtp.Extension,
    profile=st.integers(0, 0xFFFF),
    data=st.integers(0, 5).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words)),
)
paddings = st.integers(0, 255)

EVERYTHING = rtp.pack(
    Packet(1, 2, b"sound", True, 111, 3),
    csrcs=(4, 5),
    extension=rtp.Extension(0xBEDE, b"\x10\xff\x00\x00"),
    padding=3,
)


def test_the_bytes_are_those_of_rfc_3550_figure_1():
    packet = Packet(0x0102, 0x03040506, b"abc", True, 111, 0x0708090A)
    data = bytes.fromhex("80 ef 0102 03040506 0708090a 616263")
    assert rtp.pack(packet) == data
    assert rtp.unpack(data) == packet


def test_csrcs_extension_and_padding_stand_where_the_diagram_says():
    assert (
        bytes.fromhex(
            "b2 ef 0001 00000002 00000003"
            "00000004 00000005"  # CSRCs
            "bede 0001 10ff0000"  # extension
            "736f756e64 000003"  # payload and padding
        )
        == EVERYTHING
    )


@given(packets, csrc_lists, extensions, paddings)
def test_every_legal_packet_comes_back_whole(packet, csrcs, extension, padding):
    data = rtp.pack(packet, csrcs=csrcs, extension=extension, padding=padding)
    assert rtp.parse(data) == (packet, csrcs, extension, padding)
    assert rtp.unpack(data) == packet
    assert type(rtp.unpack(data)) is Packet


@pytest.mark.parametrize("marker", [False, True])
@pytest.mark.parametrize("payload_type", [0, 127])
def test_marker_and_payload_type_share_a_byte_to_its_limits(marker, payload_type):
    packet = Packet(0xFFFF, 0xFFFFFFFF, b"", marker, payload_type, 0xFFFFFFFF)
    assert rtp.unpack(rtp.pack(packet)) == packet


def test_every_part_may_end_the_packet():
    """Nothing follows the last CSRC, or the extension, or an extension without data."""
    packet, word = Packet(1, 2, b""), rtp.Extension(7, b"abcd")
    for csrcs, extension in [((5,) * 15, None), ((), word), ((5,), rtp.Extension(7, b""))]:
        data = rtp.pack(packet, csrcs=csrcs, extension=extension)
        assert rtp.parse(data) == (packet, csrcs, extension, 0)


@given(packets, csrc_lists, paddings)
def test_aiortc_writes_and_reads_the_same_bytes(packet, csrcs, padding):
    """Padding is random bytes there and zeros here, so it is compared by its count."""
    ours = rtp.pack(packet, csrcs=csrcs, padding=padding)
    theirs = AiortcPacket.parse(ours)
    assert theirs.payload == packet.payload
    assert theirs.csrc == list(csrcs)
    assert theirs.padding_size == padding
    assert rtp.parse(theirs.serialize()) == (packet, csrcs, None, padding)


@given(packets, csrc_lists, extensions)
def test_scapy_reads_the_same_fields(packet, csrcs, extension):
    found = ScapyRtp(rtp.pack(packet, csrcs=csrcs, extension=extension))
    assert (found.version, found.marker, found.payload_type) == (
        2,
        packet.marker,
        packet.payload_type,
    )
    assert (found.sequence, found.timestamp, found.sourcesync) == (
        packet.seq,
        packet.timestamp,
        packet.ssrc,
    )
    assert tuple(found.sync) == csrcs
    assert found.extension == (extension is not None)


@pytest.mark.parametrize("length", range(len(EVERYTHING)))
def test_a_packet_cut_anywhere_is_refused_or_has_lost_only_its_end(length):
    """A datagram does not say how long it was: cut inside payload or padding it may still pass."""
    try:
        found = rtp.parse(EVERYTHING[:length])
    except WireError:
        return
    assert length > len(EVERYTHING) - 8
    assert found.csrcs == (4, 5)


@pytest.mark.parametrize(
    ("data", "error", "field", "offset"),
    [
        ("", Truncated, "header", 0),
        ("80 00 0000 00000000 000000", Truncated, "header", 0),
        ("00 00 0000 00000000 00000000", Malformed, "V", 0),
        ("40 00 0000 00000000 00000000", Malformed, "V", 0),
        ("c0 00 0000 00000000 00000000", Malformed, "V", 0),
        ("82 00 0000 00000000 00000000 00000001 000000", Truncated, "CSRC", 12),
        ("90 00 0000 00000000 00000000 bede00", Truncated, "extension", 12),
        ("90 00 0000 00000000 00000000 bede0001 000000", Truncated, "extension", 12),
        ("a0 00 0000 00000000 00000000", Malformed, "padding", 11),
        ("a0 00 0000 00000000 00000000 000000", Malformed, "padding", 14),
        ("a0 00 0000 00000000 00000000 000004", Malformed, "padding", 14),
    ],
)
def test_an_illegal_packet_is_refused_by_the_name_of_the_field(data, error, field, offset):
    for reader in (rtp.unpack, rtp.parse):
        with pytest.raises(error) as caught:
            reader(bytes.fromhex(data))
        assert (caught.value.field, caught.value.offset) == (field, offset)
        assert "RFC 3550" in caught.value.spec


def test_a_packet_may_be_padding_alone():
    """RFC 3550 forbids no empty payload; the count covers all of it."""
    data = bytes.fromhex("a0 00 0000 00000000 00000000 000003")
    assert rtp.parse(data).padding == 3
    assert rtp.unpack(data).payload == b""


@pytest.mark.parametrize(
    "packet",
    [
        Packet(65_536, 0, b""),
        Packet(-1, 0, b""),
        Packet(0, 2**32, b""),
        Packet(0, 0, b"", payload_type=128),
        Packet(0, 0, b"", payload_type=-1),
        Packet(0, 0, b"", ssrc=2**32),
        Packet(0.0, 0, b""),
    ],
)
def test_a_packet_that_does_not_fit_is_the_callers_mistake(packet):
    with pytest.raises(LocalProtocolError):
        rtp.pack(packet)


@pytest.mark.parametrize(
    "extras",
    [
        {"csrcs": range(16)},
        {"csrcs": [2**32]},
        {"padding": 256},
        {"padding": -1},
        {"extension": rtp.Extension(0xBEDE, b"abc")},
        {"extension": rtp.Extension(65_536, b"")},
        {"extension": rtp.Extension(0, bytes(4 * 65_536))},
    ],
)
def test_extras_that_do_not_fit_are_the_callers_mistake(extras):
    with pytest.raises(LocalProtocolError):
        rtp.pack(Packet(0, 0, b""), **extras)

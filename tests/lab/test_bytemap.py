"""The bytes of a packet in the colours of its fields."""

import re

from labkit.lab.bytemap import LONGEST, bytemap
from labkit.lab.captures import capture
from labkit.lab.dissection import dissect
from labkit.lab.show import PASTELS
from labkit.wire import ip, rtp
from labkit.words.packet import Packet

DATA = rtp.pack(Packet(0x1234, 7, b"voice", True, 111, 0xCAFE))


def test_the_text_has_a_line_for_each_field():
    """Place, bytes, bits, name, value."""
    lines = str(bytemap(DATA)).splitlines()
    assert lines[0] == "RTP  RFC 3550 section 5.1"
    assert any(re.match(r" +0  80 +bits 0-1 +V: 2$", line) for line in lines)
    assert any(re.match(r" +1  ef +bit 0 +M: 1$", line) for line in lines)
    assert any(re.match(r" +2  12 34 +sequence number: 4660$", line) for line in lines)
    assert lines[-1].split() == ["12", "76", "6f", "69", "63", "65", "payload:", "5", "bytes"]


def cells(html):
    """The bytes of the table: digits and background."""
    return re.findall(r"background:(#\w+);border-left[^>]*>([0-9a-f]{2})</td>", html)


def test_the_table_shows_every_byte_once_and_neighbours_in_two_colours():
    """A field has one colour, payload another than every header."""
    shown = cells(bytemap(DATA)._repr_html_())
    assert bytes.fromhex("".join(digits for _, digits in shown)) == DATA
    colours = [colour for colour, _ in shown]
    assert colours[2] == colours[3]
    assert len({colours[0], colours[1], colours[2], colours[4], colours[8]}) == 5
    assert set(colours[12:]).isdisjoint(PASTELS)


def test_resting_on_a_byte_tells_its_fields():
    assert 'title="RTP: V = 2, P = 0, X = 0, CC = 0"' in bytemap(DATA)._repr_html_()


def test_flags_in_a_row_are_one_line():
    packet = ip.tcp(b"", ("10.9.0.1", 1), ("10.9.0.2", 2), seq=1, ack=1, flags=ip.Flag(18))
    assert "flags: ACK SYN" in str(bytemap(dissect(packet)))


def test_wrong_bytes_say_what_is_wrong_with_them():
    damaged = bytes([DATA[0] | 0x10]) + DATA[1:]
    assert "wrong: extension at byte 12" in str(bytemap(damaged))
    assert "wrong: extension at byte 12" in bytemap(damaged)._repr_html_()


def test_of_a_long_payload_the_beginning_is_drawn():
    html = bytemap(rtp.pack(Packet(1, 2, bytes(1000))))._repr_html_()
    assert len(cells(html)) == LONGEST
    assert "… and 756 bytes more" in html


def test_text_of_the_peer_is_no_markup():
    """A CNAME is whatever a stranger wrote."""
    from labkit.wire import rtcp

    data = rtcp.pack(rtcp.ReceiverReport(1), rtcp.SourceDescription.named(1, "<b>&"))
    html = bytemap(data)._repr_html_()
    assert "<b>&" not in html
    assert "&lt;b&gt;&amp;" in html


def test_a_packet_of_a_capture_shows_itself():
    packet = capture("01_frames")[1]
    assert str(packet).startswith("1: 10.9.0.2:")
    assert "maximum segment size" in packet._repr_html_()


def test_it_can_be_read_in_a_dark_theme_and_on_a_narrow_page():
    """Every cell has a colour of its own, since themes give them one; and no table is wide."""
    html = bytemap(b"\x80\x00\x00\x07" + bytes(8) + b"sound")._repr_html_()
    assert all(";color:#" in cell or " color:#" in cell for cell in re.findall("<td[^>]*>", html))
    assert "flex-wrap:wrap" in html

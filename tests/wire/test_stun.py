"""STUN, judged by the vectors of RFC 5769 and RFC 8489, by aioice, scapy and tshark."""

import subprocess
from itertools import pairwise

import pytest
from aioice import stun as aioice
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.stun import STUN as ScapyStun  # noqa: N811

from labkit.wire import rtcp, rtp
from labkit.wire.pcap import PcapngWriter
from labkit.wire.stun import (
    Attribute,
    Change,
    Class,
    ErrorCode,
    Message,
    is_stun,
    long_term_key,
    pack,
    unpack,
    verify,
)
from labkit.words.errors import LocalProtocolError, Malformed, Truncated, WireError
from labkit.words.packet import Packet

ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
PRIORITY, ICE_CONTROLLED, USERHASH, PASSWORD_ALGORITHM = 0x0024, 0x8029, 0x001E, 0x001D

SAMPLE_REQUEST = bytes.fromhex(
    "00010058 2112a442 b7e7a701bc34d686fa87dfae"
    "80220010 5354554e207465737420636c69656e74"
    "00240004 6e0001ff"
    "80290008 932ff9b151263b36"
    "00060009 6576746a3a68367659 202020"
    "00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004 e57a3bcf"
)
SAMPLE_IPV4_RESPONSE = bytes.fromhex(
    "0101003c 2112a442 b7e7a701bc34d686fa87dfae"
    "8022000b 7465737420766563746f72 20"
    "00200008 0001a147e112a643"
    "00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004 c07d4c96"
)
SAMPLE_IPV6_RESPONSE = bytes.fromhex(
    "01010048 2112a442 b7e7a701bc34d686fa87dfae"
    "8022000b 7465737420766563746f72 20"
    "00200014 0002a147 0113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014 a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004 c8fb0b4c"
)
LONG_TERM_REQUEST = bytes.fromhex(
    "00010060 2112a442 78ad3433c6ad72c029da412e"
    "00060012 e3839ee38388e383aae38383e382afe382b9 0000"
    "0015001c 662f2f3439396b3935346436 4f4c33346f4c394653547679363473 41"
    "0014000b 6578616d706c652e6f7267 00"
    "00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666"
)
SHA256_REQUEST = bytes.fromhex(  # RFC 8489 appendix B.1 as corrected by erratum 6268
    "00010090 2112a442 78ad3433c6ad72c029da412e"
    "001e0020 4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
    "00150029 6f624d61744a6f73324141414366 2f2f3439396b3935346436"
    "4f4c33346f4c39465354767936347341 000000"
    "0014000b 6578616d706c652e6f7267 00"
    "001d0004 00020000"
    "001c0020 b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65"
)
LONG_TERM_ID = bytes.fromhex("78ad3433c6ad72c029da412e")
MATRIX = "マトリックス"

REQUEST = Message(
    Class.REQUEST,
    ID,
    (
        (Attribute.SOFTWARE, "STUN test client"),
        (PRIORITY, bytes.fromhex("6e0001ff")),
        (ICE_CONTROLLED, bytes.fromhex("932ff9b151263b36")),
        (Attribute.USERNAME, "evtj:h6vY"),
    ),
    fingerprint=True,
)


def response(host: str) -> Message:
    said = (
        (Attribute.SOFTWARE, "test vector"),
        (Attribute.XOR_MAPPED_ADDRESS, (host, 32853)),
    )
    return Message(Class.SUCCESS, ID, said, fingerprint=True)


IPV4 = response("192.0.2.1")
IPV6 = response("2001:db8:1234:5678:11:2233:4455:6677")
LONG_TERM = Message(
    Class.REQUEST,
    LONG_TERM_ID,
    (
        (Attribute.USERNAME, MATRIX),
        (Attribute.NONCE, "f//499k954d6OL34oL9FSTvy64sA"),
        (Attribute.REALM, "example.org"),
    ),
)
SHA256 = Message(
    Class.REQUEST,
    LONG_TERM_ID,
    (
        (USERHASH, SHA256_REQUEST[24:56]),
        (Attribute.NONCE, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"),
        (Attribute.REALM, "example.org"),
        (PASSWORD_ALGORITHM, bytes([0, 2, 0, 0])),
    ),
)
MD5_KEY = long_term_key(MATRIX, "example.org", "TheMatrIX")
SHA256_KEY = long_term_key(MATRIX, "example.org", "TheMatrIX", "sha256")

VECTORS = [  # bytes, what they say, key, by SHA-256, padding
    pytest.param(SAMPLE_REQUEST, REQUEST, PASSWORD, False, 0x20, id="RFC 5769 2.1"),
    pytest.param(SAMPLE_IPV4_RESPONSE, IPV4, PASSWORD, False, 0x20, id="RFC 5769 2.2"),
    pytest.param(SAMPLE_IPV6_RESPONSE, IPV6, PASSWORD, False, 0x20, id="RFC 5769 2.3"),
    pytest.param(LONG_TERM_REQUEST, LONG_TERM, MD5_KEY, False, 0, id="RFC 5769 2.4"),
    pytest.param(SHA256_REQUEST, SHA256, SHA256_KEY, True, 0, id="RFC 8489 B.1"),
]
every_vector = pytest.mark.parametrize(("data", "message", "key", "sha256", "filler"), VECTORS)


@every_vector
def test_the_vectors_are_made_byte_for_byte(data, message, key, sha256, filler):
    assert pack(message, key=key, sha256=sha256, filler=filler) == data


@every_vector
def test_the_vectors_are_read_and_their_integrity_holds(data, message, key, sha256, filler):
    assert unpack(data) == message
    assert verify(data, key, sha256=sha256)
    assert not verify(data, key + b"!", sha256=sha256)
    assert not verify(data, key, sha256=not sha256)


@every_vector
def test_a_flipped_bit_is_never_believed(data, message, key, sha256, filler):
    """In what is protected; the type of the last attribute may become one that says nothing."""
    for at in range(len(data)):
        for bit in range(8):
            spoiled = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            try:
                unpack(spoiled)
                believed = verify(spoiled, key, sha256=sha256)
            except WireError:
                believed = False
            assert not believed or spoiled[-8:-4] != data[-8:-4], (at, bit)


def test_what_follows_the_integrity_is_protected_by_nothing_and_left_out():
    plain = pack(Message(Class.REQUEST, ID, ((Attribute.USERNAME, "ann"),)), key=b"key")
    smuggled = bytes.fromhex("802200046576696c")
    data = plain[:2] + (len(plain) - 20 + 8).to_bytes(2) + plain[4:] + smuggled
    assert verify(data, b"key")
    assert unpack(data).attributes == ((Attribute.USERNAME, "ann"),)


@pytest.mark.parametrize("size", [0, 19, 21, 24])
def test_an_integrity_of_another_size_is_malformed(size):
    attribute = bytes([0, 8, 0, size]) + bytes(size + -size % 4)
    data = pack(Message(Class.REQUEST, ID))[:2] + len(attribute).to_bytes(2) + SAMPLE_REQUEST[4:20]
    with pytest.raises(Malformed, match="MESSAGE-INTEGRITY"):
        unpack(data + attribute)


def test_a_sha256_that_was_cut_can_be_read_but_does_not_suffice():
    whole = pack(Message(Class.REQUEST, ID), key=b"key", sha256=True)
    cut = bytes.fromhex("00010014") + whole[4:20] + bytes.fromhex("001c0010") + whole[24:40]
    assert unpack(cut) == Message(Class.REQUEST, ID)
    assert not verify(cut, b"key", sha256=True)


def test_the_fingerprint_is_last_and_right():
    data = pack(Message(Class.REQUEST, ID, fingerprint=True))
    assert unpack(data).fingerprint
    after = bytes.fromhex("00010010") + data[4:] + bytes.fromhex("8022000061626364")[:8]
    with pytest.raises(WireError):
        unpack(after)
    with pytest.raises(Malformed, match="FINGERPRINT"):
        unpack(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("length", range(len(SAMPLE_REQUEST)))
def test_a_message_that_is_cut_off_is_refused(length):
    with pytest.raises(Truncated):
        unpack(SAMPLE_REQUEST[:length])


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ("80010000 2112a442" + "00" * 12, "type"),
        ("00010000 2112a443" + "00" * 12, "magic cookie"),
        ("00010002 2112a442" + "00" * 12 + "0000", "length"),
        ("00010000 2112a442" + "00" * 12 + "00000000", "length"),
        ("00010008 2112a442" + "00" * 12 + "8022000500000000", "SOFTWARE"),
        ("00010008 2112a442" + "00" * 12 + "80220002ff410000", "SOFTWARE"),
        ("0101000c 2112a442" + "00" * 12 + "002000080003a147e112a643", "XOR-MAPPED-ADDRESS"),
        ("0101000c 2112a442" + "00" * 12 + "000100080002a147e112a643", "MAPPED-ADDRESS"),
        ("01010008 2112a442" + "00" * 12 + "000100020001ffff", "MAPPED-ADDRESS"),
        ("01110008 2112a442" + "00" * 12 + "0009000400000200", "ERROR-CODE"),
        ("01110008 2112a442" + "00" * 12 + "0009000400000464", "ERROR-CODE"),
        ("01110008 2112a442" + "00" * 12 + "000a000300010000", "UNKNOWN-ATTRIBUTES"),
        ("00010008 2112a442" + "00" * 12 + "0003000200000000", "CHANGE-REQUEST"),
        ("00010204 2112a442" + "00" * 12 + "000601fd" + "61" * 509 + "000000", "USERNAME"),
    ],
)
def test_what_is_wrong_is_named(data, field):
    with pytest.raises(WireError) as caught:
        unpack(bytes.fromhex(data))
    assert caught.value.field == field
    assert not verify_quietly(bytes.fromhex(data))


def verify_quietly(data):
    try:
        return verify(data, b"key")
    except WireError:
        return False


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (Attribute.XOR_MAPPED_ADDRESS, ("example.org", 1)),
        (Attribute.XOR_MAPPED_ADDRESS, ("192.0.2.1", 65536)),
        (Attribute.XOR_MAPPED_ADDRESS, None),
        (Attribute.USERNAME, "ü" * 255),
        (Attribute.USERNAME, b"bytes"),
        (Attribute.ERROR_CODE, ErrorCode(700)),
        (Attribute.UNKNOWN_ATTRIBUTES, (1 << 16,)),
        (Attribute.MESSAGE_INTEGRITY, bytes(20)),
        (PRIORITY, 4),
        (1 << 16, b""),
        (PRIORITY, bytes(1 << 16)),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_sent(attribute, value):
    with pytest.raises(LocalProtocolError):
        pack(Message(Class.REQUEST, ID, ((attribute, value),)))


def test_a_transaction_a_method_and_a_length_have_their_limits():
    for wrong in (
        Message(Class.REQUEST, bytes(11)),
        Message(Class.REQUEST, ID, method=1 << 12),
        Message(Class.REQUEST, ID, ((PRIORITY, bytes(40_000)), (PRIORITY, bytes(40_000)))),
    ):
        with pytest.raises(LocalProtocolError):
            pack(wrong)


# Values come back ------------------------------------------------------------------------------

text = st.text(max_size=60)
hosts = st.ip_addresses().map(str)
endpoints = st.tuples(hosts, st.integers(0, 0xFFFF))
attributes = st.one_of(
    st.tuples(
        st.sampled_from(
            [
                Attribute.MAPPED_ADDRESS,
                Attribute.XOR_MAPPED_ADDRESS,
                Attribute.XOR_PEER_ADDRESS,
                Attribute.RESPONSE_ORIGIN,
                Attribute.OTHER_ADDRESS,
            ]
        ),
        endpoints,
    ),
    st.tuples(
        st.sampled_from([Attribute.USERNAME, Attribute.REALM, Attribute.NONCE, Attribute.SOFTWARE]),
        text,
    ),
    st.tuples(st.just(Attribute.ERROR_CODE), st.builds(ErrorCode, st.integers(300, 699), text)),
    st.tuples(
        st.just(Attribute.UNKNOWN_ATTRIBUTES),
        st.lists(st.integers(0, 0xFFFF), max_size=9).map(tuple),
    ),
    st.tuples(
        st.just(Attribute.CHANGE_REQUEST), st.sampled_from([Change(n) for n in (0, 2, 4, 6)])
    ),
    st.tuples(st.just(PRIORITY), st.binary(max_size=9)),
)
messages = st.builds(
    Message,
    kind=st.sampled_from(Class),
    transaction=st.binary(min_size=12, max_size=12),
    attributes=st.lists(attributes, max_size=6).map(tuple),
    fingerprint=st.booleans(),
    method=st.integers(0, 0xFFF),
)


@given(messages, st.binary(max_size=40), st.booleans())
def test_every_message_comes_back_whole(message, key, sha256):
    data = pack(message, key=key, sha256=sha256)
    assert unpack(data) == message
    assert verify(data, key, sha256=sha256) == bool(key)
    assert is_stun(data) == (message.method < 0x100)  # RFC 7983 leaves it the others
    assert len(data) % 4 == 0


# What it says ----------------------------------------------------------------------------------


def test_a_message_prints_itself():
    assert str(IPV4) == (
        "Binding success b7e7a7…: SOFTWARE test vector, XOR-MAPPED-ADDRESS 192.0.2.1:32853"
    )
    refusal = Message(Class.ERROR, ID, ((Attribute.ERROR_CODE, ErrorCode(420)),), method=3)
    assert str(refusal) == "method 3 error b7e7a7…: ERROR-CODE 420"
    assert str(Message(Class.INDICATION, ID)) == "Binding indication b7e7a7…: —"
    assert "0x0024 6e0001ff" in str(REQUEST)


def test_the_first_of_two_attributes_counts():
    twice = ((Attribute.USERNAME, "first"), (Attribute.USERNAME, "second"))
    assert unpack(pack(Message(Class.REQUEST, ID, twice))).get(Attribute.USERNAME) == "first"


def test_the_xored_address_is_preferred_to_the_plain_one():
    """Some NATs change the plain one on its way: that is why there is another."""
    plain, xored = ("10.0.0.1", 1), ("192.0.2.1", 2)
    both = ((Attribute.MAPPED_ADDRESS, plain), (Attribute.XOR_MAPPED_ADDRESS, xored))
    assert Message(Class.SUCCESS, ID, both).mapped == xored
    assert Message(Class.SUCCESS, ID, both[:1]).mapped == plain
    assert Message(Class.SUCCESS, ID).mapped is None


def test_only_the_lower_half_of_the_numbers_must_be_understood():
    assert REQUEST.not_understood({Attribute.USERNAME}) == (PRIORITY,)
    assert REQUEST.not_understood({Attribute.USERNAME, PRIORITY}) == ()


# Beside other protocols ------------------------------------------------------------------------


def test_stun_rtp_rtcp_and_dtls_on_one_port_are_told_apart():
    packet = Packet(1, 2, b"sound", True, 111, 3)
    others = [
        rtp.pack(packet),
        rtcp.pack(rtcp.ReceiverReport(7), rtcp.SourceDescription.named(7, "ann@example.org")),
        bytes.fromhex("16fefd0000000000000000") + bytes(40),  # a DTLS handshake
        b"",
        bytes(40),
        SAMPLE_REQUEST[:19],
    ]
    assert is_stun(SAMPLE_REQUEST)
    assert not any(map(is_stun, others))
    assert not rtcp.is_rtcp(SAMPLE_REQUEST)


def test_no_first_byte_but_0_to_3_is_stun():
    for first in range(256):
        assert is_stun(bytes([first]) + SAMPLE_REQUEST[1:]) == (first < 4)


# Judges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [IPV4, IPV6])
def test_aioice_reads_ours_and_believes_it(message):
    theirs = aioice.parse_message(pack(message, key=PASSWORD))
    assert theirs.check_message_integrity(PASSWORD)
    assert not theirs.check_message_integrity(b"another")
    assert theirs.attributes["XOR-MAPPED-ADDRESS"] == message.mapped
    assert theirs.attributes["SOFTWARE"] == "test vector"
    assert theirs.transaction_id == ID


@given(text, endpoints, st.integers(300, 699), st.binary(min_size=12, max_size=12))
def test_aioice_makes_the_same_bytes(name, endpoint, code, transaction):
    theirs = aioice.Message(aioice.Method.BINDING, aioice.Class.ERROR, transaction)
    theirs.attributes["USERNAME"] = name
    theirs.attributes["XOR-MAPPED-ADDRESS"] = endpoint
    theirs.attributes["MAPPED-ADDRESS"] = endpoint
    theirs.attributes["ERROR-CODE"] = (code, name)
    theirs.add_message_integrity(b"key")
    ours = Message(
        Class.ERROR,
        transaction,
        (
            (Attribute.USERNAME, name),
            (Attribute.XOR_MAPPED_ADDRESS, endpoint),
            (Attribute.MAPPED_ADDRESS, endpoint),
            (Attribute.ERROR_CODE, ErrorCode(code, name)),
        ),
        fingerprint=True,
    )
    assert bytes(theirs) == pack(ours, key=b"key")


def test_scapy_reads_the_same_address():
    theirs = ScapyStun(pack(IPV4))
    found = next(a for a in theirs.attributes if a.type == Attribute.XOR_MAPPED_ADDRESS)
    assert (found.xip, found.xport) == IPV4.mapped
    assert theirs.transaction_id == int.from_bytes(ID)


@pytest.mark.peer
def test_tshark_reads_the_same(need, tmp_path):
    """Kind, mapped address, error, and that the fingerprint is right."""
    need("tshark")
    refusal = ((Attribute.ERROR_CODE, ErrorCode(420, "why")), (Attribute.UNKNOWN_ATTRIBUTES, (36,)))
    path = tmp_path / "stun.pcapng"
    with path.open("wb") as file, PcapngWriter(file) as capture:
        for message in (REQUEST, IPV4, IPV6, Message(Class.ERROR, ID, refusal, fingerprint=True)):
            data = pack(message, key=PASSWORD)
            capture.udp(0, data, ("192.0.2.9", 40_000), ("192.0.2.8", 3478))
    fields = ["type", "att.ipv4", "att.ipv6", "att.port", "att.error", "att.crc32.status"]
    wanted = [word for field in fields for word in ("-e", f"stun.{field}")]
    command = ["tshark", "-r", str(path), "-T", "fields", "-E", "separator=;", *wanted]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split(";") for line in lines] == [
        ["0x0001", "", "", "", "", "1"],
        ["0x0101", "192.0.2.1", "", "32853", "", "1"],
        ["0x0101", "", "2001:db8:1234:5678:11:2233:4455:6677", "32853", "", "1"],
        ["0x0111", "", "", "", "20", "1"],
    ]


def test_the_numbers_of_the_attributes_are_in_order():
    """A table is read from top to bottom."""
    assert all(a < b for a, b in pairwise(list(Attribute)))

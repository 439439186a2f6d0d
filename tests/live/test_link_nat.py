"""The NAT against scapy: addresses, ports, checksums; and against the rules of RFC 4787."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.packet import Raw

from labkit.live.link.nat import MOST_MAPPINGS, Nat
from labkit.words.units import seconds

INSIDE, OUTSIDE, BOB, CAROL = "192.168.1.2", "10.9.0.1", "10.9.0.2", "10.9.0.3"


@pytest.fixture
def nat():
    return Nat(INSIDE, OUTSIDE)


def rebuilt(data):
    """A packet as scapy would have sent it, with every length and checksum its own."""
    packet = IP(data)
    for layer in (IP, UDP, TCP, ICMP):
        if packet.haslayer(layer):
            packet[layer].chksum = None
    return bytes(packet)


def datagram(source, destination, data=b"hello", **words):
    return bytes(
        IP(src=source[0], dst=destination[0], **words)
        / UDP(sport=source[1], dport=destination[1])
        / Raw(data)
    )


def punch(nat, port=5004, to=(BOB, 6000), now=0):
    return nat.outbound(datagram((INSIDE, port), to), now)


@pytest.mark.parametrize(
    "layer",
    [UDP(sport=5004, dport=6000), TCP(sport=5004, dport=6000, flags="S"), ICMP(type=8, id=77)],
)
@pytest.mark.parametrize("data", [b"", b"odd", bytes(1400)])
def test_what_leaves_has_the_outer_address_and_right_checksums(nat, layer, data):
    sent = bytes(IP(src=INSIDE, dst=BOB) / layer / Raw(data))
    seen = nat.outbound(sent, 0)
    assert seen == rebuilt(seen)
    assert (IP(seen).src, IP(seen).dst) == (OUTSIDE, BOB)
    assert seen[20:].endswith(data)


def test_the_answer_finds_its_way_back(nat):
    punch(nat)
    back = nat.inbound(datagram((BOB, 6000), (OUTSIDE, 5004), b"answer"), 0)
    assert back == rebuilt(back)
    assert (IP(back).dst, IP(back).dport, IP(back).load) == (INSIDE, 5004, b"answer")


def test_an_echo_reply_comes_back_and_a_request_does_not(nat):
    nat.outbound(bytes(IP(src=INSIDE, dst=BOB) / ICMP(type=8, id=77)), 0)
    assert nat.inbound(bytes(IP(src=BOB, dst=OUTSIDE) / ICMP(type=0, id=77)), 0) is not None
    assert nat.inbound(bytes(IP(src=BOB, dst=OUTSIDE) / ICMP(type=8, id=77)), 0) is None


def test_the_mapping_is_the_same_whomever_one_sends_to(nat):
    """RFC 4787 REQ-1: endpoint-independent mapping, which hole punching needs."""
    ports = {IP(punch(nat, to=to)).sport for to in ((BOB, 6000), (BOB, 6001), (CAROL, 9))}
    assert ports == {5004}


@pytest.mark.parametrize("stranger", [(BOB, 6001), (CAROL, 6000)])
def test_only_who_was_sent_to_gets_in(nat, stranger):
    punch(nat)
    assert nat.inbound(datagram(stranger, (OUTSIDE, 5004)), 0) is None
    punch(nat, to=stranger)
    assert nat.inbound(datagram(stranger, (OUTSIDE, 5004)), 0) is not None


def test_a_hole_closes_after_two_minutes_of_silence(nat):
    """RFC 4787 REQ-5: not before two minutes."""
    punch(nat)
    answer = datagram((BOB, 6000), (OUTSIDE, 5004))
    assert nat.inbound(answer, seconds(120)) is not None
    assert nat.inbound(answer, seconds(240)) is not None, "the answer itself kept it open"
    assert nat.inbound(answer, seconds(361)) is None


def test_udp_and_tcp_have_their_own_ports(nat):
    punch(nat)
    segment = bytes(IP(src=BOB, dst=OUTSIDE) / TCP(sport=6000, dport=5004))
    assert nat.inbound(segment, 0) is None


def test_the_table_is_bounded_and_makes_room_for_the_living(nat):
    for port in range(MOST_MAPPINGS):
        assert punch(nat, 10_000 + port) is not None
    assert punch(nat, 9_999) is None
    assert punch(nat, 9_999, now=seconds(200)) is not None


def test_fragments_follow_the_first_one(nat):
    def pieces(packet):
        return [bytes(piece) for piece in fragment(IP(packet), 1000)]

    whole = datagram((INSIDE, 5004), (BOB, 6000), bytes(range(256)) * 10, id=9)
    seen = [IP(nat.outbound(piece, 0)) for piece in pieces(whole)]
    assert [(piece.src, piece.frag, piece.id) for piece in seen] == [
        (OUTSIDE, 0, 9),
        (OUTSIDE, 125, 9),
        (OUTSIDE, 250, 9),
    ]
    answer = datagram((BOB, 6000), (OUTSIDE, 5004), bytes(2560), id=9)
    back = [nat.inbound(piece, 0) for piece in pieces(answer)]
    assert [IP(piece).dst for piece in back] == [INSIDE] * 3
    strange = datagram((CAROL, 6000), (OUTSIDE, 5004), bytes(2560), id=10)
    assert [nat.inbound(piece, 0) for piece in pieces(strange)] == [None] * 3


def test_an_icmp_error_is_translated_with_what_it_quotes(nat):
    """RFC 5508 section 4: or path MTU discovery and traceroute end at the NAT."""
    seen = punch(nat)
    error = bytes(IP(src=CAROL, dst=OUTSIDE) / ICMP(type=3, code=3) / Raw(seen))
    back = nat.inbound(error, 0)
    assert back[20:] == rebuilt(back)[20:], "the sum over what is quoted"
    quoted = IP(back[28:])
    assert (quoted.src, quoted.sport, quoted.dst) == (INSIDE, 5004, BOB)
    assert bytes(quoted)[:20] == rebuilt(bytes(quoted))[:20]


def test_our_own_icmp_error_quotes_the_outer_address(nat):
    punch(nat)
    got = nat.inbound(datagram((BOB, 6000), (OUTSIDE, 5004)), 0)
    error = bytes(IP(src=INSIDE, dst=BOB) / ICMP(type=3, code=3) / Raw(got))
    seen = nat.outbound(error, 0)
    assert (IP(seen).src, IP(seen[28:]).dst, IP(seen[28:]).dport) == (OUTSIDE, OUTSIDE, 5004)


def test_an_error_about_somebody_else_is_dropped(nat):
    error = IP(src=CAROL, dst=OUTSIDE) / ICMP(type=3) / IP(src=BOB, dst=CAROL) / UDP()
    assert nat.inbound(bytes(error), 0) is None


def test_a_datagram_without_checksum_stays_without(nat):
    """RFC 768: zero says that there is none."""
    sent = bytes(IP(src=INSIDE, dst=BOB) / UDP(sport=5004, dport=6000, chksum=0) / Raw(b"x"))
    assert IP(nat.outbound(sent, 0))[UDP].chksum == 0


@given(st.binary(max_size=80), st.booleans(), st.sampled_from([1, 6, 17, 99]))
def test_any_bytes_are_translated_or_dropped(noise, first_is_ours, protocol):
    """The link damages packets: a NAT behind it must not stumble."""
    nat = Nat(INSIDE, OUTSIDE)
    punch(nat)
    header = bytes(IP(src=BOB, dst=OUTSIDE, proto=protocol, len=20 + len(noise)))
    data = header + noise if first_is_ours else noise
    for translate in (nat.inbound, nat.outbound):
        result = translate(data, 0)
        assert result is None or len(result) == len(data)

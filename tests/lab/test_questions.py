"""Questions on captures: what is right is computed, as by tshark; who is wrong gets an idea."""

import re
import subprocess
from collections import Counter
from functools import lru_cache

import pytest

from labkit.lab import questions
from labkit.lab.answers import ANSWERS, Answer
from labkit.lab.captures import Question, describe, manifest
from labkit.lab.questions import answer, ask, judge, packets, read_number
from labkit.words.errors import BadInput

ALL = [(name, q) for name, entry in manifest().items() for q in entry.questions]
each = pytest.mark.parametrize(("name", "question"), ALL, ids=[f"{n}-{q.answer}" for n, q in ALL])


def right(name, question):
    return ANSWERS[question.answer](packets(describe(name).path))


def one_of(value):
    return min(value) if isinstance(value, frozenset) else value


@each
def test_the_right_answer_is_right(name, question):
    """As a number, and as a text with its unit, rounded as people round."""
    value = one_of(right(name, question).value)
    assert answer(name, question.answer, value)
    if not isinstance(value, str):
        written = f"{value:.4g}" if question.tolerance != "0" else f"{value:g}"
        assert answer(name, question.answer, f" {written} {question.unit}")


@each
def test_a_wrong_answer_gets_an_idea_and_not_the_answer(name, question):
    """Whatever it is: far off, one beside, in another unit, a known mistake, nonsense, nothing."""
    known = right(name, question)
    value = one_of(known.value)
    if isinstance(value, str):
        wrong = [choice for choice in question.choices if choice != value]
    else:
        wrong = [value * 3 + 7, value / 1000 + 0.3, value + 1, -value - 1]
        wrong += [mistake for mistake, _ in known.mistakes]
        wrong = [w for w in wrong if not judge(question, known, w)]
        assert len(wrong) >= 2
    digits = f"{value:.4g}" if isinstance(value, float) else str(value)
    for given in [*wrong, "", "no idea"]:
        said = answer(name, question.answer, given)
        assert not said
        assert len(str(said)) > 10
        if digits.isdecimal() and int(digits) > 20:
            assert not re.search(rf"\b{digits}\b", said.text), given


@each
def test_each_mistake_has_an_idea_of_its_own(name, question):
    """Unless it is right after all, which with other packets it might not be."""
    known = right(name, question)
    for mistake, _ in known.mistakes:
        said = judge(question, known, mistake)
        ideas = [idea for value, idea in known.mistakes if questions._near(
            mistake, value, question.tolerance)]  # fmt: skip
        assert said or said.text in ideas


def test_no_answer_function_is_unasked_and_none_is_missing():
    assert {q.answer for _, q in ALL} == set(ANSWERS)


def test_no_answer_is_stored():
    """What the checker computes stands in no file of the captures."""
    words = (describe("04_zero_window").path.parent / "manifest.toml").read_text()
    words = words.partition("# What follows is written")[0]
    for name, question in ALL:
        value = one_of(right(name, question).value)
        if isinstance(value, float) and value != int(value):
            assert f"{value:.1f}" not in words, (name, question.answer)


MS = Question("How long?", "x", "Think.", unit="ms", tolerance="2 %")
COUNT = Question("How many?", "x", "Think.")


def test_a_wrong_unit_is_recognised():
    assert "Is that seconds? It is asked for in ms." in str(judge(MS, Answer(2667.3), 2.667))


def test_one_beside_is_near():
    assert "Very near" in str(judge(COUNT, Answer(7), 8))
    assert str(judge(COUNT, Answer(7), 9)) == "✗ Think."


def test_a_known_mistake_comes_before_every_other_idea():
    assert str(judge(COUNT, Answer(7, ((8, "Not the last."),)), 8)) == "✗ Not the last."


def test_one_of_several_right_answers_is_right():
    assert judge(COUNT, Answer(frozenset({3, 9})), 9)
    assert not judge(COUNT, Answer(frozenset({3, 9})), 4)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("2667", 2667), ("2,667", 2667), ("2,667.5 ms", 2667.5), ("2,5", 2.5), (" \u22123 ", -3),
        ("0x1a", 26), ("1_000", 1000), ("", None), (None, None), (4, 4),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(written, number):
    assert read_number(written, "ms") == number


def test_what_is_not_asked_is_told():
    with pytest.raises(BadInput, match=r"no question 'nothing'[\s\S]*closed_for"):
        answer("04_zero_window", "nothing", 1)
    with pytest.raises(BadInput, match="no capture called '99'"):
        answer("99", 1, 1)


def test_in_a_notebook_each_field_has_its_own_feedback():
    """What is typed into one field is judged at once, and the others are left alone."""
    box = ask("04_zero_window")
    fields = [child.children[1].children for child in box.children[1:]]
    value = right("04_zero_window", describe("04_zero_window").questions[1]).value
    fields[1][0].value = str(round(value))
    fields[2][0].value = "nonsense"
    assert "✓ Right." in fields[1][2].value
    assert "A number is wanted" in fields[2][2].value
    assert fields[0][2].value == ""


def test_without_widgets_the_questions_are_text(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    said = repr(ask("04_fin"))
    assert 'answer("04_fin", "who_ends", …)' in said


def tshark(name, wanted, *fields):
    """Fields of the packets that pass a filter."""
    command = ["tshark", "-n", "-r", describe(name).path, "-d", "udp.port==5000,rtp"]
    command += ["-d", "udp.port==5002,rtp", "-d", "udp.port==5004,rtp"]
    command += ["--disable-protocol", "rsl", "-Y", wanted, "-T", "fields"]
    for field in fields or ("frame.number",):
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def times(name, wanted):
    return [float(row[0]) * 1000 for row in tshark(name, wanted, "frame.time_epoch")]


def number(row):
    return int(row[0])


FIELDS = [
    "frame.number", "frame.time_epoch", "frame.len", "ip.src", "ip.dst", "ip.len", "ip.proto",
    "ip.ttl", "ip.dsfield.dscp", "tcp.stream", "tcp.flags.syn", "tcp.srcport", "udp.srcport",
    "udp.dstport", "udp.length", "udp.payload", "http.response.code", "websocket.mask",
    "tls.handshake.type", "tls.handshake.extensions_server_name", "tls.record.opaque_type",
    "quic.long.packet_type", "quic.short", "stun.type", "stun.att.type", "stun.att.port",
    "igmp.type", "rtp.seq", "rtp.timestamp", "rtp.payload", "rtcp.pt", "rtcp.senderssrc",
    "dtls.record.version",
]  # fmt: skip


@lru_cache(maxsize=4)
def seen_by_tshark(name):
    """Every packet with what tshark found of some fields: one run answers many questions."""
    rows = tshark(name, "frame", *FIELDS)
    return [{f: v for f, v in zip(FIELDS, row, strict=True) if v} for row in rows]


def chosen(name, **wanted):
    """The packets with these fields; "" means: with any value. `ip_src` stands for ip.src."""
    keys = {key.replace("__", "#").replace("_", ".").replace("#", "_"): v
            for key, v in wanted.items()}  # fmt: skip
    return [
        row for row in seen_by_tshark(name)
        if all(key in row and (not v or v in row[key].split(",")) for key, v in keys.items())
    ]  # fmt: skip


def ms_between(first, later):
    """Milliseconds from the first packet of some to the first of others, to the nanosecond."""
    begin, end = (int(rows[0]["frame.time_epoch"].replace(".", "")) for rows in (first, later))
    return (end - begin) / 1e6


def checks(name, kind="0x0001"):
    """What one peer asks the other, or what it answers: signed. Inside a NAT, and outside."""
    rows = chosen(name, stun_type=kind, stun_att_type="0x0008")
    inside = [row for row in rows if row["ip.dst"].startswith("192.168.")]
    outside = [row for row in rows if "192.168." not in row["ip.dst"] + row["ip.src"]]
    return rows, inside, outside


def voice_p99(name):
    """Milliseconds: times of arrival less the dates in the payloads."""
    delays = sorted(
        int(row["frame.time_epoch"].replace(".", "")) - int(row["udp.payload"][24:40], 16)
        for row in chosen(name, udp_dstport="5004")
    )
    return delays[-(-len(delays) * 99 // 100) - 1] / 1e6


def bulk_share(name):
    """Percent, by the lengths that IP tells."""
    sizes = [(int(row["ip.len"]), row["ip.proto"]) for row in chosen(name, ip_src="10.9.0.1")]
    return 100 * sum(s for s, proto in sizes if proto == "6") / sum(s for s, _ in sizes)


def sound(name, **wanted):
    """Packets of RTP, without RTCP and without what DTLS says on the same port."""
    rows = chosen(name, rtp_seq="", **wanted)
    return [row for row in rows if "rtcp.pt" not in row and "dtls.record.version" not in row]


def grown(name):
    """By how many bytes packets of one number are longer on port 5002 than on port 5000."""
    rows = [sound(name, udp_srcport=port) for port in ("5000", "5002")]
    plain, protected = ({r["rtp.seq"]: int(r["udp.length"]) for r in each} for each in rows)
    (difference,) = {size - plain[seq] for seq, size in protected.items()}
    return difference


LATER = [
    ("09_websocket", "refusal_status",
     lambda n: int(chosen(n, tcp_stream="0", http_response_code="")[0]["http.response.code"])),
    ("09_websocket", "masked_frames", lambda n: len(chosen(n, websocket_mask="1"))),
    ("09_websocket", "upgrade_time",
     lambda n: ms_between(chosen(n, tcp_stream="1"), chosen(n, http_response_code="101"))),
    ("09_tls", "server_name",
     lambda n: chosen(n, tls_handshake_type="1")[0]["tls.handshake.extensions_server_name"]),
    ("09_tls", "first_encrypted",
     lambda n: ms_between(chosen(n, tcp_flags_syn="1"),
                          chosen(n, ip_src="10.9.0.2", tls_record_opaque__type="23"))),
    ("09_tls", "encrypted_records",
     lambda n: sum(row["tls.record.opaque_type"].split(",").count("23") for row in
                   chosen(n, tcp_srcport="443", tls_record_opaque__type=""))),
    ("09_quic", "first_datagram", lambda n: int(chosen(n)[0]["udp.length"]) - 8),
    ("09_quic", "coalesced",
     lambda n: chosen(n, udp_srcport="443")[0]["quic.long.packet_type"].count(",") + 1),
    ("09_quic", "long_headers", lambda n: len(chosen(n, quic_long_packet__type=""))),
    ("09_quic", "first_short_header",
     lambda n: ms_between(chosen(n), chosen(n, udp_dstport="443", quic_short=""))),
    ("09_hole_punched", "mapped_port",
     lambda n: int(chosen(n, ip_dst="192.168.1.2", stun_type="0x0101")[0]["stun.att.port"])),
    ("09_hole_punched", "checks_refused", lambda n: len(checks(n)[2]) - len(checks(n)[1])),
    ("09_hole_punched", "punched_after",
     lambda n: ms_between(checks(n)[0], checks(n, "0x0101")[1])),
    ("09_symmetric_nats", "ports_used",
     lambda n: len({row["udp.srcport"] for row in chosen(n, ip_src="10.9.1.1")})),
    ("09_symmetric_nats", "checks_refused", lambda n: len(checks(n)[2]) - len(checks(n)[1])),
    ("10_multicast", "copies",
     lambda n: max(Counter(r["rtp.timestamp"] for r in sound(n, ip_dst="10.9.0.2")).values())),
    ("10_multicast", "membership_reports",
     lambda n: len(chosen(n, ip_src="10.9.0.2", igmp_type="0x22"))),
    ("10_multicast", "multicast_ttl",
     lambda n: int(chosen(n, ip_dst="239.9.0.1")[0]["ip.ttl"])),
    ("10_multicast", "members_heard",
     lambda n: len({r["rtcp.senderssrc"] for r in chosen(n, ip_dst="239.9.0.1", rtcp_pt="201")})),
    ("12_srtp", "srtp_grows", grown),
    ("12_srtp", "first_payload_bytes",
     lambda n: len({row["rtp.payload"][:2] for row in sound(n, udp_srcport="5002")})),
    ("12_dtls_srtp", "cookie_shorter",
     lambda n: int.__sub__(*(int(row["frame.len"]) for row in chosen(n)[:2]))),
    ("12_dtls_srtp", "handshake_datagrams", lambda n: len(chosen(n, dtls_record_version=""))),
    ("12_dtls_srtp", "first_sound", lambda n: ms_between(chosen(n), sound(n))),
]  # fmt: skip
"""A capture, a question, and how tshark answers it: weeks 9 to 12, but for those in `TWICE`."""

TWICE = [
    (name, question, judge)
    for name in ("11_one_queue", "11_ef_first")
    for question, judge in (
        ("voice_mark", lambda n: int(chosen(n, udp_dstport="5004")[0]["ip.dsfield.dscp"])),
        ("voice_p99", voice_p99),
        ("bulk_share", bulk_share),
    )
]

JUDGES = [
    ("03_nagle_on", "data_segments", lambda n: len(tshark(n, "tcp.srcport==5000 && tcp.len > 0"))),
    ("03_nagle_off", "data_segments", lambda n: len(tshark(n, "tcp.srcport==5000 && tcp.len > 0"))),
    ("04_zero_window", "zero_window_packet",
     lambda n: number(tshark(n, "tcp.analysis.zero_window")[0])),
    ("04_zero_window", "closed_for",
     lambda n: times(n, "tcp.analysis.window_update")[-1]
     - times(n, "tcp.analysis.zero_window")[0]),
    ("04_zero_window", "probes", lambda n: len(tshark(n, "tcp.analysis.keep_alive"))),
    ("04_head_of_line", "retransmissions",
     lambda n: len(tshark(n, "tcp.analysis.retransmission || tcp.analysis.out_of_order"))),
    ("04_fin", "first_fin", lambda n: number(tshark(n, "tcp.flags.fin==1")[0])),
    ("04_rst", "rst_packet", lambda n: number(tshark(n, "tcp.flags.reset==1")[0])),
    ("04_reconnect", "refused",
     lambda n: len(tshark(n, "tcp.flags.reset==1 && tcp.flags.ack==1 && tcp.seq==1"))),
    ("05_fragments", "second_offset",
     lambda n: int(tshark(n, "ip.frag_offset > 0", "ip.frag_offset")[0][0]) * 8),
    ("07_rtp_rtcp", "sender_reports", lambda n: len(tshark(n, "rtcp.pt==200 && !icmp"))),
    ("07_rtp_rtcp", "reported_lost",
     lambda n: int(tshark(n, "rtcp.pt==201 && rtcp.ssrc.jitter", "rtcp.ssrc.cum_nr")[-1][0])),
    ("07_rtp_rtcp", "reported_jitter",
     lambda n: int(tshark(n, "rtcp.pt==201 && rtcp.ssrc.jitter", "rtcp.ssrc.jitter")[-1][0]) / 48),
    ("08_opus_dtx", "talk_spurts", lambda n: len(tshark(n, "rtp.marker==1"))),
]  # fmt: skip
"""A capture, a question, and how tshark answers it."""


@pytest.mark.peer
@pytest.mark.parametrize(
    ("name", "question", "judge"),
    [*JUDGES, *LATER, *TWICE],
    ids=[f"{n}-{q}" for n, q, _ in [*JUDGES, *LATER, *TWICE]],
)
def test_tshark_gives_the_same_answer(need, name, question, judge):
    need("tshark")
    assert answer(name, question, judge(name))

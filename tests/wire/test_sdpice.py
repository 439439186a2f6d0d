"""ICE in SDP, by the example of RFC 8839, and the answer that a browser gets."""

import pytest

from labkit.wire import sdp
from labkit.wire.sdpdtls import DtlsParameters, Fingerprint, Setup
from labkit.wire.sdpice import Direction, IceParameters, answer, parse_ice
from labkit.words.errors import Malformed
from labkit.words.format import AudioFormat

RFC_8839 = """v=0
o=jdoe 2890844526 2890842807 IN IP4 203.0.113.141
s=
c=IN IP4 192.0.2.3
t=0 0
a=ice-options:ice2
a=ice-pacing:50
a=ice-pwd:asd88fgpdd777uzjYhagZg
a=ice-ufrag:8hhY
m=audio 45664 RTP/AVP 0
b=RS:0
b=RR:0
a=rtpmap:0 PCMU/8000
a=candidate:1 1 UDP 2130706431 203.0.113.141 8998 typ host
a=candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998
"""
"""The offer of appendix A."""


def test_the_example():
    assert parse_ice(RFC_8839) == IceParameters("8hhY", "asd88fgpdd777uzjYhagZg")
    assert parse_ice(RFC_8839.replace("\n", "\r\n")).ufrag == "8hhY"


@pytest.mark.parametrize("line", ["a=ice-ufrag:8hhY", "a=ice-pwd:asd88fgpdd777uzjYhagZg"])
def test_both_words_are_needed_and_long_enough(line):
    for worse in ("", line[:-2], line + "!"):
        with pytest.raises(Malformed, match="RFC 8839"):
            parse_ice(RFC_8839.replace(line, worse))


def test_a_password_does_not_show_itself():
    assert "asd88" not in repr(parse_ice(RFC_8839))


def test_the_answer_says_who_where_and_how():
    dtls = DtlsParameters((Fingerprint("sha-256", bytes(32)),), Setup.PASSIVE)
    words = IceParameters("abcd", "x" * 22)
    audio = AudioFormat("opus", 48_000, 2, 111)
    where = {"host": "127.0.0.1", "port": 5004, "dtls": dtls, "ice": words, "ssrc": 7}
    text = answer(RFC_8839 + "a=mid:voice\n", audio, **where)
    found = sdp.parse(text)
    assert (found.security, found.port, found.rtcp_mux) == (dtls, 5004, True)
    lines = text.split("\r\n")
    assert parse_ice(text) == words
    assert "m=audio 5004 UDP/TLS/RTP/SAVPF 111" in lines
    assert lines.index("a=ice-lite") < lines.index("m=audio 5004 UDP/TLS/RTP/SAVPF 111")
    assert "a=candidate:1 1 udp 2130706431 127.0.0.1 5004 typ host" in lines
    assert {"a=group:BUNDLE voice", "a=mid:voice", "a=sendonly"} <= set(lines)
    listening = answer(RFC_8839, audio, **where, direction=Direction.RECVONLY)
    assert "a=recvonly\r\n" in listening
    assert "a=sendonly" not in listening
    assert "BUNDLE" not in answer(RFC_8839, audio, **where)

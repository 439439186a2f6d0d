"""libsrtp by our calls and by pylibsrtp's: the same bytes and the same errors."""

from random import Random

import pylibsrtp
import pytest

from labkit.endpoints.srtp import context, new_key
from labkit.endpoints.srtpcall import ROOM, TRAILER, protecting, unprotecting
from labkit.wire import rtcp, rtp
from labkit.wire.sdes import Suite
from labkit.words.packet import Packet

OUT, IN = pylibsrtp.Policy.SSRC_ANY_OUTBOUND, pylibsrtp.Policy.SSRC_ANY_INBOUND
REPORT = rtcp.pack(rtcp.ReceiverReport(7, ()), rtcp.SourceDescription.named(7, "ann"))


def packet(seq, size=160):
    return rtp.pack(Packet(seq, 960 * seq, Random(seq).randbytes(size), payload_type=96, ssrc=7))


@pytest.mark.parametrize("suite", Suite)
def test_they_give_the_same_bytes(suite):
    """Packet for packet, RTP and RTCP in turn, and back again."""
    key = new_key(suite, Random(1))
    ours, theirs = protecting(context(key, OUT)), context(key, OUT)
    back, also = unprotecting(context(key, IN)), context(key, IN)
    for seq in (65_534, 65_535, 0, 1):
        plain = packet(seq, size=seq % 7)
        sealed = ours.rtp(plain)
        assert sealed == theirs.protect(plain)
        assert back.rtp(sealed) == also.unprotect(sealed) == plain
        sealed = ours.rtcp(REPORT)
        assert sealed == theirs.protect_rtcp(REPORT)
        assert back.rtcp(sealed) == also.unprotect_rtcp(sealed) == REPORT


def test_they_raise_the_same_errors():
    """Sent twice, forged, too short, too long."""
    key = new_key(rng=Random(2))
    ours, theirs = protecting(context(key, OUT)), context(key, OUT)
    back, also = unprotecting(context(key, IN)), context(key, IN)
    sealed = ours.rtp(packet(1))
    theirs.protect(packet(1))
    pairs = (
        (ours.rtp, theirs.protect, packet(1)),
        (ours.rtp, theirs.protect, b""),
        (back.rtp, also.unprotect, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (back.rtp, also.unprotect, sealed[:12]),
        (back.rtcp, also.unprotect_rtcp, REPORT),
        (ours.rtp, theirs.protect, bytes(ROOM)),
        (back.rtp, also.unprotect, bytes(ROOM + 1)),
    )
    for call, other, data in pairs:
        with pytest.raises((pylibsrtp.Error, ValueError)) as mine:
            call(data)
        with pytest.raises((pylibsrtp.Error, ValueError)) as yours:
            other(data)
        assert (type(mine.value), str(mine.value)) == (type(yours.value), str(yours.value))


def test_there_is_room_for_what_libsrtp_appends():
    """It writes beyond the packet without asking how much room there is."""
    assert max(pylibsrtp.SRTP_MAX_TRAILER_LEN, pylibsrtp.SRTP_MAX_SRTCP_TRAILER_LEN) <= TRAILER


def test_a_call_outlives_its_context():
    """Whoever keeps the call keeps what it works on."""
    call = protecting(context(new_key(rng=Random(3)), OUT)).rtp
    assert len(call(packet(1))) > len(packet(1))

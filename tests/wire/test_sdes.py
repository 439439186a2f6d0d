"""Keys in SDP, judged by the examples of RFC 4568, RFC 8122 and RFC 5763."""

import pytest

from labkit.wire import sdes, sdp
from labkit.wire.sdes import Crypto, MasterKey, Mki, Suite
from labkit.wire.sdpdtls import (
    DtlsParameters,
    Fingerprint,
    Setup,
    unpack_fingerprint,
    unpack_setup,
)
from labkit.words.errors import LocalProtocolError, Malformed
from labkit.words.format import AudioFormat

KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
RFC_4568 = (
    "v=0\r\n"
    "o=jdoe 2890844526 2890842807 IN IP4 10.47.16.5\r\n"
    "s=SDP Seminar\r\n"
    "i=A Seminar on the session description protocol\r\n"
    "u=http://www.example.com/seminars/sdp.pdf\r\n"
    "e=j.doe@example.com (Jane Doe)\r\n"
    "c=IN IP4 161.44.17.12/127\r\n"
    "t=2873397496 2873404696\r\n"
    "m=video 51372 RTP/SAVP 31\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 "
    "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32\r\n"
    "m=audio 49170 RTP/SAVP 0\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_32 "
    "inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20|1:32\r\n"
    "m=application 32416 udp wb\r\n"
    "a=orient:portrait\r\n"
)
"""The example of section 5.3, of a session that is announced."""
OFFER = [
    "1 AES_CM_128_HMAC_SHA1_80 "  # noqa: ISC004
    "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4 FEC_ORDER=FEC_SRTP",
    "2 F8_128_HMAC_SHA1_80 "  # noqa: ISC004
    "inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm|2^20|1:4;"
    "inline:QUJjZGVmMTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5|2^20|2:4 FEC_ORDER=FEC_SRTP",
]
"""The offer of section 7.1."""


def test_the_example_of_an_announced_session():
    found = sdp.parse(RFC_4568)
    (crypto,) = found.security
    assert (crypto.tag, crypto.suite) == (1, "AES_CM_128_HMAC_SHA1_32")
    assert crypto.keys[0].lifetime == 2**20
    assert crypto.keys[0].mki == Mki(1, 32)
    assert len(crypto.keys[0].key_and_salt) == 30


def test_the_example_of_an_offer():
    first, second = map(sdes.unpack, OFFER)
    assert first.parameters == ("FEC_ORDER=FEC_SRTP",)
    assert [key.mki for key in second.keys] == [Mki(1, 4), Mki(2, 4)]
    for crypto, text in ((first, OFFER[0]), (second, OFFER[1])):
        assert sdes.pack(crypto) == text
    with pytest.raises(Malformed, match=r"tag 1: .*MKI.*tag 2: suite F8_128_HMAC_SHA1_80"):
        sdes.choose([first, second])


@pytest.mark.parametrize("suite", Suite)
def test_a_key_of_ours_is_found_again(suite):
    ours = MasterKey.of(suite, bytes(range(suite.key_size + suite.salt_size)), 2**31)
    audio = AudioFormat("opus", 48_000, 2, 111)
    text = sdp.describe(audio, host="127.0.0.1", port=5004, security=(Crypto.of(3, ours),))
    assert "m=audio 5004 RTP/SAVP 111\r\n" in text
    (found,) = sdp.parse(text).security
    assert found.master_key == ours
    assert found.tag == 3


def test_the_first_line_that_can_be_used_is_chosen_and_the_answer_names_it():
    offer = [
        sdes.unpack(f"1 AES_192_CM_HMAC_SHA1_80 inline:{KEY}"),
        sdes.unpack(f"2 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTCP"),
        sdes.unpack(f"3 AES_CM_128_HMAC_SHA1_80 inline:{KEY} -new=1"),
        sdes.unpack(f"4 AES_CM_128_HMAC_SHA1_32 inline:{KEY}"),
    ]
    chosen = sdes.choose(offer)
    assert chosen is offer[2]
    theirs = MasterKey.of(Suite.AES_CM_128_HMAC_SHA1_80, bytes(30))
    answer = Crypto.of(chosen.tag, theirs)
    assert sdes.accept(offer, [answer]) == (chosen, answer)
    for wrong in ([], [answer, answer], [Crypto.of(4, theirs)], [Crypto.of(9, theirs)]):
        with pytest.raises(Malformed, match=r"answer|not offered"):
            sdes.accept(offer, wrong)


@pytest.mark.parametrize(
    ("parameter"),
    ["KDR=1", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP", "WSH=64", "other"],
)
def test_what_we_cannot_do_has_a_name(parameter):
    crypto = sdes.unpack(f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} {parameter}")
    assert crypto.unsupported == f"session parameter {parameter}"
    with pytest.raises(Malformed, match=parameter):
        _ = crypto.master_key


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "not <tag>"),
        ("1234567890 AES_CM_128_HMAC_SHA1_80 inline:AAAA", "not <tag>"),
        (f"1 AES_CM_128_HMAC_SHA1_80 uri:{KEY}", "not inline"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:-4]}", "27 bytes"),
        (f"1 AEAD_AES_256_GCM inline:{KEY}", "takes 44"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}=", "base64"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^49", "2\\^48"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|0", "2\\^48"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|256:1", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:129", "MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}", "each has an MKI"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4;inline:{KEY}|1:4", "each has an MKI"),
    ],
)
def test_a_wrong_line_is_refused_and_not_shown(line, said):
    with pytest.raises(Malformed, match=said) as caught:
        sdes.unpack(line)
    assert KEY[:8] not in str(caught.value)
    with pytest.raises(Malformed) as caught:
        sdp.parse(
            RFC_4568.replace(
                "audio 49170 RTP/SAVP 0\r\n", f"audio 1 RTP/SAVP 0\r\na=crypto:{line}\r\n"
            )
        )
    assert KEY[:8] not in str(caught.value)


def test_a_key_does_not_show_itself():
    key = MasterKey.of(Suite.AES_CM_128_HMAC_SHA1_80, b"sixteen secret..fourteen salt.")
    crypto = Crypto.of(1, key)
    for shown in (repr(key), str(key), repr(crypto), repr(crypto.keys)):
        assert "secret" not in shown
        assert "salt." not in shown
    text = sdp.describe(AudioFormat("opus", 48_000, 2, 111), host="::1", port=9, security=(crypto,))
    assert sdes.pack(crypto).split(":")[1] not in sdes.without_keys(text)
    assert sdp.parse(sdes.without_keys(text)).security == ()  # protected, and that is all it says
    with pytest.raises(LocalProtocolError, match="15 and 14") as caught:
        MasterKey(key.suite, key.key[1:], key.salt)
    assert "secret" not in str(caught.value)


def test_plain_rtp_has_no_security_whatever_stands_below():
    plain = RFC_4568.replace("RTP/SAVP", "RTP/AVP")
    assert sdp.parse(plain).security is None


RFC_8122 = "SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB"
"""The example of section 5."""


def test_a_fingerprint():
    found = unpack_fingerprint(RFC_8122)
    assert found.algorithm == "sha-1"
    assert str(found) == RFC_8122.replace("SHA", "sha")
    for wrong in ("", "sha-1", "sha-256 4A:AD", "md5 " + ":".join(["00"] * 16), "sha-1 4A-AD"):
        with pytest.raises(Malformed, match="RFC 8122"):
            unpack_fingerprint(wrong)


def test_who_begins():
    assert [unpack_setup(each.value) for each in Setup] == list(Setup)
    with pytest.raises(Malformed, match="RFC 4145"):
        unpack_setup("either")


@pytest.mark.parametrize("profile", ["UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF", "RTP/SAVPF"])
def test_a_description_by_dtls(profile):
    """Chromium's profile is UDP/TLS/RTP/SAVPF, and its fingerprint may stand before all media."""
    security = DtlsParameters((Fingerprint("sha-256", bytes(range(32))),), Setup.ACTPASS)
    audio = AudioFormat("opus", 48_000, 2, 111)
    text = sdp.describe(audio, host="127.0.0.1", port=9, security=security)
    text = text.replace("UDP/TLS/RTP/SAVP", profile)
    assert sdp.parse(text).security == security
    head, media = text.split("m=", 1)
    lines = [line for line in media.split("\r\n") if line.startswith(("a=fing", "a=setup"))]
    for line in lines:
        media = media.replace(line + "\r\n", "")
    assert sdp.parse("\r\n".join([head.rstrip(), *lines, f"m={media}"])).security == security
    if "TLS" in profile:
        with pytest.raises(Malformed, match="no a=fingerprint"):
            sdp.parse(f"{head}m={media}")
    else:
        assert sdp.parse(f"{head}m={media}").security == ()

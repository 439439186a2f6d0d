"""Keys and keystream, judged by RFC 3711 appendix B, RFC 6188 and libsrtp."""

import hashlib
import hmac

import pylibsrtp
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from labkit.core.srtpkeys import Label, derive, first_block, keystream, session_keys
from labkit.wire import rtcp, rtp
from labkit.wire.sdes import MasterKey, Suite
from labkit.words.errors import LocalProtocolError
from labkit.words.packet import Packet


def test_counter_mode_by_appendix_b2():
    """The first and the last blocks of the keystream, which is 65281 blocks long."""
    key = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
    salt = bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD")
    start = first_block(salt, 0, 0)
    assert start == salt + b"\0\0"
    stream = keystream(key, start, 0xFF02 * 16)
    blocks = {
        0x0000: "E03EAD0935C95E80E166B16DD92B4EB4",
        0x0001: "D23513162B02D0F72A43A2FE4A5F97AB",
        0x0002: "41E95B3BB0A2E8DD477901E4FCA894C0",
        0xFEFF: "EC8CDF7398607CB0F2D21675EA9EA1E4",
        0xFF00: "362B7C3C6773516318A077D7FC5073AE",
        0xFF01: "6A2CC3787889374FBEB4C81B17BA6C44",
    }
    for number, expected in blocks.items():
        assert stream[number * 16 : number * 16 + 16] == bytes.fromhex(expected), hex(number)


def test_key_derivation_by_appendix_b3():
    key = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
    salt = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    encryption = derive(key, salt, Label.RTP_ENCRYPTION, 16)
    assert encryption == bytes.fromhex("C61E7A93744F39EE10734AFE3FF7A087")
    assert derive(key, salt, Label.RTP_SALT, 14) == bytes.fromhex("30CBBC08863D8C85D49DB34A9AE1")
    authentication = derive(key, salt, Label.RTP_AUTHENTICATION, 94)
    assert authentication == bytes.fromhex(
        "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE"
        "E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25"
        "6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2"
    )


def test_key_derivation_with_256_bits_by_rfc_6188():
    """RFC 6188 section 7.2: the same function with a longer key."""
    key = bytes.fromhex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6")
    salt = bytes.fromhex("3b04803de51ee7c96423ab5b78d2")
    encryption = derive(key, salt, Label.RTP_ENCRYPTION, 32)
    assert encryption.hex() == "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"
    assert derive(key, salt, Label.RTP_SALT, 14).hex() == "fa31791685ca444a9e07c6c64e93"
    authentication = derive(key, salt, Label.RTP_AUTHENTICATION, 20)
    assert authentication.hex() == "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"


PROFILES = {
    Suite.AES_CM_128_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Suite.AES_CM_128_HMAC_SHA1_32: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    Suite.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Suite.AEAD_AES_256_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


def master_key(suite):
    return MasterKey.of(suite, bytes(range(7, 7 + suite.key_size + suite.salt_size)))


def libsrtp(key):
    policy = pylibsrtp.Policy(
        key.key + key.salt, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, 0, PROFILES[key.suite]
    )
    return pylibsrtp.Session(policy)


def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("suite", Suite)
def test_a_packet_protected_by_hand_is_the_one_that_libsrtp_makes(suite):
    """RFC 3711 figure 1 and section 4.2; RFC 7714 sections 8.1 and 8.2. Twice through zero."""
    key = master_key(suite)
    keys, peer = session_keys(key), libsrtp(key)
    for index in (65_534, 65_535, 65_536, 65_537, 90_000, 120_000, 131_071, 131_072):
        rollovers, seq = divmod(index, 65_536)
        plain = rtp.pack(Packet(seq, index, b"a frame of sound", payload_type=111, ssrc=0xDECAFBAD))
        head, payload = plain[:12], plain[12:]
        if suite.name.startswith("AEAD"):
            iv = xor(keys.salt, b"\0\0" + 0xDECAFBAD.to_bytes(4) + index.to_bytes(6))
            expected = head + AESGCM(keys.encryption).encrypt(iv, payload, head)
        else:
            start = first_block(keys.salt, 0xDECAFBAD, index)
            sealed = head + xor(payload, keystream(keys.encryption, start, len(payload)))
            tag = hmac.new(keys.authentication, sealed + rollovers.to_bytes(4), hashlib.sha1)
            expected = sealed + tag.digest()[: suite.tag_size]
        assert peer.protect(plain) == expected, index
        assert len(expected) == len(plain) + suite.tag_size


def test_a_report_protected_by_hand_is_the_one_that_libsrtp_makes():
    """RFC 3711 figure 2: the first 8 bytes are in the clear, the index follows, all is signed."""
    key = master_key(Suite.AES_CM_128_HMAC_SHA1_32)
    keys, peer = session_keys(key, rtcp=True), libsrtp(key)
    name = rtcp.SourceDescription.named(7, "ann")
    plain = rtcp.pack(rtcp.ReceiverReport(7, ()), name)
    for index in (1, 2, 3):
        stream = keystream(keys.encryption, first_block(keys.salt, 7, index), len(plain) - 8)
        sealed = plain[:8] + xor(plain[8:], stream) + (1 << 31 | index).to_bytes(4)
        tag = hmac.new(keys.authentication, sealed, hashlib.sha1).digest()[:10]
        assert peer.protect_rtcp(plain) == sealed + tag  # 80 bits, whatever the suite says of RTP


def test_session_keys_do_not_show_themselves():
    keys = session_keys(master_key(Suite.AES_CM_128_HMAC_SHA1_80))
    assert repr(keys) == str(keys) == "SessionKeys(…)"
    with pytest.raises(LocalProtocolError, match="15 bytes"):
        derive(bytes(16), bytes(15), 0, 16)

"""From a master key to six session keys, and from a session key to a keystream (week 12).

    master key, master salt ──┬── label 0 ──> encrypts RTP
      (agreed once)           ├── label 1 ──> authenticates RTP
                              ├── label 2 ──> salts RTP
                              └── labels 3, 4, 5: the same for RTCP

RFC 3711 section 4.3: the label is laid over the salt, AES in counter mode begins there, and what it
gives is the session key. So one secret makes six that have nothing to do with each other, and the
key that encrypts says nothing about the one that authenticates.

RFC 3711 section 4.1.1: to encrypt, the same counter mode begins at a block made of the session
salt, the SSRC and the index of the packet. No two packets may ever begin at the same block: the
XOR of two ciphertexts would be the XOR of two plaintexts, with no key left in it (a "two-time
pad"). That is why an SSRC must be unique among all who share a master key, and why two listeners
of one server do not share one.

This is written to be read and to be checked against the RFC's vectors; packets are protected by
libsrtp (`labkit.endpoints.srtp`), which does the same in C. It knows no packet, no rekeying (the
key derivation rate is 0, as everywhere) and no replay.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from labkit.wire.sdes import MasterKey
from labkit.words.errors import LocalProtocolError

BLOCK: Final = 16
"""Bytes of an AES block."""
SALT: Final = 14
"""Bytes of a salt: the last two of a block count the blocks of one packet."""
AUTHENTICATION_KEY: Final = 20
"""Bytes of the key of HMAC-SHA1: RFC 3711 section 5.2."""


class Label(IntEnum):
    """What a session key is for: RFC 3711 sections 4.3.1 and 4.3.2."""

    RTP_ENCRYPTION = 0
    RTP_AUTHENTICATION = 1
    RTP_SALT = 2
    RTCP_ENCRYPTION = 3
    RTCP_AUTHENTICATION = 4
    RTCP_SALT = 5


class SessionKeys(NamedTuple):
    """What protects one kind of packet. GCM needs no key for authentication: it is empty."""

    encryption: bytes
    authentication: bytes
    salt: bytes

    def __repr__(self) -> str:
        return "SessionKeys(…)"


def keystream(key: bytes, first_block: bytes, size: int) -> bytes:
    """`size` bytes of AES in counter mode, the counter beginning at `first_block` (16 bytes).

    The keystream XOR the plaintext is the ciphertext, and XOR the ciphertext the plaintext.
    """
    return Cipher(AES(key), CTR(first_block)).encryptor().update(bytes(size))


def derive(master_key: bytes, master_salt: bytes, label: int, size: int) -> bytes:
    """One session key of `size` bytes: section 4.3.1 with the pseudorandom function of 4.3.3.

    The salt of the AEAD suites has 12 bytes; zeros make it 14 (RFC 7714 section 11).
    """
    if len(master_salt) > SALT:
        raise LocalProtocolError(f"{len(master_salt)} bytes of salt; there are {SALT} at most")
    #  0                           6   7                      13  14 15
    # |        master salt (XOR)     | label | 0 0 0 0 0 0 0 (r) | 0 0 |
    x = bytearray(master_salt.ljust(SALT, b"\0"))
    x[7] ^= label
    return keystream(master_key, bytes(x) + b"\0\0", size)


def session_keys(master: MasterKey, *, rtcp: bool = False) -> SessionKeys:
    """The three keys for RTP, or for RTCP."""
    first = Label.RTCP_ENCRYPTION if rtcp else Label.RTP_ENCRYPTION
    suite = master.suite
    aead = suite.name.startswith("AEAD")
    sizes = (suite.key_size, 0 if aead else AUTHENTICATION_KEY, suite.salt_size)
    keys = (
        derive(master.key, master.salt, first + step, size) if size else b""
        for step, size in enumerate(sizes)
    )
    return SessionKeys(*keys)


def first_block(salt: bytes, ssrc: int, index: int) -> bytes:
    """Where the keystream of a packet begins: section 4.1.1.

    `index` is the 48-bit index of an RTP packet, or the 31-bit index of an RTCP packet.
    """
    #  0          3 4          7 8              13 14 15
    # |   0 0 0 0  |    SSRC    |      index      | 0 0 |   XOR   | salt (14 bytes) | 0 0 |
    packet = ssrc << 64 | index << 16
    return (packet ^ int.from_bytes(salt) << 16).to_bytes(BLOCK)

"""Captures that Wireshark opens: pcapng (draft-ietf-opsawg-pcapng).

    with open("call.pcapng", "wb") as file, PcapngWriter(file) as capture:
        capture.udp(now, data, ("10.0.0.1", 5004), ("10.0.0.2", 5004), comment="came late")

A file is a row of blocks: one section header, one interface, and a block for each packet. Times
are our `now`, in nanoseconds; in virtual time a capture begins at 1970 and is exact.

TLS and QUIC hide what they carry; `with_secrets` puts the keys of a conversation into its capture,
and Wireshark, which finds them there, shows it. **Who has such a file reads everything in it.**

Each block is written whole. Leaving the `with` flushes, also when Ctrl-C is the reason; a file
opened with `buffering=0` stays readable even when the process is killed.

This module opens no file: it writes to one that is binary and open. It reads no captures, and
takes from packets nothing but their bytes.
"""

import struct
from types import TracebackType
from typing import BinaryIO, Final, Self

from labkit.wire import ip
from labkit.wire.ip import Endpoint, TcpFlow
from labkit.words.errors import LocalProtocolError

BLOCK: Final = struct.Struct("!II")
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |                          block type                           |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |             total length: also the block's last word          |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |    body, zeros to the next word, options, total length again

SECTION: Final = struct.Struct("!IHHq")
# |                        byte-order magic                       |
# |         major = 1             |           minor = 0           |
# |              section length, 64 bits; -1: not known           |

INTERFACE: Final = struct.Struct("!HHI")
# |           link type           |          reserved = 0         |
# |        longest packet that is kept whole; 0: any length       |

PACKET: Final = struct.Struct("!IQII")
# |                          interface = 0                        |
# |           timestamp, 64 bits, in units of the interface       |
# |                       bytes in this file                      |
# |                    bytes as it was on the wire                |

SECRETS: Final = struct.Struct("!II")
# |       type of the secrets: 0x544c534b, "TLSK", a key log       |
# |                     length of the secrets                     |

OPTION: Final = struct.Struct("!HH")
# |          option code          |  length of the value in bytes |

SECTION_HEADER: Final = 0x0A0D0D0A
"""Reads the same in both byte orders, and is broken by anything that turns LF into CRLF."""
INTERFACE_DESCRIPTION: Final = 1
ENHANCED_PACKET: Final = 6
DECRYPTION_SECRETS: Final = 0x0A
TLS_KEY_LOG: Final = 0x544C534B
"""A key log in the format of NSS: a line each, label, client random, secret; QUIC's too."""
MAGIC: Final = 0x1A2B3C4D
"""Says in which byte order all other numbers are; here network byte order."""

LINKTYPE_RAW: Final = 101
"""Packets begin with their IP header."""

OPT_COMMENT: Final = 1
IF_NAME: Final = 2
SHB_USERAPPL: Final = 4
IF_TSRESOL: Final = 9
NANOSECONDS: Final = b"\x09"
"""Timestamps count 10**-9 seconds."""


def section_header(application: str = "labkit") -> bytes:
    """The block that a file begins with."""
    fixed = SECTION.pack(MAGIC, 1, 0, -1)
    return block(SECTION_HEADER, fixed, [(SHB_USERAPPL, application.encode())])


def interface_description(name: str = "labkit") -> bytes:
    """The block that says what packets look like: raw IP, nanoseconds."""
    options = [(IF_NAME, name.encode()), (IF_TSRESOL, NANOSECONDS)]
    return block(INTERFACE_DESCRIPTION, INTERFACE.pack(LINKTYPE_RAW, 0, 0), options)


def enhanced_packet(now: int, packet: bytes, comment: str = "") -> bytes:
    """The block of one IP packet, captured at `now`; Wireshark shows the comment with it."""
    try:
        fixed = PACKET.pack(0, now, len(packet), len(packet))
    except struct.error as error:
        raise LocalProtocolError(f"captured at {now}: {error}") from error
    options = [(OPT_COMMENT, comment.encode())] if comment else []
    return block(ENHANCED_PACKET, fixed + _whole_words(packet), options)


def decryption_secrets(key_log: bytes) -> bytes:
    """The block of a TLS key log (section 4.7); it must stand before the packets that it opens."""
    body = SECRETS.pack(TLS_KEY_LOG, len(key_log)) + _whole_words(key_log)
    return block(DECRYPTION_SECRETS, body, [])


def with_secrets(capture: bytes, key_log: bytes) -> bytes:
    """A capture that we wrote, with the keys that open it: they stand before its first packet."""
    at = 0
    while at + BLOCK.size <= len(capture):
        block_type, size = BLOCK.unpack_from(capture, at)
        if block_type not in (SECTION_HEADER, INTERFACE_DESCRIPTION):
            break
        at += size
    return capture[:at] + decryption_secrets(key_log) + capture[at:]


def shortened(capture: bytes, longest: int) -> bytes:
    """A capture that we wrote, with `longest` bytes of each packet; how long it was stays known."""
    out, at = bytearray(), 0
    while at + BLOCK.size <= len(capture):
        block_type, size = BLOCK.unpack_from(capture, at)
        whole = capture[at : at + size]
        if block_type == ENHANCED_PACKET:
            whole = _shortened(whole, longest)
        out += whole
        at += size
    return bytes(out)


def _shortened(whole: bytes, longest: int) -> bytes:
    interface, now, kept, length = PACKET.unpack_from(whole, BLOCK.size)
    if kept <= longest:
        return whole
    begin = BLOCK.size + PACKET.size
    packet = whole[begin : begin + longest]
    options = whole[begin + kept + -kept % 4 : -4]
    body = PACKET.pack(interface, now, longest, length) + _whole_words(packet) + options
    return block(ENHANCED_PACKET, body, [])


def block(block_type: int, body: bytes, options: list[tuple[int, bytes]]) -> bytes:
    """One block. An option of code 0 ends the options, if there are any."""
    for code, value in options:
        if len(value) > 0xFFFF:
            raise LocalProtocolError(f"an option of {len(value)} bytes; the length has 16 bits")
        body += OPTION.pack(code, len(value)) + _whole_words(value)
    if options:
        body += OPTION.pack(0, 0)
    size = BLOCK.size + len(body) + 4
    return BLOCK.pack(block_type, size) + body + struct.pack("!I", size)


def _whole_words(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


class PcapngWriter:
    """Writes a capture to a binary file that is open; closing that is the caller's business."""

    def __init__(self, file: BinaryIO, *, application: str = "labkit") -> None:
        self._file = file
        self._flows: dict[frozenset[Endpoint], TcpFlow] = {}
        file.write(section_header(application) + interface_description())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.flush()

    def write(self, now: int, packet: bytes, comment: str = "") -> None:
        """Write an IP packet that is complete, such as one from a TUN device."""
        self._file.write(enhanced_packet(now, packet, comment))

    def udp(
        self,
        now: int,
        data: bytes,
        source: Endpoint,
        destination: Endpoint,
        *,
        comment: str = "",
        tos: int = 0,
    ) -> None:
        """Write one datagram. Hosts are IPv4 or IPv6 addresses in digits."""
        self.write(now, ip.udp(data, source, destination, tos=tos), comment)

    def tcp(
        self, now: int, data: bytes, source: Endpoint, destination: Endpoint, *, comment: str = ""
    ) -> None:
        """Write some bytes of a stream, as the segments that would carry them.

        The first bytes between two endpoints are preceded by the handshake, with their source as
        the client. Without `data` the source ends its half of the stream (FIN).
        """
        packets = []
        flow = self._flows.get(frozenset((source, destination)))
        if flow is None:
            flow = TcpFlow(client=source, server=destination)
            self._flows[frozenset((source, destination))] = flow
            packets += flow.open()
        packets += flow.send(data, source) if data else flow.close(source)
        for packet in packets:
            self.write(now, packet, comment)

"""Feed every parser of the wire floor what a fuzzer can think of.

    python tests/fuzz/fuzz_wire.py -max_total_time=600

The promise: a parser raises `WireError` and nothing else; and what it accepts can be packed again
and then means the same. Needs atheris (coverage-guided, libFuzzer's options). The same promises
are held by `tests/wire/test_every_parser.py` with hypothesis, in seconds, on every run.

The first byte of an input chooses the promise, the rest is the datagram.
"""

import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

try:
    import atheris
except ModuleNotFoundError:
    atheris = None

# Its own environment has atheris and no labkit: take the one that this file lies in.
sys.path.insert(0, str(Path(__file__).parents[2]))

# atheris keeps the result of every comparison that it watches, and where arrays are compared that
# fills the memory within minutes: these modules are fuzzed without being watched.
UNWATCHED = [
    f"labkit.{name}"
    for name in (
        "core.payloadtypes", "core.rtpanalysis", "core.rtpstream", "wire.columns",
        "wire.datagrams", "wire.linklayer", "wire.pcapngreader", "wire.pcapreader",
    )
]  # fmt: skip

with (
    atheris.instrument_imports(include=["labkit"], exclude=UNWATCHED) if atheris else nullcontext()
):
    from labkit.core.rtpanalysis import RtpAnalysis
    from labkit.wire import (
        framing,
        ip,
        minirtp,
        opus_toc,
        pcap,
        rtcp,
        rtp,
        sdes,
        sdp,
        sdpdtls,
        sdpice,
        stun,
        wsframe,
    )  # fmt: skip
    from labkit.wire.datagrams import DatagramReader, Flow
    from labkit.wire.pcapreader import CaptureReader
    from labkit.words.errors import WireError
    from labkit.words.format import AudioFormat
    from labkit.words.packet import Packet


def frame(data: bytes) -> None:
    kind, packet = framing.unpack(data)
    assert framing.pack(packet, kind) == data


def stream(data: bytes) -> None:
    """The first byte says how long the pieces are; whole and in pieces must read the same."""
    size, data = data[0] + 1 if data else 1, data[1:]
    whole, pieces = framing.FrameDecoder(), framing.FrameDecoder()
    expected, found = drain(whole, [data]), drain(pieces, cut(data, size))
    assert found == expected
    assert (whole.error is None) == (pieces.error is None)
    assert whole.buffered == pieces.buffered <= framing.HEADER.size + framing.MAX_PAYLOAD
    whole.receive_eof()


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def drain(decoder: framing.FrameDecoder, pieces: list[bytes]) -> list[tuple[framing.Kind, Packet]]:
    frames = []
    with suppress(WireError):
        for piece in pieces:
            frames += decoder.receive(piece)
    return frames


def datagram(data: bytes) -> None:
    kind, packet = minirtp.unpack(data)
    assert minirtp.pack(packet, kind) == data


def rtp_packet(data: bytes) -> None:
    packet, csrcs, extension, padding = found = rtp.parse(data)
    assert packet == rtp.unpack(data)
    again = rtp.pack(packet, csrcs=csrcs, extension=extension, padding=padding)
    assert rtp.parse(again) == found
    assert len(again) == len(data)


def rtcp_compound(data: bytes) -> None:
    rtcp.is_rtcp(data)
    reduced = rtcp.unpack(data, reduced_size=True)
    assert rtcp.unpack(rtcp.pack(*reduced), reduced_size=True) == reduced
    assert rtcp.unpack(data) == reduced


def description(data: bytes) -> None:
    found = sdp.parse(data.decode(errors="replace"))
    where = {"host": found.host, "port": found.port, "rtcp_mux": found.rtcp_mux}
    again = sdp.describe(found.audio, **where, security=found.security)
    assert sdp.parse(again).audio == found.audio
    assert sdp.parse(again).host == found.host
    assert sdp.parse(again).security == found.security


def crypto_line(data: bytes) -> None:
    """What it says can be written again, and what may be shown has no key."""
    text = data.decode(errors="replace")
    found = sdes.unpack(text)
    assert sdes.unpack(sdes.pack(found)) == found
    assert sdes.without_keys(f"a=crypto:{text}") == ""
    with suppress(WireError):
        assert found.master_key.suite.name == sdes.choose([found]).suite


def fingerprint(data: bytes) -> None:
    found = sdpdtls.unpack_fingerprint(data.decode(errors="replace"))
    assert sdpdtls.unpack_fingerprint(str(found)) == found


def ice_words(data: bytes) -> None:
    """Whatever the offer is, the answer can be read."""
    offer = data.decode(errors="replace")
    words = sdpice.parse_ice(offer)
    audio = AudioFormat("opus", 48_000, 2, 111)
    dtls = sdpdtls.DtlsParameters(
        (sdpdtls.Fingerprint("sha-256", bytes(32)),), sdpdtls.Setup.PASSIVE
    )
    where = {"host": "127.0.0.1", "port": 9, "dtls": dtls, "ice": words, "ssrc": 7}
    text = sdpice.answer(offer, audio, **where)
    assert sdpice.parse_ice(text) == words
    assert sdp.parse(text).security == dtls


def opus_payload(data: bytes) -> None:
    toc = opus_toc.parse(data)
    frames = opus_toc.split(data)
    assert opus_toc.frames(data) == len(frames) >= 1
    assert opus_toc.duration(data) == len(frames) * toc.frame_duration <= opus_toc.MAX_DURATION
    assert sum(map(len, frames)) < len(data)
    opus_toc.has_fec(data)


def stun_message(data: bytes) -> None:
    """What protects it is no part of what it says; with any key it can be sealed anew."""
    stun.is_stun(data)
    found = stun.unpack(data)
    again = stun.pack(found, key=b"key")
    assert stun.unpack(again) == found
    assert stun.verify(again, b"key")
    assert not stun.verify(data, b"no key")
    str(found)


def web_socket(data: bytes) -> None:
    """A frame ends after it starts; and what a server would write is found where it was put."""
    start, end = wsframe.measure(data)
    assert 2 <= start <= end
    message = wsframe.pack(data)
    start, end = wsframe.measure(message + data)
    assert message[start:end] == data
    assert end == len(message)


def capture(data: bytes) -> None:
    """Whole and in two pieces, a file reads the same; whatever it holds, the analysis stands it."""
    cut_at = len(data) // 2
    whole, pieces = read_capture([data]), read_capture([data[:cut_at], data[cut_at:]])
    assert whole[1:] == pieces[1:]
    if whole[0] is not None:
        assert pieces[0] is not None
        raise whole[0]
    assert pieces[0] is None


def read_capture(pieces: list[bytes]) -> tuple[WireError | None, int, list[tuple[Flow, int]]]:
    """The error, how many packets there were, and flow and size of each datagram."""
    file, reader = CaptureReader(), DatagramReader()
    analysis = RtpAnalysis(reader.flows)
    datagrams: list[tuple[Flow, int]] = []
    for piece in pieces:
        found = reader.read(file.receive(piece))
        assert (found.start + found.captured <= len(found.data)).all()
        flows = [reader.flows[index] for index in found.flow.tolist()]
        datagrams += zip(flows, found.size.tolist(), strict=True)
        analysis.add(found)
    file.receive_eof()
    analysis.finish()
    return file.error, file.packets, datagrams


PROMISES: list[Callable[[bytes], None]] = [
    capture,
    frame,
    stream,
    datagram,
    rtp_packet,
    rtcp_compound,
    description,
    opus_payload,
    stun_message,
    crypto_line,
    fingerprint,
    ice_words,
    web_socket,
]


def examples() -> Iterator[tuple[Callable[[bytes], None], bytes]]:
    """Bytes that are right, for the fuzzer to spoil."""
    packet = Packet(65_535, 2**32 - 1, b"sound", marker=True, payload_type=111, ssrc=7)
    framed = framing.pack(packet) + framing.pack(packet, framing.Kind.BYE)
    yield frame, framing.pack(packet)
    yield stream, b"\x02" + framed
    yield datagram, minirtp.pack(packet)
    yield rtp_packet, rtp.pack(packet)
    extension = rtp.Extension(0xBEDE, b"\x10\xff\x00\x00")
    yield rtp_packet, rtp.pack(packet, csrcs=[1, 2], extension=extension, padding=4)
    block = rtcp.ReportBlock(7, 64, -3, 65_540, 120, 1 << 31, 65_536)
    name = rtcp.SourceDescription.named(7, "ann@example.org")
    yield rtcp_compound, rtcp.pack(rtcp.SenderReport(7, 1 << 63, 9, 3, 480, (block, block)), name)
    yield rtcp_compound, rtcp.pack(rtcp.ReceiverReport(8, (block,)), name, rtcp.Bye((7, 8), "late"))
    yield rtcp_compound, rtcp.pack(rtcp.App(7, b"labk", b"data"), rtcp.Unknown(205, 1, bytes(8)))
    fec = {"useinbandfec": "1", "maxaveragebitrate": "32000"}
    for audio in (AudioFormat("opus", 48_000, 2, 111, 2.5, fec), AudioFormat("L16", 44_100, 2, 10)):
        for host, mux in (("192.0.2.1", True), ("2001:db8::1", False)):
            yield description, sdp.describe(audio, host=host, port=5004, rtcp_mux=mux).encode()
    yield from protected_descriptions()
    voice = rtp.pack(packet)
    ends = ("10.0.0.1", 5004), ("10.0.0.2", 5004)
    inside = ip.udp(voice, *ends)
    yield (
        capture,
        pcap.section_header("")
        + pcap.interface_description("")
        + pcap.enhanced_packet(1, inside, "a"),
    )
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)
    tagged = bytes(12) + bytes.fromhex("8100 0001 86dd")
    six = ip.udp(voice, ("::1", 5004), ("::2", 5004))
    hop_by_hop = six[:6] + bytes([0, 1]) + six[8:40] + bytes.fromhex("1100 0104 0000 0000")
    ethernet = tagged + hop_by_hop + six[40:]
    yield capture, head + struct.pack("<IIII", 1, 2, len(ethernet), len(ethernet)) + ethernet
    for start in (b"\x48", b"\x49", b"\x4a\x03", b"\x4b\x03", b"\x4b\xc3\x02\x03\x04"):
        yield opus_payload, start + bytes(range(0x80, 0x8C))
    yield from ((stun_message, data) for data in stun_messages())
    yield web_socket, wsframe.pack(framed)


def protected_descriptions() -> Iterator[tuple[Callable[[bytes], None], bytes]]:
    """With keys, with a fingerprint, and either alone."""
    audio = AudioFormat("opus", 48_000, 2, 111)
    key = sdes.MasterKey.of(sdes.Suite.AES_CM_128_HMAC_SHA1_80, bytes(range(30)), 1 << 20)
    line = sdes.Crypto.of(1, key)
    print_ = sdpdtls.Fingerprint("sha-256", bytes(range(32)))
    dtls = sdpdtls.DtlsParameters((print_,), sdpdtls.Setup.ACTPASS)
    for security in ((line,), dtls):
        yield description, sdp.describe(audio, host="::1", port=9, security=security).encode()
    two = (
        sdes.InlineKey(bytes(30), None, sdes.Mki(1, 4)),
        sdes.InlineKey(bytes(30), 7, sdes.Mki(2, 4)),
    )
    yield crypto_line, sdes.pack(line).encode()
    yield crypto_line, sdes.pack(sdes.Crypto(2, line.suite, two, ("KDR=1",))).encode()
    yield fingerprint, str(print_).encode()
    yield ice_words, b"a=ice-ufrag:8hhY\na=ice-pwd:asd88fgpdd777uzjYhagZg\na=mid:0\n"


def stun_messages() -> Iterator[bytes]:
    """One of each kind, with all kinds of values, sealed in both ways."""
    name, kind = stun.Attribute, stun.Class
    v4, v6 = ("192.0.2.1", 32_853), ("2001:db8::1", 3478)
    asked = ((name.USERNAME, "ann:bob"), (name.REALM, "r"), (name.NONCE, "n"), (0x24, b"\x6e"))
    answered = ((name.MAPPED_ADDRESS, v4), (name.XOR_MAPPED_ADDRESS, v6), (name.SOFTWARE, "kit"))
    refused = ((name.ERROR_CODE, stun.ErrorCode(420, "no")), (name.UNKNOWN_ATTRIBUTES, (3, 4)))
    change = ((name.CHANGE_REQUEST, stun.Change.PORT),)
    yield stun.pack(stun.Message(kind.REQUEST, bytes(12), asked, fingerprint=True), key=b"k")
    yield stun.pack(stun.Message(kind.SUCCESS, bytes(12), answered), key=b"k", sha256=True)
    yield stun.pack(stun.Message(kind.ERROR, bytes(12), refused, fingerprint=True))
    yield stun.pack(stun.Message(kind.INDICATION, bytes(range(12)), change))


def check(data: bytes) -> None:
    """One input: a promise and a datagram."""
    if data:
        with suppress(WireError):
            PROMISES[data[0] % len(PROMISES)](data[1:])


def main() -> None:
    if atheris is None:
        sys.exit("atheris is not here\n  try: pip install atheris (Linux and macOS)")
    corpus = Path(tempfile.gettempdir()) / "labkit-fuzz-corpus"
    corpus.mkdir(exist_ok=True)
    for number, (promise, data) in enumerate(examples()):
        seed = bytes([PROMISES.index(promise)]) + data
        (corpus / f"seed-{number:02}").write_bytes(seed)
    inputs_given = any(not argument.startswith("-") for argument in sys.argv[1:])
    atheris.Setup(sys.argv if inputs_given else [*sys.argv, str(corpus)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

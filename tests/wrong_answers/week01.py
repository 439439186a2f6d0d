"""What people write in week 1."""

import struct

import numpy as np
from wrong_answers.wrong import Wrong

from labkit.words.errors import Malformed, Truncated


def packer(layout, *order):
    """A `pack` with this layout, its values in this order."""

    def pack(seq, ts, payload):
        values = {"ver": 1, "kind": 0, "seq": seq, "ts": ts, "len": len(payload)}
        return struct.pack(layout, *(values[name] for name in order)) + payload

    return pack


def unpacker(layout, *order, after=12):
    def unpack(data):
        values = dict(
            zip(order, struct.unpack(layout, data[: struct.calcsize(layout)]), strict=True)
        )
        return values["seq"], values["ts"], data[after:]

    return unpack


FIELDS = ("ver", "kind", "seq", "ts", "len")
SWAPPED = ("ver", "kind", "ts", "seq", "len")


def version_zero(seq, ts, payload):
    return struct.pack("!BBHII", 0, 0, seq, ts, len(payload)) + payload


def as_text(seq, ts, payload):
    return f"1 0 {seq} {ts} {len(payload)}"


def header_alone(seq, ts, payload):
    return struct.pack("!BBHII", 1, 0, seq, ts, len(payload))


def counts_the_header(seq, ts, payload):
    return struct.pack("!BBHII", 1, 0, seq, ts, 12 + len(payload)) + payload


def clipped_numbers(seq, ts, payload):
    return struct.pack("!BBHII", 1, 0, seq & 0x7FFF, ts & 0x7FFFFFFF, len(payload)) + payload


def a_list(data):
    _, _, seq, ts, _ = struct.unpack("!BBHII", data[:12])
    return [seq, ts, data[12:]]


def a_byte_of_seq(data):
    return data[3], struct.unpack("!I", data[4:8])[0], data[12:]


def w11(mistake, part, hint, **names):
    return Wrong("01.1", mistake, part, hint, names)


def w12(mistake, part, hint, **names):
    return Wrong("01.2", mistake, part, hint, names)


def reader(**skipped):
    """A `read_frame` that leaves something out, or does it differently."""

    def read_frame(data):
        if len(data) < 12 and "header" not in skipped:
            raise Truncated("header", 0, "too short")
        version, kind, seq, ts, size = struct.unpack("!BBHII", data[:12])
        if version != 1 and "version" not in skipped:
            raise skipped.get("of_version", Malformed)(skipped.get("ver", "ver"), 0, "not 1")
        if kind > 3 and "kind" not in skipped:
            raise Malformed("kind", 1, "none")
        if size > skipped.get("most", 65535):
            raise Malformed("len", 8, "too long")
        if len(data) < 12 + size and "payload" not in skipped:
            raise Truncated("payload", 12, "too short")
        if len(data) > 12 + size and "trailing" not in skipped:
            raise Malformed("payload", 12 + size, "too long")
        if size == 0 and "empty" in skipped:
            raise Malformed("len", 8, "nothing in it")
        return seq, ts, data[12 : 12 + size]

    return read_frame


def truthful_but_nameless(data):
    try:
        return reader()(data)
    except (Truncated, Malformed):
        raise ValueError("wrong frame") from None


def w13(mistake, part, hint, read_frame):
    return Wrong("01.3", mistake, part, hint, {"read_frame": read_frame})


def w14(mistake, part, hint, **names):
    return Wrong("01.4", mistake, part, hint, names)


def to_floats(data, channels):
    return (np.frombuffer(data, ">i2") / 32768).reshape(-1, channels)


def payload_and_rest(data):
    _, _, seq, ts, size = struct.unpack("!BBHII", data[:12])
    return seq, ts, data[12 : 8 + size]


WRONG = [
    w11("little endian", "layout", "endian", pack=packer("<BBHII", *FIELDS)),
    w11("this machine's byte order", "layout", "endian", pack=packer("=BBHII", *FIELDS)),
    w11("ts before seq", "layout", "order", pack=packer("!BBIHI", *SWAPPED)),
    w11("no version", "layout", "version", pack=version_zero),
    w11("no kind", "layout", "kind", pack=packer("!BHII", "ver", "seq", "ts", "len")),
    w11("seq of 32 bits", "layout", "fields", pack=packer("!BBIII", *FIELDS)),
    w11("len counts the header too", "layout", "len", pack=counts_the_header),
    w11("the header without the payload", "layout", "payload", pack=header_alone),
    w11("text instead of bytes", "layout", "bytes", pack=as_text),
    w11("little endian, at the limits", "edges", "endian", pack=packer("<BBHII", *FIELDS)),
    w11("signed fields", "edges", "unsigned", pack=packer("!BBhiI", *FIELDS)),
    w11("numbers cut to fit signed fields", "edges", "unsigned", pack=clipped_numbers),
    w11("len of 16 bits", "layout", "len", pack=packer("!BBHIH", *FIELDS)),
    w11("little endian back", "back", "endian", unpack=unpacker("<BBHII", *FIELDS)),
    w11("ts before seq back", "back", "fields", unpack=unpacker("!BBIHI", *SWAPPED)),
    w11("signed back", "edges", "unsigned", unpack=unpacker("!BBhiI", *FIELDS)),
    w11("the header left in", "back", "payload", unpack=unpacker("!BBHII", *FIELDS, after=0)),
    w11("off by four", "back", "payload", unpack=unpacker("!BBHII", *FIELDS, after=8)),
    w11("a list", "back", "triple", unpack=a_list),
    w11("one byte of seq", "back", "fields", unpack=a_byte_of_seq),
    w12("bits for bytes", "frame_bytes", "bits",
        frame_bytes=lambda r, c, b, m: r * m * c * b // 1000),
    w12("one channel", "frame_bytes", "channels", frame_bytes=lambda r, c, b, m: r * m * b // 8000),
    w12("milliseconds as seconds", "frame_bytes", "milliseconds",
        frame_bytes=lambda r, c, b, m: r * m * c * b // 8),
    w12("two bytes, always", "frame_bytes", "count",
        frame_bytes=lambda r, c, b, m: r * m // 1000 * c * (2 if b == 24 else 3)),
    w12("bytes a second", "bitrate", "bits", bitrate=lambda r, c, b: r * c * b / 8),
    w12("kilobits", "bitrate", "kilo", bitrate=lambda r, c, b: r * c * b / 1000),
    w12("kibibits", "bitrate", "kilo", bitrate=lambda r, c, b: r * c * b / 1024),
    w12("one channel a second", "bitrate", "channels", bitrate=lambda r, c, b: r * b),
    w12("no headers", "line_rate", "header", line_rate=lambda r, c, b, m, h: r * c * b),
    w12("one header a second", "line_rate", "each",
        line_rate=lambda r, c, b, m, h: r * c * b + 8 * h),
    w12("header in bytes", "line_rate", "bits",
        line_rate=lambda r, c, b, m, h: r * c * b + h * 1000 / m),
    w13("no look at the length", "truncated", "header-cut", reader(header=True)),
    w13("a short payload will do", "truncated", "payload-cut", reader(payload=True)),
    w13("any version", "version", "wrong-version", reader(version=True)),
    w13("any kind", "version", "wrong-kind", reader(kind=True)),
    w13("the field has another name", "version", "field", reader(ver="version")),
    w13("a wrong version is Truncated", "version", "wrong-version", reader(of_version=Truncated)),
    w13("waits for four gigabytes", "oversized", "announced", reader(most=2**32)),
    w13("off by one at the limit", "oversized", "announced", reader(most=65536)),
    w13("believes every length", "oversized", "oversized", reader(most=2**32, payload=True)),
    w13("what is left over is cut off", "trailing", "trailing", reader(trailing=True)),
    w13("an empty payload is refused", "accepts", "refuses", reader(empty=True)),
    w13("the largest payload is refused", "accepts", "refuses", reader(most=65534)),
    w13("an error of another name", "truncated", "payload-cut", truthful_but_nameless),
    w14("little endian", "to_payload", "endian", to_payload=lambda s: s.tobytes()),
    w14("one channel after the other", "to_payload", "interleave",
        to_payload=lambda s: s.T.astype(">i2").tobytes()),
    w14("four bytes", "to_payload", "two-bytes", to_payload=lambda s: s.astype(">i4").tobytes()),
    w14("bytes that lost their sign", "to_payload", "two-bytes",
        to_payload=lambda s: (s >> 8).astype(np.int8).tobytes()),
    w14("little endian back", "from_payload", "endian",
        from_payload=lambda d, c: np.frombuffer(d, np.int16).reshape(-1, c)),
    w14("no rows", "from_payload", "shape",
        from_payload=lambda d, c: np.frombuffer(d, ">i2").astype(np.int16)),
    w14("one channel after the other back", "from_payload", "interleave",
        from_payload=lambda d, c: np.frombuffer(d, ">i2").astype(np.int16).reshape(c, -1).T),
    w14("floats", "from_payload", "int16", from_payload=to_floats),
    w14("upside down", "from_payload", "two-bytes",
        from_payload=lambda d, c: ~np.frombuffer(d, ">i2").astype(np.int16).reshape(-1, c)),
    w14("the end of each payload is lost", "voice", "voice", unpack=payload_and_rest),
]  # fmt: skip

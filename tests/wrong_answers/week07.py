"""What people write in week 7."""

import struct

from wrong_answers.wrong import Wrong

from labkit.words.errors import Malformed, Truncated
from labkit.words.packet import Packet
from labkit.words.seqnum import add32, ahead16, ahead32

# 07.1 --------------------------------------------------------------------------------------------


def packer(**how):
    """A `pack` that is right, but for what is said."""

    def pack(packet, csrcs=(), extension=None, padding=0):
        count = len(csrcs)
        first = how.get("version", 2) << 6 | (padding > 0) << 5 | (extension is not None) << 4
        first |= 0 if how.get("flags") else count
        second = packet.marker << how.get("marker", 7) | packet.payload_type
        numbers = packet.seq, packet.timestamp, packet.ssrc
        if how.get("order"):
            numbers = packet.seq, packet.ssrc, packet.timestamp
        data = struct.pack(how.get("layout", "!BBHII"), first, second & 255, *numbers)
        data += struct.pack(how.get("csrcs", "!") + f"{count}I", *csrcs)
        if extension is not None:
            size = len(extension[1]) + how.get("head", 0)
            data += struct.pack("!HH", extension[0], size // how.get("word", 4)) + extension[1]
        end = bytes(padding - 1) + bytes([padding]) if padding else b""
        if how.get("padding") == "beside":
            end = bytes(padding) + bytes([padding]) if padding else b""
        return how.get("form", bytes)(data + packet.payload[: how.get("most", 2000)] + end)

    return pack


def unpacker(**how):
    """An `unpack` that is right, but for what is said."""
    skips = how.get("skips", ())

    def unpack(data):
        if len(data) < 12 and "short" not in skips:
            raise how.get("kind", Truncated)(how.get("field", "header"), 0, "too short")
        first, second, seq, timestamp, ssrc = struct.unpack(how.get("layout", "!BBHII"), data[:12])
        if first >> 6 != 2 and "version" not in skips:
            raise Malformed("V", 0, "not 2")
        start, end, extension = 12 + 4 * (first & 15), len(data), None
        if start > end and "cut" not in skips:
            raise Truncated("CSRC", 12, "cut")
        words = data[12:start]
        csrcs = struct.unpack(f"!{len(words) // 4}I", words[: len(words) // 4 * 4])
        if first & 0x10:
            if start + 4 > end:
                raise Truncated("extension", start, "cut")
            profile, count = struct.unpack("!HH", data[start : start + 4])
            size = how.get("word", 4) * count
            extension = profile, data[start + 4 : start + 4 + size]
            start += 4 + size
            if start > end and "cut" not in skips:
                raise Truncated("extension", start, "cut")
        padding = data[-1] if first & 0x20 else 0
        if first & 0x20 and not 0 < padding <= end - start and "padding" not in skips:
            raise Malformed("padding", end - 1, "lies")
        payload = data[start : end - padding + how.get("count", 0) * (padding > 0)]
        if not payload and how.get("empty"):
            raise Truncated("payload", start, "nothing")
        marker, kind = how.get("marker", lambda second: (second > 127, second & 127))(second)
        packet = Packet(seq, timestamp, payload[: how.get("most", 2000)], marker, kind, ssrc)
        row = packet, csrcs, extension, padding
        return how.get("row", lambda row: row)(row)

    return unpack


def header(mistake, part, hint, **names):
    return Wrong("07.1", mistake, part, hint, names)


# 07.2 --------------------------------------------------------------------------------------------


class Right:
    """A reception that is right, to be spoilt in one place."""

    BEHIND, AHEAD, SHARE = 100, 3000, 1 / 16

    def __init__(self, clock_rate):
        self.rate = clock_rate
        self.first = self.highest = self.last = None
        self.received = 0
        self.before = 0, 0
        self.smooth = 0.0

    def belongs(self, seq):
        return -self.BEHIND < ahead16(seq, self.highest) < self.AHEAD

    def step(self, timestamp, now):
        before, then = self.last
        return (now - then) * self.rate / 1e9 - ahead32(timestamp, before)

    def rise(self, seq):
        self.highest += max(ahead16(seq, self.highest), 0)

    def add(self, seq, timestamp, now):
        if self.last is None:
            self.first = self.highest = seq
        else:
            if not self.belongs(seq):
                return False
            self.rise(seq)
            self.learn(timestamp, now)
        self.count(seq)
        self.last = timestamp, now
        return True

    def learn(self, timestamp, now):
        self.smooth += (abs(self.step(timestamp, now)) - self.smooth) * self.SHARE

    def count(self, seq):
        self.received += 1

    @property
    def expected(self):
        return self.highest - self.first + 1

    @property
    def lost(self):
        return self.expected - self.received

    def fraction(self):
        expected, received = self.expected - self.before[0], self.received - self.before[1]
        self.before = self.expected, self.received
        return max(expected - received, 0) * 256 // expected if expected else 0

    @property
    def jitter(self):
        return int(self.smooth)

    def report(self):
        return self.fraction(), self.lost, self.highest, self.jitter


class SixteenBits(Right):
    def report(self):
        return self.fraction(), self.lost, self.highest % 65536, self.jitter


class TurnsWithEveryLateOne(Right):
    """Smaller than the one before: it must have gone through zero."""

    newest = 0

    def rise(self, seq):
        if seq < self.highest % 65536:
            self.highest += 65536
        self.highest = self.highest // 65536 * 65536 + seq


class TheLastIsTheHighest(Right):
    def rise(self, seq):
        self.highest += ahead16(seq, self.highest)


class OneTooFew(Right):
    @property
    def expected(self):
        return self.highest - self.first


class CopiesOnce(Right):
    """Each number once."""

    def __init__(self, clock_rate):
        super().__init__(clock_rate)
        self.seen = set()

    def count(self, seq):
        self.seen.add(seq)
        self.received = len(self.seen)


class NeverNegative(Right):
    @property
    def lost(self):
        return max(super().lost, 0)


class AShare(Right):
    def fraction(self):
        return super().fraction() / 256


class InPercent(Right):
    def fraction(self):
        return super().fraction() * 100 / 256


class SinceTheBeginning(Right):
    def fraction(self):
        return max(self.lost, 0) * 256 // self.expected


class FractionBelowZero(Right):
    def fraction(self):
        expected, received = self.expected - self.before[0], self.received - self.before[1]
        self.before = self.expected, self.received
        return (expected - received) * 256 // expected


class AnotherOrder(Right):
    def report(self):
        return {"fraction": self.fraction(), "lost": self.lost}


class KeepsTheSign(Right):
    def learn(self, timestamp, now):
        self.smooth += (self.step(timestamp, now) - self.smooth) / 16


class AnEighth(Right):
    SHARE = 1 / 8


class TheLastStep(Right):
    SHARE = 1


class OnlyTheNewest(Right):
    """What is late or a copy moves nothing."""

    def add(self, seq, timestamp, now):
        ahead = 1 if self.last is None else ahead16(seq, self.highest)
        before, smooth = self.last, self.smooth
        belongs = super().add(seq, timestamp, now)
        if ahead <= 0:
            self.last, self.smooth = before, smooth
        return belongs


class InMilliseconds(Right):
    @property
    def jitter(self):
        return self.smooth * 1000 / self.rate


class InSeconds(Right):
    @property
    def jitter(self):
        return self.smooth / self.rate


class BeginsWithItsTransit(Right):
    """J begins with the first packet's own transit, which is any number."""

    def add(self, seq, timestamp, now):
        if self.last is None:
            self.smooth = now * self.rate / 1e9
        return super().add(seq, timestamp, now)


class BeginsWithTheFirstStep(Right):
    def learn(self, timestamp, now):
        if self.received == 1:
            self.smooth = abs(self.step(timestamp, now)) * 9
        else:
            super().learn(timestamp, now)


class SubtractsTimestamps(Right):
    def step(self, timestamp, now):
        before, then = self.last
        return (now - then) * self.rate / 1e9 - (timestamp - before)


class BelievesEverybody(Right):
    def belongs(self, seq):
        return True


class SaysNothing(Right):
    def add(self, seq, timestamp, now):
        super().add(seq, timestamp, now)


class OneTooMany(Right):
    BEHIND, AHEAD = 101, 3001


class TooStrict(Right):
    BEHIND, AHEAD = 10, 100


class CountsStrangers(Right):
    def add(self, seq, timestamp, now):
        belongs = super().add(seq, timestamp, now)
        self.received += not belongs
        return belongs


class TriedWithAFew(Right):
    """Works on the first hundred packets."""

    def learn(self, timestamp, now):
        if self.received < 100:
            super().learn(timestamp, now)


class KnowsOneClock(Right):
    """Right at 8000 Hz, as in the text's example, and in the test at 48 000."""

    def count(self, seq):
        if self.received < 150:
            super().count(seq)


def reception(kind, part, hint):
    return Wrong("07.2", kind.__name__, part, hint, {"Reception": kind})


# 07.3 --------------------------------------------------------------------------------------------


def blocks(**how):
    """A `report_block` that is right, but for what is said."""

    def report_block(ssrc, fraction, lost, highest, jitter, lsr, dlsr):
        if not how.get("wide"):
            lost = max(-(1 << 23), min(lost, (1 << 23) - 1))
        if how.get("positive"):
            lost = max(lost, 0)
        if how.get("absolute"):
            lost = min(abs(lost), (1 << 23) - 1)
        three = (lost & 0xFFFFFF).to_bytes(3, how.get("lost", "big"))
        if how.get("raises"):
            three = lost.to_bytes(3, "big", signed=True)
        if how.get("split"):
            three = bytes([lost & 255, lost >> 8 & 255, lost >> 16 & 255])[::-1][1:] + b"\0"
        order = how.get("order", "!")
        rest = struct.pack(order + "IIII", highest, jitter, *((lsr, dlsr)[:: how.get("turn", 1)]))
        return struct.pack(order + "IB", ssrc, fraction) + three + rest + how.get("more", b"")

    return report_block


def four_bytes_lost(ssrc, fraction, lost, highest, jitter, lsr, dlsr):
    return struct.pack("!IBiIIII", ssrc, fraction, lost, highest, jitter, lsr, dlsr)


def reads_unsigned(data):
    losses = struct.unpack("!IIIIII", data)[1]
    ssrc, _, *rest = struct.unpack("!IIIIII", data)
    return ssrc, losses >> 24, losses & 0xFFFFFF, *rest


def reads_six(data):
    return struct.unpack("!IIIIII", data)


def report(mistake, part, hint, **names):
    return Wrong("07.3", mistake, part, hint, names)


def trip(mistake, hint, function):
    return Wrong("07.3", mistake, "trip", hint, {"round_trip": function})


def asked(middle):
    """A `round_trip` whose middle of the clock is this."""

    def round_trip(arrived, lsr, dlsr):
        return add32(middle(arrived), -lsr - dlsr) * 1000 / 65536 if lsr else None

    return round_trip


def without_the_wait(arrived, lsr, dlsr):
    return add32(arrived >> 16, -lsr) * 1000 / 65536 if lsr else None


def adds_the_wait(arrived, lsr, dlsr):
    return add32(arrived >> 16, dlsr - lsr) * 1000 / 65536 if lsr else None


def always_a_number(arrived, lsr, dlsr):
    return add32(arrived >> 16, -lsr - dlsr) * 1000 / 65536


def in_seconds(arrived, lsr, dlsr):
    return add32(arrived >> 16, -lsr - dlsr) / 65536 if lsr else None


def in_whole_milliseconds(arrived, lsr, dlsr):
    return add32(arrived >> 16, -lsr - dlsr) * 1000 // 65536 if lsr else None


def in_units(arrived, lsr, dlsr):
    return add32(arrived >> 16, -lsr - dlsr) if lsr else None


def half_of_it(arrived, lsr, dlsr):
    return add32(arrived >> 16, -lsr - dlsr) * 500 / 65536 if lsr else None


def without_a_circle(arrived, lsr, dlsr):
    return ((arrived >> 16 & 0xFFFFFFFF) - lsr - dlsr) * 1000 / 65536 if lsr else None


# 07.4 --------------------------------------------------------------------------------------------


def together(mistake, part, hint, **names):
    return Wrong("07.4", mistake, part, hint, names)


WRONG = [
    header("of version 1", "layout", "version", pack=packer(version=1)),
    header("version in the low bits", "layout", "version", pack=packer(version=0)),
    header("low end first", "layout", "endian", pack=packer(layout="<BBHII")),
    header("SSRC before timestamp", "layout", "fields", pack=packer(order=True)),
    header("M is bit 6", "layout", "marker", pack=packer(marker=6)),
    header("as text", "layout", "bytes", pack=packer(form=str)),
    header("the payload alone is cut", "layout", "payload", pack=packer(most=100)),
    header("M in the type", "back", "marker", unpack=unpacker(marker=lambda b: (b > 127, b))),
    header("a Packet alone", "back", "row", unpack=unpacker(row=lambda row: row[0])),
    header("no list of none", "back", "row", unpack=unpacker(row=lambda r: (r[0], None, *r[2:]))),
    header("reads the low end first", "back", "endian", unpack=unpacker(layout="<BBHII")),
    header("reads another order", "back", "fields",
           unpack=unpacker(row=lambda r: (r[0]._replace(ssrc=r[0].timestamp), *r[1:]))),
    header("reads 12 bytes of sound", "back", "payload", unpack=unpacker(most=12)),
    header("CC stays 0", "extras", "flags", pack=packer(flags=True)),
    header("CSRCs low end first", "extras", "csrc", pack=packer(csrcs="<")),
    header("length in bytes", "extras", "words", pack=packer(word=1)),
    header("length with its head", "extras", "words", pack=packer(head=4)),
    header("reads a length in bytes", "extras", "words", unpack=unpacker(
        row=lambda r: (r[0], r[1], r[2] and (r[2][0], r[2][1][: len(r[2][1]) // 4]), r[3]))),
    header("padding beside its count", "extras", "padding", pack=packer(padding="beside")),
    header("plays the count", "extras", "padding", unpack=unpacker(count=1)),
    header("looks at no length", "refuses", "short", unpack=unpacker(skips=["short"])),
    header("wrong class", "refuses", "short", unpack=unpacker(kind=Malformed)),
    header("another name", "refuses", "field", unpack=unpacker(field="length")),
    header("takes any version", "refuses", "wrong-version", unpack=unpacker(skips=["version"])),
    header("believes CC and X", "refuses", "cut", unpack=unpacker(skips=["cut"])),
    header("believes the padding", "refuses", "padding-lies", unpack=unpacker(skips=["padding"])),
    header("wants something to hear", "refuses", "accepts", unpack=unpacker(empty=True)),
    header("at most 160 bytes of sound", "capture", "capture", pack=packer(most=160)),
    header("reads at most 160", "capture", "capture", unpack=unpacker(most=160)),
    reception(SixteenBits, "extends", "cycles"),
    reception(TurnsWithEveryLateOne, "extends", "cycles"),
    reception(TheLastIsTheHighest, "extends", "highest"),
    reception(OneTooFew, "lost", "one"),
    reception(CopiesOnce, "lost", "copies"),
    reception(NeverNegative, "lost", "negative"),
    reception(AnotherOrder, "lost", "four"),
    reception(AShare, "fraction", "scale"),
    reception(InPercent, "fraction", "scale"),
    reception(SinceTheBeginning, "fraction", "since"),
    reception(FractionBelowZero, "fraction", "below-zero"),
    reception(KeepsTheSign, "jitter", "sign"),
    reception(AnEighth, "jitter", "sixteenth"),
    reception(OnlyTheNewest, "jitter", "every"),
    reception(TheLastStep, "jitter", "sixteenth"),
    reception(InMilliseconds, "jitter", "unit"),
    reception(InSeconds, "jitter", "unit"),
    reception(BeginsWithItsTransit, "jitter", "first"),
    reception(BeginsWithTheFirstStep, "jitter", "formula"),
    reception(SubtractsTimestamps, "jitter", "wrap"),
    reception(BelievesEverybody, "strangers", "limits"),
    reception(SaysNothing, "strangers", "stranger"),
    reception(OneTooMany, "strangers", "limits"),
    reception(TooStrict, "strangers", "limits"),
    reception(CountsStrangers, "strangers", "untouched"),
    reception(TriedWithAFew, "capture", "capture"),
    reception(KnowsOneClock, "capture", "capture"),
    report("a byte more", "block", "size", report_block=blocks(more=b"\0")),
    report("lost in four bytes", "block", "size", report_block=four_bytes_lost),
    report("DLSR before LSR", "block", "fields", report_block=blocks(turn=-1)),
    report("low end first", "block", "endian", report_block=blocks(order="<")),
    report("lost moved by a byte", "block", "three-bytes", report_block=blocks(split=True)),
    report("two values in one", "block", "fields", read_block=reads_six),
    report("only what is positive", "signed", "signed", report_block=blocks(positive=True)),
    report("the sign is dropped", "signed", "signed", report_block=blocks(absolute=True)),
    report("reads it unsigned", "signed", "signed", read_block=reads_unsigned),
    report("raises what is too large", "signed", "clamp",
           report_block=blocks(wide=True, raises=True)),
    report("takes the lower 24 bits", "signed", "clamp", report_block=blocks(wide=True)),
    trip("the lower 32 bits", "middle", asked(lambda arrived: arrived & 0xFFFFFFFF)),
    trip("the seconds", "middle", asked(lambda arrived: arrived >> 32)),
    trip("without the wait", "held", without_the_wait),
    trip("adds the wait", "held", adds_the_wait),
    trip("always a number", "never", always_a_number),
    trip("in seconds", "unit", in_seconds),
    trip("rounded", "whole", in_whole_milliseconds),
    trip("in 1/65536 s", "unit", in_units),
    trip("half of it", "formula", half_of_it),
    trip("no circle", "circle", without_a_circle),
    together("only the first 80 bytes", "voice", "voice", unpack=unpacker(most=80)),
    together("a Packet alone", "voice", "row", unpack=unpacker(row=lambda row: row[0])),
    together("a row of numbers", "voice", "voice", pack=lambda packet: [*packer()(packet)]),
    together("a number one off", "voice", "voice",
             unpack=unpacker(row=lambda r: (r[0]._replace(seq=r[0].seq // 2), *r[1:]))),
    together("another SSRC", "report", "report",
             unpack=unpacker(row=lambda r: (r[0]._replace(ssrc=7), *r[1:]))),
    together("copies once", "report", "report", Reception=OneTooFew),
    together("low end first", "report", "report", report_block=blocks(order="<")),
]  # fmt: skip

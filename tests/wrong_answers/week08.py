"""What people write in week 8."""

from itertools import pairwise

from wrong_answers.wrong import Wrong

from labkit.words.errors import Malformed
from labkit.words.seqnum import add16

LENGTHS = {"SILK": (10, 20, 40, 60), "Hybrid": (10, 20), "CELT": (2.5, 5, 10, 20)}
BANDS = {"SILK": ("NB", "MB", "WB"), "Hybrid": ("SWB", "FB"), "CELT": ("NB", "WB", "SWB", "FB")}


def table(lengths=LENGTHS, bands=BANDS):
    return [(m, band, length) for m in LENGTHS for band in bands[m] for length in lengths[m]]


def reader(rows=None, *, config=lambda b: b >> 3, s=lambda b: (b >> 2 & 1) + 1, c=lambda b: b & 3):
    """`read_toc` that is right, or spoilt in one place."""
    rows = rows if rows is not None else table()
    return lambda byte: (*rows[config(byte) % len(rows)], s(byte), c(byte))


read = reader()


def hybrid_is_two(byte):
    mode, band, length, channels, code = read(byte)
    return "CELT" if byte >> 3 in (14, 15) else mode, band, length, channels, code


def four_lengths_each(byte):
    mode, band, _, channels, code = read(byte)
    return mode, band, (10, 20, 40, 60)[byte >> 3 & 3], channels, code


def in_ticks(byte):
    mode, band, length, channels, code = read(byte)
    return mode, band, length * 48, channels, code


def rules(payload, broken=()):
    """Malformed where a rule is broken that the student has thought of."""
    rest = payload[1:]
    code = payload[0] & 3 if payload else 0
    most = 1275 * (2 if code == 1 else 1)
    found = {
        "empty": not payload,
        "long": code < 2 and len(rest) > most,
        "odd": code == 1 and len(rest) % 2,
        "inside": code == 2 and short(rest),
        "second": code == 3 and not rest,
        "over": code == 3 and rest and (rest[0] & 63) * read(payload[0])[2] > 120,
        "none": code == 3 and rest and not rest[0] & 63,
    }
    for rule, is_broken in found.items():
        if is_broken and rule not in broken:
            raise Malformed("payload", 0, rule)


def short(rest):
    if not rest or (rest[0] >= 252 and len(rest) < 2):
        return True
    head, size = (2, rest[0] + 4 * rest[1]) if rest[0] >= 252 else (1, rest[0])
    return size > len(rest) - head


def frames(payload):
    rest = payload[1:]
    return (1, 2, 2, rest[0] & 63 if rest else 0)[payload[0] & 3]


def lasts(count=frames, forgotten=()):
    """`duration` that is right, or spoilt in one place."""

    def duration(payload):
        rules(payload, forgotten)
        return count(payload) * read(payload[0])[2]

    return duration


def refuses_silence(payload):
    if len(payload) == 1:
        raise Malformed("frames", 1, "nothing in it")
    return lasts()(payload)


def refuses_all_of_120(payload):
    found = lasts()(payload)
    if found >= 120:
        raise Malformed("frames", 1, "120 ms")
    return found


def toc(mistake, part, hint, function):
    name = "read_toc" if part in ("config", "bits") else "duration"
    return Wrong("08.1", mistake, part, hint, {name: function})


# 08.2 --------------------------------------------------------------------------------------------


def wire(bitrate, packet_ms):
    return bitrate + 320_000 / packet_ms


PCM = 768_000


def rate(packets, header, *, last=-1, unit=1, ticks=None):
    whole = packets[:last] if last else packets
    time = ticks or (packets[-1][1] - packets[0][1]) % 2**32
    return sum(p[3] + header for p in whole) * 8 * 48 / time * unit


def rate_of_arrivals(packets, header):
    """As if all packets were 20 ms, and none were lost."""
    return rate(packets, header, last=0, ticks=len(packets) * 960)


def rate_without_a_circle(packets, header):
    return rate(packets, header, ticks=packets[-1][1] - packets[0][1])


def gaps(packets, *, frame=960, ticks=48, lost=False, least=960):
    found = []
    for (seq, then, _, _), (following, now, _, _) in pairwise(packets):
        step = (now - then) % 2**32
        if (lost or following == add16(seq, 1)) and step > least:
            found.append((step - frame) / ticks)
    return found


def gaps_on_a_line(packets):
    return [
        (b[1] - a[1] - 960) / 48
        for a, b in pairwise(packets)
        if b[0] == a[0] + 1 and b[1] - a[1] > 960
    ]


def wire_wrong(mistake, part, hint, function):
    return Wrong("08.2", mistake, part, hint, {part: function})


# 08.3 --------------------------------------------------------------------------------------------

STATIC = {0: ("pcmu", 8000, 1), 8: ("pcma", 8000, 1)}


def types(sdp, *, key=int, name=str.lower, one=1, static=STATIC, everything=False, rate=int):
    sound = next(part for part in ("\n" + sdp).split("\nm=") if part.startswith("audio "))
    known = dict(static)
    for line in (sdp if everything else sound).splitlines():
        if line.startswith("a=rtpmap:"):
            number, coding = line.removeprefix("a=rtpmap:").split()
            called, clock, *channels = coding.split("/")
            known[int(number)] = name(called), rate(clock), int(channels[0]) if channels else one
    listed = {int(number) for number in sound.splitlines()[0].split()[3:]}
    return {key(n): meaning for n, meaning in known.items() if everything or n in listed}


def types_by_crlf(sdp):
    """Nothing is found where lines end in LF alone."""
    return types(sdp) if "\r\n" in sdp else {}


def given(sdp, number, *, prefix=" ", split=";", strip=True):
    for line in sdp.splitlines():
        if line.startswith(f"a=fmtp:{number}{prefix}"):
            pairs = line.partition(" ")[2].split(split)
            return dict((p.strip() if strip else p).split("=", 1) for p in pairs)
    return {}


def everybodys(sdp, number):
    found = {}
    for line in sdp.splitlines():
        if line.startswith("a=fmtp:"):
            found |= dict(p.strip().split("=", 1) for p in line.partition(" ")[2].split(";"))
    return found


def as_text(sdp, number):
    return next((li.partition(" ")[2] for li in sdp.splitlines() if f"fmtp:{number} " in li), {})


def sdp_wrong(mistake, part, hint, function):
    name = "settings" if part == "settings" else "payload_types"
    return Wrong("08.3", mistake, part, hint, {name: function})


# 08.4 --------------------------------------------------------------------------------------------


def copied(payload):
    return payload[0] >> 3 < 16 and len(payload) > 1 and bool(payload[1] & 0x40)


class Right:
    """A loop that is right, to be spoilt in one place."""

    most = 5

    def __init__(self):
        self.last = None
        self.missing = 0

    def turn(self, packet, following):
        if packet is not None:
            return self.here(packet, following)
        if self.last is None:
            return self.before()
        self.missing += 1
        return self.gone(following)

    def here(self, packet, following):
        self.last, self.missing = packet.seq, 0
        return "decode"

    def before(self):
        return "silence"

    def gone(self, following):
        if self.successor(following) and copied(following.payload):
            return "fec"
        return "plc" if self.missing <= self.most else "silence"

    def successor(self, following):
        return following is not None and following.seq == add16(self.last, self.missing + 1)


class CapitalLetters(Right):
    def here(self, packet, following):
        return super().here(packet, following).upper()


class SaysNothing(Right):
    def gone(self, following):
        return None


class MakesUpFromNothing(Right):
    def before(self):
        return "plc"


class WantsASuccessor(Right):
    """Decodes only what is followed by something."""

    def here(self, packet, following):
        super().here(packet, following)
        return "decode" if following is not None else "plc"


class SilenceForAll(Right):
    def gone(self, following):
        return "fec" if super().gone(following) == "fec" else "silence"


class TrustsTheSuccessor(Right):
    def gone(self, following):
        return "fec" if self.successor(following) else super().gone(following)


class NeverACopy(Right):
    def gone(self, following):
        return "plc" if self.missing <= self.most else "silence"


class AnyCopy(Right):
    def successor(self, following):
        return following is not None


class OneAfterTheLast(Right):
    """Forgets that turns have passed since the last packet."""

    def successor(self, following):
        return following is not None and following.seq == add16(self.last, 2)


class Unwrapped(Right):
    def successor(self, following):
        return following is not None and following.seq == self.last + self.missing + 1


class GivesUpSoon(Right):
    most = 2


class NeverGivesUp(Right):
    most = 10**6


class CountsAllMissing(Right):
    """Counts what is missing in all, and not in a row."""

    def here(self, packet, following):
        self.last, self.shift = packet.seq, self.missing
        return "decode"

    shift = 0

    def successor(self, following):
        ahead = self.missing - self.shift + 1
        return following is not None and following.seq == add16(self.last, ahead)


class SilenceFirst(Right):
    def gone(self, following):
        return "silence" if self.missing > self.most else super().gone(following)


def copy_wrong(mistake, hint, function):
    return Wrong("08.4", mistake, "copy", hint, {"has_copy": function})


def loop_wrong(loop, part, hint):
    return Wrong("08.4", loop.__name__, part, hint, {"DecodeLoop": loop})


# ------------------------------------------------------------------------------------------------

MIXED = {**BANDS, "CELT": ("NB", "MB", "WB", "SWB")}
BACKWARDS = {**LENGTHS, "CELT": (20, 10, 5, 2.5)}

WRONG = [
    toc("a list of five", "config", "five", lambda b: list(read(b))),
    toc("counts bits from the right", "config", "side", reader(config=lambda b: b & 31)),
    toc("Hybrid has two numbers", "config", "mode", hybrid_is_two),
    toc("CELT has the bands of SILK", "config", "band", reader(table(bands=MIXED))),
    toc("CELT's lengths backwards", "config", "length", reader(table(lengths=BACKWARDS))),
    toc("all have SILK's lengths", "config", "four", four_lengths_each),
    toc("in ticks", "config", "ticks", in_ticks),
    toc("the bit s for the channels", "bits", "channels", reader(s=lambda b: b >> 2 & 1)),
    toc("the wrong bit for s", "bits", "stereo", reader(s=lambda b: (b >> 1 & 1) + 1)),
    toc("one bit of the code", "bits", "code", reader(c=lambda b: b & 1)),
    toc("one frame in a packet", "durations", "one", lasts(lambda p: 1)),
    toc("the flags of the second byte count", "durations", "six",
        lambda p: (p[1] if p[0] & 3 == 3 else frames(p)) * read(p[0])[2]),
    toc("code 3 is three frames", "durations", "code",
        lasts(lambda p: 3 if p[0] & 3 == 3 else frames(p))),
    toc("code and one frames", "durations", "count",
        lasts(lambda p: frames(p) if p[0] & 3 == 3 else (p[0] & 3) + 1)),
    toc("a packet in ticks", "durations", "ticks", lambda p: lasts()(p) * 48),
    toc("frames of no bytes are refused", "illegal", "refuses", refuses_silence),
    toc("120 ms are too many", "illegal", "refuses", refuses_all_of_120),
    toc("no bytes at all", "illegal", "empty", lambda p: p[0] and lasts()(p)),
    toc("no limit to a frame", "illegal", "long", lasts(forgotten=("long",))),
    toc("halves of an odd number", "illegal", "odd", lasts(forgotten=("odd",))),
    toc("believes a length", "illegal", "inside", lasts(forgotten=("inside",))),
    toc("no limit to a packet", "illegal", "over", lasts(forgotten=("over",))),
    toc("no frames", "illegal", "none", lasts(forgotten=("none",))),

    wire_wrong("no headers", "wire_rate", "headers", lambda b, ms, n: b),
    wire_wrong("no header of IP", "wire_rate", "headers", lambda b, ms, n: b + 160_000 / ms / n),
    wire_wrong("a packet for each frame", "wire_rate", "each", lambda b, ms, n: wire(b, ms)),
    wire_wrong("one header", "wire_rate", "second", lambda b, ms, n: b + 320),
    wire_wrong("bytes of headers", "wire_rate", "bits", lambda b, ms, n: b + 40_000 / ms / n),
    wire_wrong("in kbit/s", "wire_rate", "kilo", lambda b, ms, n: wire(b, ms * n) / 1000),
    wire_wrong("payloads", "times_less", "both", lambda b, ms, n: PCM / b),
    wire_wrong("PCM without headers", "times_less", "both", lambda b, ms, n: PCM / wire(b, ms * n)),
    wire_wrong("PCM in long packets", "times_less", "pcm",
               lambda b, ms, n: wire(PCM, ms * n) / wire(b, ms * n)),
    wire_wrong("upside down", "times_less", "way",
               lambda b, ms, n: wire(b, ms * n) / wire(PCM, 10)),
    wire_wrong("with the last packet", "media_rate", "last", lambda p, h: rate(p, h, last=0)),
    wire_wrong("no circle of timestamps", "media_rate", "wrap", rate_without_a_circle),
    wire_wrong("each packet is 20 ms", "media_rate", "time", rate_of_arrivals),
    wire_wrong("bits a second", "media_rate", "kbit", lambda p, h: rate(p, h, unit=1000)),
    wire_wrong("payload alone", "media_rate", "header", lambda p, h: rate(p, 0)),
    wire_wrong("all pauses together", "pauses", "list", lambda p: sum(gaps(p))),
    wire_wrong("what is lost is a pause", "pauses", "loss", lambda p: gaps(p, lost=True)),
    wire_wrong("with the frame before", "pauses", "frame", lambda p: gaps(p, frame=0)),
    wire_wrong("pauses in ticks", "pauses", "ms", lambda p: gaps(p, ticks=1)),
    wire_wrong("numbers on a line", "pauses", "circle", gaps_on_a_line),
    wire_wrong("frames are pauses", "pauses", "pause", lambda p: gaps(p, least=959)),
    wire_wrong("long pauses only", "pauses", "pause", lambda p: gaps(p, least=19_200 + 960)),

    sdp_wrong("a list of names", "map", "dict", lambda sdp: list(types(sdp).values())),
    sdp_wrong("a list in a dict", "map", "dict",
              lambda sdp: {n: list(m) for n, m in types(sdp).items()}),
    sdp_wrong("text for a number", "map", "number", lambda sdp: types(sdp, key=str)),
    sdp_wrong("the rate is text", "map", "map", lambda sdp: types(sdp, rate=str)),
    sdp_wrong("names as written", "map", "case", lambda sdp: types(sdp, name=str)),
    sdp_wrong("no channels", "map", "channels", lambda sdp: types(sdp, one=0)),
    sdp_wrong("rtpmap only", "media", "static", lambda sdp: types(sdp, static={})),
    sdp_wrong("CRLF only", "media", "lines", types_by_crlf),
    sdp_wrong("the video too", "media", "other", lambda sdp: types(sdp, everything=True)),
    sdp_wrong("one text", "settings", "pairs", as_text),
    sdp_wrong("begins with the number", "settings", "whose", lambda s, n: given(s, n, prefix="")),
    sdp_wrong("everybody's settings", "settings", "whose", everybodys),
    sdp_wrong("spaces in names", "settings", "spaces", lambda s, n: given(s, n, strip=False)),
    sdp_wrong("None for none", "settings", "without", lambda s, n: given(s, n) or None),

    copy_wrong("voice activity", "flag",
               lambda p: p[0] >> 3 < 16 and len(p) > 1 and bool(p[1] & 0x80)),
    copy_wrong("the TOC byte itself", "flag", lambda p: bool(p[0] & 0x40)),
    copy_wrong("CELT has copies", "celt", lambda p: len(p) > 1 and bool(p[1] & 0x40)),
    copy_wrong("a byte that is not there", "empty", lambda p: p[0] >> 3 < 16 and bool(p[1] & 0x40)),
    copy_wrong("a number", "bool", lambda p: copied(p) and p[1] & 0x40),
    loop_wrong(CapitalLetters, "plain", "word"),
    loop_wrong(SaysNothing, "plain", "word"),
    loop_wrong(MakesUpFromNothing, "plain", "before"),
    loop_wrong(WantsASuccessor, "plain", "here"),
    loop_wrong(SilenceForAll, "plain", "nothing"),
    loop_wrong(TrustsTheSuccessor, "plain", "carries"),
    loop_wrong(NeverACopy, "fec", "copy"),
    loop_wrong(AnyCopy, "fec", "successor"),
    loop_wrong(OneAfterTheLast, "fec", "successor"),
    loop_wrong(Unwrapped, "fec", "wrap"),
    loop_wrong(GivesUpSoon, "silence", "soon"),
    loop_wrong(CountsAllMissing, "silence", "soon"),
    loop_wrong(NeverGivesUp, "silence", "long"),
    loop_wrong(SilenceFirst, "silence", "end"),
    loop_wrong(NeverACopy, "voice", "voice"),
    loop_wrong(SilenceForAll, "voice", "voice"),
]  # fmt: skip

"""What people write in week 4."""

from itertools import pairwise

from wrong_answers.wrong import Wrong

from labkit.wire.framing import FrameDecoder, Kind

IP = {4: 20, 6: 40}

# 04.1 --------------------------------------------------------------------------------------------


def mss(mtu, version):
    return mtu - IP[version] - 20


def room(mtu, version, options):
    return mss(mtu, version) - (sum(options) + 3) // 4 * 4


def count(size, mtu, version, options):
    return -(-size // room(mtu, version, options))


def headers(mtu, version, options):
    return mtu - room(mtu, version, options)


def carry(mistake, part, hint, **names):
    return Wrong("04.1", mistake, part, hint, names)


def one_header(size, frame_ms, mtu, version, options):
    return (size + headers(mtu, version, options)) * 8000 / frame_ms


def without_options(size, frame_ms, mtu, version, options):
    each = IP[version] + 20
    return (size + count(size, mtu, version, options) * each) * 8000 / frame_ms


def in_bytes(size, frame_ms, mtu, version, options):
    each = headers(mtu, version, options)
    return (size + count(size, mtu, version, options) * each) * 1000 / frame_ms


def of_one_frame(size, frame_ms, mtu, version, options):
    each = headers(mtu, version, options)
    return (size + count(size, mtu, version, options) * each) * 8


def full_packets(size, frame_ms, mtu, version, options):
    return count(size, mtu, version, options) * mtu * 8000 / frame_ms


# 04.2 --------------------------------------------------------------------------------------------


class Right:
    """A schedule that is right, to be spoilt in one place."""

    def __init__(self, first, limit):
        self.first, self.limit, self.failures = first, limit, 0

    def ceiling(self):
        return min(self.first * 2 ** min(self.failures - 1, 60), self.limit)

    def failed(self, draw):
        self.failures += 1
        return draw * self.ceiling()

    def succeeded(self):
        self.failures = 0


class NoChance(Right):
    def failed(self, draw):
        super().failed(draw)
        return self.ceiling()


class EqualJitter(Right):
    """Half the ceiling, and chance for the other half."""

    def failed(self, draw):
        super().failed(draw)
        return self.ceiling() / 2 * (1 + draw)


class ChanceOnTop(Right):
    def failed(self, draw):
        super().failed(draw)
        return self.ceiling() * (1 + draw)


class GrowsEvenly(Right):
    def ceiling(self):
        return min(self.first * self.failures, self.limit)


class DoublesTooSoon(Right):
    def ceiling(self):
        return min(self.first * 2 ** min(self.failures, 60), self.limit)


class NeverStopsGrowing(Right):
    def ceiling(self):
        return self.first * 2.0 ** min(self.failures - 1, 1000)


class OverflowsAtNight(Right):
    """A float to the power of all failures."""

    def ceiling(self):
        return min(self.first * 2.0 ** (self.failures - 1), self.limit)


class LimitsTheWait(Right):
    """Not the ceiling: after some failures nearly everybody waits for the limit."""

    def failed(self, draw):
        self.failures += 1
        return min(draw * self.first * 2 ** min(self.failures - 1, 60), self.limit)


class InSeconds(Right):
    def failed(self, draw):
        return super().failed(draw) / 1000


class InWholeMilliseconds(Right):
    def failed(self, draw):
        return int(super().failed(draw))


class NeverForgets(Right):
    def succeeded(self):
        pass


class ForgetsOne(Right):
    def succeeded(self):
        self.failures -= 1


class RightEnding:
    """An ending that is right, to be spoilt in one place."""

    def __init__(self):
        self.state = "open"
        self.decoder = FrameDecoder()
        self.goodbye = False

    def received(self, data):
        if self.state == "open":
            self.look(self.decoder.receive(data))

    def look(self, frames):
        self.goodbye |= any(kind == Kind.BYE for kind, _ in frames)

    def fin(self):
        if self.state == "open":
            self.state = self.end()

    def end(self):
        if self.decoder.buffered:
            return "cut"
        return "clean" if self.goodbye else "vanished"

    def rst(self):
        if self.state == "open":
            self.state = "clean" if self.goodbye else "reset"


class EveryFinIsClean(RightEnding):
    def end(self):
        return "cut" if self.decoder.buffered else "clean"


class NoGoodbyeIsClean(RightEnding):
    """Looks for a kind that there is not."""

    def end(self):
        return "cut" if self.decoder.buffered else "vanished"


class EndsWithTheGoodbye(RightEnding):
    """Does not wait for the stream to end."""

    def look(self, frames):
        super().look(frames)
        if self.goodbye:
            self.state = "clean"


class ForgetsTheHalf(RightEnding):
    def end(self):
        return "clean" if self.goodbye else "vanished"


class ResetIsAnEnd(RightEnding):
    def rst(self):
        self.fin()


class WordsOfItsOwn(RightEnding):
    def __init__(self):
        super().__init__()
        self.state = "OPEN"


class Numbers(RightEnding):
    def __init__(self):
        super().__init__()
        self.state = 0


class ADecoderForEachPiece(RightEnding):
    def received(self, data):
        self.decoder = FrameDecoder()
        super().received(data)


class LooksAtTheBytes(RightEnding):
    """The kind is the second byte of what comes."""

    def look(self, frames):
        pass

    def received(self, data):
        super().received(data)
        self.goodbye |= data[:2] == b"\x01\x03"


class SearchesTheBytes(RightEnding):
    """A BYE is found wherever its bytes are."""

    def __init__(self):
        super().__init__()
        self.all = b""

    def look(self, frames):
        pass

    def received(self, data):
        super().received(data)
        self.all += data
        self.goodbye |= b"\x01\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" in self.all


class LastWordCounts(RightEnding):
    def fin(self):
        self.state = self.end()

    def rst(self):
        self.state = "reset"


class TheLastFinCounts(RightEnding):
    def received(self, data):
        self.look(self.decoder.receive(data))

    def fin(self):
        self.state = self.end()

    def rst(self):
        if self.state == "open":
            self.state = "clean" if self.goodbye else "reset"


class ResetAfterGoodbye(RightEnding):
    def rst(self):
        if self.state == "open":
            self.state = "reset"


def schedule(kind, part, hint):
    return Wrong("04.2", kind.__name__, part, hint, {"Schedule": kind})


def ending(kind, part, hint):
    return Wrong("04.2", kind.__name__, part, hint, {"Ending": kind})


# 04.3 --------------------------------------------------------------------------------------------


def scanned(segments, closes, opens):
    found, since = [], None
    for s in segments:
        if s[1] and closes(s) and since is None:
            since = s[0]
        elif s[1] and opens(s) and since is not None:
            found.append((since, s[0]))
            since = None
    if since is not None:
        found.append((since, segments[-1][0]))
    return found


def zero(segment):
    return segment[6] == 0 and "RST" not in segment[2]


def counts_resets(segments):
    return scanned(segments, lambda s: s[6] == 0, lambda s: s[6] > 0)


def to_the_last_zero(segments):
    return [
        (begin, max(s[0] for s in segments if s[1] and zero(s) and s[0] < end))
        for begin, end in scanned(segments, zero, lambda s: s[6] > 0)
    ]


def from_the_last_zero(segments):
    return [
        (max(s[0] for s in segments if s[1] and zero(s) and s[0] < end), end)
        for _, end in scanned(segments, zero, lambda s: s[6] > 0)
    ]


def from_zero_to_zero(segments):
    return scanned(segments, zero, lambda s: s[6] >= 0)


def only_times(segments):
    return [begin for begin, _ in scanned(segments, zero, lambda s: s[6] > 0)]


def how_long(segments):
    return sum(end - begin for begin, end in scanned(segments, zero, lambda s: s[6] > 0))


def open_when_wide(segments):
    """Right where windows are as wide as in the examples."""
    return scanned(segments, zero, lambda s: s[6] > 60_000)


def again(segments, *, probes=False):
    found, highest = [], 0
    for _, from_client, flags, seq, _, size, _ in segments:
        if not from_client and (size or probes) and "SYN" not in flags:
            if seq < highest:
                found.append(seq)
            highest = max(highest, seq + size)
    return found


def every_copy(segments):
    seqs = [s[3] for s in segments if not s[1] and s[5]]
    return [seq for seq in seqs if seqs.count(seq) > 1]


def lower_than_the_last(segments):
    seqs = [s[3] for s in segments if not s[1] and s[5]]
    return [b for a, b in pairwise(seqs) if b <= a]


def gap(segments, wanted):
    times = [s[0] for s in segments if wanted(s)]
    return max(b - a for a, b in pairwise(times))


def rises(segments):
    times, highest = [], 0
    for s in segments:
        if s[1] and s[4] > highest:
            times.append(s[0])
            highest = s[4]
    return [b - a for a, b in pairwise(times)]


def asks(mistake, part, hint, **names):
    return Wrong("04.3", mistake, part, hint, names)


# 04.4 --------------------------------------------------------------------------------------------


class Follower:
    """A follower that is right, to be spoilt in one place."""

    def __init__(self):
        self.schedule = Right(100, 1000)
        self.opened()

    def opened(self):
        self.ending, self.frames = RightEnding(), FrameDecoder()

    def received(self, data):
        self.ending.received(data)
        if any(kind == Kind.MEDIA for kind, _ in self.frames.receive(data)):
            self.schedule.succeeded()

    def fin(self, draw):
        self.ending.fin()
        return self.answer(draw)

    def rst(self, draw):
        self.ending.rst()
        return self.answer(draw)

    def answer(self, draw):
        return None if self.ending.state == "clean" else self.schedule.failed(draw)

    def refused(self, draw):
        return self.schedule.failed(draw)


class NeverLeaves(Follower):
    def answer(self, draw):
        return self.schedule.failed(draw)


class TakesAFinForTheEnd(Follower):
    def fin(self, draw):
        return None


class TakesAResetForTheEnd(Follower):
    def rst(self, draw):
        return None


class OneEndingForAll(Follower):
    def opened(self):
        if not hasattr(self, "ending"):
            super().opened()


class BeginsPatient(Follower):
    """A long wait after each end, as if it had failed before."""

    def answer(self, draw):
        return None if self.ending.state == "clean" else 1000 * draw


class NewPatienceWhenOpened(Follower):
    def opened(self):
        super().opened()
        self.schedule.succeeded()


class NewPatienceWithEachByte(Follower):
    """Waits a fixed time after an end, whatever came before."""

    def answer(self, draw):
        return None if self.ending.state == "clean" else 100 * draw


class SoundIsNothingToIt(Follower):
    def received(self, data):
        self.ending.received(data)


class Hasty(Follower):
    def refused(self, draw):
        return 0


class GivesUpWhenRefused(Follower):
    def refused(self, draw):
        return None


class WaitsForLong(Follower):
    def refused(self, draw):
        return 5000


class WaitsANegativeTime(Follower):
    def refused(self, draw):
        return -1


def follower(kind, part, hint):
    return Wrong("04.4", kind.__name__, part, hint, {"Follower": kind})


WRONG = [
    carry("no header of TCP", "mss", "tcp", mss=lambda mtu, v: mtu - IP[v]),
    carry("no header of IP", "mss", "tcp", mss=lambda mtu, v: mtu - 20),
    carry("always version 4", "mss", "version", mss=lambda mtu, v: mtu - 40),
    carry("the timestamps too", "mss", "offer", mss=lambda mtu, v: mss(mtu, v) - 12),
    carry("Ethernet's header", "mss", "link", mss=lambda mtu, v: mss(mtu, v) - 14),
    carry("no options", "room", "options", room=lambda mtu, v, o: mss(mtu, v)),
    carry("not filled up", "room", "words", room=lambda mtu, v, o: mss(mtu, v) - sum(o)),
    carry("rounded down", "room", "words", room=lambda mtu, v, o: mss(mtu, v) - sum(o) // 4 * 4),
    carry("only the first", "room", "every",
          room=lambda mtu, v, o: mss(mtu, v) - sum(-(-x // 4) * 4 for x in o[:1])),
    carry("each filled up", "room", "together",
          room=lambda mtu, v, o: mss(mtu, v) - sum(-(-x // 4) * 4 for x in o)),
    carry("always one more", "segments", "exact",
          segments=lambda size, *rest: size // room(*rest) + 1),
    carry("rounded down", "segments", "rest", segments=lambda size, *rest: size // room(*rest)),
    carry("a share", "segments", "rest", segments=lambda size, *rest: size / room(*rest)),
    carry("one header a frame", "line_rate", "headers", line_rate=one_header),
    carry("no options in the headers", "line_rate", "headers", line_rate=without_options),
    carry("bytes a second", "line_rate", "bits", line_rate=in_bytes),
    carry("bits of a frame", "line_rate", "second", line_rate=of_one_frame),
    carry("full packets", "line_rate", "full", line_rate=full_packets),
    schedule(NoChance, "doubles", "chance"),
    schedule(EqualJitter, "doubles", "full"),
    schedule(ChanceOnTop, "doubles", "full"),
    schedule(GrowsEvenly, "doubles", "doubles"),
    schedule(DoublesTooSoon, "doubles", "begin"),
    schedule(InSeconds, "doubles", "unit"),
    schedule(InWholeMilliseconds, "doubles", "whole"),
    schedule(NeverStopsGrowing, "limit", "limit"),
    schedule(OverflowsAtNight, "limit", "error"),
    schedule(LimitsTheWait, "limit", "limit"),
    schedule(NeverForgets, "reset", "success"),
    schedule(ForgetsOne, "reset", "success"),
    ending(EveryFinIsClean, "ends", "goodbye"),
    ending(NoGoodbyeIsClean, "ends", "goodbye"),
    ending(EndsWithTheGoodbye, "ends", "early"),
    ending(ForgetsTheHalf, "ends", "half"),
    ending(ResetIsAnEnd, "ends", "reset"),
    ending(WordsOfItsOwn, "ends", "words"),
    ending(Numbers, "ends", "words"),
    ending(ADecoderForEachPiece, "pieces", "pieces"),
    ending(LooksAtTheBytes, "pieces", "goodbye"),
    ending(SearchesTheBytes, "pieces", "payload"),
    ending(LastWordCounts, "final", "first"),
    ending(TheLastFinCounts, "final", "first"),
    ending(ResetAfterGoodbye, "final", "afterwards"),
    asks("resets close it", "closed", "gone", closed=counts_resets),
    asks("resets close it, in a capture", "capture", "gone", closed=counts_resets),
    asks("to the last zero", "closed", "opens", closed=to_the_last_zero),
    asks("from zero to zero", "closed", "opens", closed=from_zero_to_zero),
    asks("from the last zero", "closed", "first-zero", closed=from_the_last_zero),
    asks("when, but not how long", "closed", "pairs", closed=only_times),
    asks("how long, but not when", "closed", "pairs", closed=how_long),
    asks("open when wide", "capture", "capture", closed=open_when_wide),
    asks("probes too", "again", "probe", sent_again=lambda s: again(s, probes=True)),
    asks("each once", "again", "every-time", sent_again=lambda s: sorted(set(again(s)))),
    asks("the first copy too", "again", "first-copy", sent_again=every_copy),
    asks("lower than the last one", "again", "before", sent_again=lower_than_the_last),
    asks("nothing is sent again", "again", "before", sent_again=lambda s: []),
    asks("between any two of the client's", "standstill", "rise",
         standstill=lambda s: gap(s, lambda x: x[1])),
    asks("between two of the server's", "standstill", "whose",
         standstill=lambda s: gap(s, lambda x: not x[1] and x[5])),
    asks("all of it", "standstill", "rise", standstill=lambda s: sum(rises(s))),
    asks("in seconds", "standstill", "milliseconds", standstill=lambda s: max(rises(s)) / 1000),
    follower(NeverLeaves, "knows", "leave"),
    follower(NeverLeaves, "survives", "leave"),
    follower(TakesAFinForTheEnd, "knows", "gives-up"),
    follower(TakesAResetForTheEnd, "knows", "gives-up"),
    follower(OneEndingForAll, "knows", "anew"),
    follower(BeginsPatient, "knows", "fresh"),
    follower(NewPatienceWhenOpened, "busy", "patience"),
    follower(NewPatienceWithEachByte, "busy", "patience"),
    follower(SoundIsNothingToIt, "busy", "fresh"),
    follower(Hasty, "survives", "hasty"),
    follower(GivesUpWhenRefused, "survives", "back"),
    follower(WaitsForLong, "survives", "back"),
    follower(WaitsANegativeTime, "survives", "number"),
]  # fmt: skip

"""What people write in week 3."""

import struct

from wrong_answers.wrong import Wrong

from labkit.checks import nagle
from labkit.words.errors import Malformed


class Right:
    """A decoder that is right, to be spoilt in one place."""

    HEADER, LARGEST, KINDS = 12, 65_535, 3

    def __init__(self):
        self.kept = b""
        self.error = None

    def __len__(self):
        return len(self.kept)

    def fits(self, version, kind, size):
        return version == 1 and kind <= self.KINDS and size <= self.LARGEST

    def feed(self, data):
        if self.error is not None:
            raise self.error
        self.kept += data
        frames = []
        while self.error is None and len(self.kept) >= self.HEADER:
            version, kind, seq, ts, size = struct.unpack("!BBHII", self.kept[:12])
            if not self.fits(version, kind, size):
                self.error = Malformed("header", 0, "wrong")
            elif len(self.kept) < 12 + size:
                break
            else:
                frames.append((kind, seq, ts, self.kept[12 : 12 + size]))
                self.kept = self.kept[12 + size :]
        if self.error is not None and not frames:
            raise self.error
        return frames


class OneReadOneFrame(Right):
    """What one read gives is one frame."""

    def feed(self, data):
        if len(data) < 12:
            return []
        _, kind, seq, ts, _ = struct.unpack("!BBHII", data[:12])
        return [(kind, seq, ts, data[12:])]


class OneAFeed(Right):
    """Finds the first frame; the others have to wait for the next bytes."""

    def feed(self, data):
        self.kept += data
        if len(self.kept) < 12:
            return []
        _, kind, seq, ts, size = struct.unpack("!BBHII", self.kept[:12])
        if len(self.kept) < 12 + size:
            return []
        frame = kind, seq, ts, self.kept[12 : 12 + size]
        self.kept = self.kept[12 + size :]
        return [frame]


class OnlyTheFirst(Right):
    """And the rest of the bytes is thrown away."""

    def feed(self, data):
        frames = super().feed(data)
        self.kept = b"" if frames else self.kept
        return frames[:1]


class ForgetsTheRest(Right):
    """What is not yet a frame is forgotten when the call ends."""

    def feed(self, data):
        frames = super().feed(data)
        self.kept = b""
        return frames


class ForgetsQuietly(Right):
    """Each time it begins anew, and what does not look like a frame is skipped."""

    def feed(self, data):
        frames, at = [], 0
        while at + 12 <= len(data):
            version, kind, seq, ts, size = struct.unpack_from("!BBHII", data, at)
            if self.fits(version, kind, size) and at + 12 + size <= len(data):
                frames.append((kind, seq, ts, data[at + 12 : at + 12 + size]))
                at += 12 + size
            else:
                at += 1
        return frames


class KeepsNoHeader(Right):
    """Keeps a payload that is cut, but drops a header that is."""

    def feed(self, data):
        frames = super().feed(data)
        if len(self.kept) < 12:
            self.kept = b""
        return frames


class GivesWhatThereIs(Right):
    """A payload that is not yet whole is given as it is."""

    def feed(self, data):
        self.kept += data
        frames = []
        while len(self.kept) >= 12:
            _, kind, seq, ts, size = struct.unpack("!BBHII", self.kept[:12])
            frames.append((kind, seq, ts, self.kept[12 : 12 + size]))
            self.kept = self.kept[12 + size :]
        return frames


class NeedsMoreThanAHeader(Right):
    """A frame without a payload waits for the next one."""

    HEADER = 13


class NeedsAHeader(Right):
    """Reads a header that is not there yet."""

    HEADER = 1


class GivesTwice(Right):
    """A frame that was given stays, and is given again."""

    def feed(self, data):
        self.kept += data
        frames, at = [], 0
        while at + 12 <= len(self.kept):
            _, kind, seq, ts, size = struct.unpack("!BBHII", self.kept[at : at + 12])
            if at + 12 + size > len(self.kept):
                break
            frames.append((kind, seq, ts, self.kept[at + 12 : at + 12 + size]))
            at += 12 + size
        return frames


class CountsWhereItIs(Right):
    """Never throws anything away, and remembers how far it has read."""

    at = 0

    def feed(self, data):
        self.kept += data
        frames = []
        while self.at + 12 <= len(self.kept):
            version, kind, seq, ts, size = struct.unpack_from("!BBHII", self.kept, self.at)
            end = self.at + 12 + size
            if not self.fits(version, kind, size):
                raise Malformed("header", self.at, "wrong")
            if end > len(self.kept):
                break
            frames.append((kind, seq, ts, self.kept[self.at + 12 : end]))
            self.at = end
        return frames


class KeepsTheLast(Right):
    """The last frame stays until the next one comes."""

    last = b""

    def __len__(self):
        return len(self.kept) + len(self.last)

    def feed(self, data):
        frames = super().feed(data)
        self.last = frames[-1][3] if frames else self.last
        return frames


class LittleEndian(Right):
    def feed(self, data):
        _, kind, seq, ts, size = struct.unpack("<BBHII", data[:12])
        return [(kind, seq, ts, data[12 : 12 + size])]


class KindIsNotThere(Right):
    def feed(self, data):
        return [frame[1:] for frame in super().feed(data)]


class GivesOneOrNone(Right):
    def feed(self, data):
        frames = super().feed(data)
        return frames[0] if frames else None


class BelievesTheLength(Right):
    LARGEST = 2**32


class OffByOne(Right):
    LARGEST = 65_536


class AnyKind(Right):
    KINDS = 255


class AnyVersion(Right):
    def fits(self, version, kind, size):
        return super().fits(1, kind, size)


class DropsTheWrong(Right):
    """Throws away what is wrong, and hopes."""

    def fits(self, version, kind, size):
        if not super().fits(version, kind, size):
            self.kept = b""
            raise Malformed("header", 0, "wrong")
        return True


class RaisesAtOnce(Right):
    """The right frames before the wrong one are lost."""

    def feed(self, data):
        frames = super().feed(data)
        if self.error is not None:
            raise self.error
        return frames


class LooksForTheNext(Right):
    """After a wrong header it begins again with the next bytes."""

    def feed(self, data):
        if self.error is not None:
            self.error, self.kept = None, b""
        return super().feed(data)


class SmallestPayload(Right):
    """An empty frame counts as a wrong one."""

    def fits(self, version, kind, size):
        return super().fits(version, kind, size) and size > 0


class FramesAreSmall(Right):
    """No frame of a voice is larger than 1000 bytes, it seemed."""

    LARGEST = 150


def decoder(kind, part, hint):
    return Wrong("03.1", kind.__name__, part, hint, {"Decoder": kind})


def voice(kind, part, hint):
    return Wrong("03.4", kind.__name__, part, hint, {"Decoder": kind})


# 03.2 --------------------------------------------------------------------------------------------


class Queue:
    """A queue that is right, to be spoilt in one place."""

    def __init__(self, limit, high, low):
        self.limit, self.high, self.low = limit, high, low
        self.frames = []
        self.paused = False

    def __len__(self):
        return len(self.frames)

    def put(self, frame):
        self.frames.append(frame)
        dropped = self.drop()
        self.mark()
        return dropped

    def drop(self):
        dropped = []
        while len(self.frames) > self.limit:
            dropped.append(self.frames.pop(0))
        return dropped

    def mark(self):
        if len(self.frames) >= self.high:
            self.paused = True

    def get(self):
        frame = self.frames.pop(0) if self.frames else None
        self.unmark()
        return frame

    def unmark(self):
        if len(self.frames) <= self.low:
            self.paused = False


class LastInFirstOut(Queue):
    def get(self):
        frame = self.frames.pop() if self.frames else None
        self.unmark()
        return frame


class RaisesWhenEmpty(Queue):
    def get(self):
        frame = self.frames.pop(0)
        self.unmark()
        return frame


class EmptyBytes(Queue):
    def get(self):
        return super().get() or b""


class Looks(Queue):
    """Gives a frame and leaves it."""

    def get(self):
        return self.frames[0] if self.frames else None


class NoLimit(Queue):
    def drop(self):
        return []


class DropsTheNewest(Queue):
    def drop(self):
        return [self.frames.pop()] if len(self.frames) > self.limit else []


class DropsAll(Queue):
    def drop(self):
        dropped = []
        if len(self.frames) > self.limit:
            dropped, self.frames = self.frames[:-1], self.frames[-1:]
        return dropped


class OneTooMany(Queue):
    def drop(self):
        return [self.frames.pop(0)] if len(self.frames) > self.limit + 1 else []


class OneTooFew(Queue):
    def drop(self):
        return [self.frames.pop(0)] if len(self.frames) >= self.limit else []


class OnlySaysSo(Queue):
    """Says which would have to go, and leaves it."""

    def drop(self):
        return self.frames[:1] if len(self.frames) > self.limit else []


class SaysNothing(Queue):
    def put(self, frame):
        super().put(frame)


class SaysHowMany(Queue):
    def put(self, frame):
        return len(super().put(frame))


class SaysWhich(Queue):
    def put(self, frame):
        dropped = super().put(frame)
        return dropped[0] if dropped else None


class PausesAbove(Queue):
    def mark(self):
        if len(self.frames) > self.high:
            self.paused = True


class PausesWhenFull(Queue):
    def mark(self):
        if len(self.frames) == self.limit:
            self.paused = True


class OneMark(Queue):
    def unmark(self):
        if len(self.frames) < self.high:
            self.paused = False


class ResumesBelow(Queue):
    def unmark(self):
        if len(self.frames) < self.low:
            self.paused = False


class ResumesWhenEmpty(Queue):
    def unmark(self):
        if not self.frames:
            self.paused = False


class MarksWhenAsked(Queue):
    """Between the marks it is neither."""

    def mark(self):
        self.paused = len(self.frames) >= self.high

    def unmark(self):
        self.paused = len(self.frames) > self.low


class ForgetsWhenDropping(Queue):
    """After it has dropped, it goes on."""

    def put(self, frame):
        dropped = super().put(frame)
        if len(dropped) > 0:
            self.paused = False
        return dropped


class OnlyEver100(Queue):
    """Tired after a hundred frames."""

    puts = 0

    def mark(self):
        self.puts += 1
        if len(self.frames) >= self.high and self.puts < 100:
            self.paused = True


def queue(kind, part, hint):
    return Wrong("03.2", kind.__name__, part, hint, {"SendQueue": kind})


# 03.3 --------------------------------------------------------------------------------------------


def by(rule):
    return lambda writes, round_trip, mss: nagle.departures(writes, round_trip, mss, rule)


def read(how):
    return lambda segments, mss: nagle.held_back(segments, mss, how)


def never(writes, round_trip, mss):
    """The first write waits too."""
    return [(at + round_trip, size) for at, size in nagle.departures(writes, round_trip, mss)]


def one_late(writes, round_trip, mss):
    """A segment leaves in the millisecond after its acknowledgement."""
    found = nagle.departures(writes, round_trip, mss)
    return [(at + (at not in dict(writes)), size) for at, size in found]


def only_whole_writes(writes, round_trip, mss):
    """A write is full or it is not: what has grown to a full segment waits on."""
    sent, back, waiting, pending = [], [], 0, list(writes)
    while pending or waiting:
        now = min([at for at, _ in pending[:1]] + sorted(back)[:1])
        back = [at for at in back if at > now]
        if pending and pending[0][0] == now:
            size = pending.pop(0)[1]
            waiting += size
            while size >= mss:
                sent.append((now, mss))
                back.append(now + round_trip)
                size, waiting = size - mss, waiting - mss
        while waiting and not back:
            for _ in range(-(-waiting // mss)):
                sent.append((now, min(waiting, mss)))
                back.append(now + round_trip)
                waiting -= sent[-1][1]
                if waiting < mss:
                    break
    return sent


def always_something(segments, mss):
    """As if the first acknowledgement were never to come."""
    first = next((i for i, row in enumerate(segments) if row[1] == "out" and row[3]), 0)
    return [
        i for i, row in enumerate(segments) if i > first and row[1] == "out" and 0 < row[3] < mss
    ]


def by_flags(segments, mss):
    """PSH is taken for a sign of haste."""
    return [i for i, row in enumerate(segments) if row[1] == "out" and "PSH" in row[5]]


def from_the_beginning(segments, mss):
    """Counts bytes from zero, whatever the first number is."""
    held, end, acknowledged = [], 0, 0
    for place, (_, direction, _, size, ack, _) in enumerate(segments):
        if direction == "in":
            acknowledged = max(acknowledged, ack - 1)
        elif size:
            if size < mss and end > acknowledged:
                held.append(place)
            end += size
    return held


def nothing(segments, mss):
    return []


def from_one(segments, mss):
    return [place + 1 for place in nagle.held_back(segments, mss)]


def how_many(segments, mss):
    return len(nagle.held_back(segments, mss))


def leaves(mistake, part, hint, function):
    return Wrong("03.3", mistake, part, hint, {"departures": function})


def reads(mistake, part, hint, function):
    return Wrong("03.3", mistake, part, hint, {"held_back": function})


RULES, READINGS = nagle.MISTAKES, nagle.MISREADINGS

WRONG = [
    decoder(OneReadOneFrame, "joined", "more"),
    decoder(OneAFeed, "joined", "more"),
    decoder(OnlyTheFirst, "joined", "more"),
    decoder(ForgetsTheRest, "cut", "payload"),
    decoder(KeepsNoHeader, "cut", "header"),
    decoder(GivesWhatThereIs, "cut", "payload"),
    decoder(NeedsMoreThanAHeader, "whole", "empty"),
    decoder(NeedsAHeader, "cut", "error"),
    decoder(GivesTwice, "cut", "once"),
    decoder(CountsWhereItIs, "keeps", "keeps"),
    decoder(KeepsTheLast, "keeps", "keeps"),
    decoder(LittleEndian, "whole", "fields"),
    decoder(KindIsNotThere, "whole", "form"),
    decoder(GivesOneOrNone, "whole", "form"),
    decoder(BelievesTheLength, "hostile", "length"),
    decoder(OffByOne, "hostile", "length"),
    decoder(AnyKind, "hostile", "version"),
    decoder(AnyVersion, "hostile", "version"),
    decoder(DropsTheWrong, "broken", "before"),
    decoder(RaisesAtOnce, "broken", "before"),
    decoder(LooksForTheNext, "broken", "broken"),
    queue(LastInFirstOut, "order", "order"),
    queue(RaisesWhenEmpty, "order", "error"),
    queue(EmptyBytes, "order", "empty"),
    queue(Looks, "order", "count"),
    queue(NoLimit, "bound", "dropped"),
    queue(DropsTheNewest, "bound", "oldest"),
    queue(DropsAll, "bound", "oldest"),
    queue(OneTooMany, "bound", "dropped"),
    queue(OneTooFew, "bound", "oldest"),
    queue(OnlySaysSo, "bound", "limit"),
    queue(SaysNothing, "order", "dropped"),
    queue(SaysHowMany, "order", "dropped"),
    queue(SaysWhich, "order", "dropped"),
    queue(PausesAbove, "pause", "pause"),
    queue(PausesWhenFull, "pause", "pause"),
    queue(OneMark, "resume", "resume"),
    queue(ResumesBelow, "resume", "resume"),
    queue(ResumesWhenEmpty, "resume", "resume"),
    queue(MarksWhenAsked, "resume", "resume"),
    queue(ForgetsWhenDropping, "long", "resume"),
    queue(OnlyEver100, "long", "pause"),
    leaves("TCP_NODELAY", "small", "waits", by(RULES["waits"])),
    leaves("one way instead of a round trip", "small", "trip", by(RULES["trip"])),
    leaves("each write a segment", "small", "together", by(RULES["together"])),
    leaves("the first one waits too", "small", "first", never),
    leaves("a millisecond after", "small", "wait", one_late),
    leaves("a full one takes the rest along", "full", "rest", by(RULES["rest"])),
    leaves("full ones wait as well", "full", "full", by(RULES["full"])),
    leaves("segments of any size", "full", "cut", by(RULES["cut"])),
    leaves("any acknowledgement will do", "many", "all", by(RULES["all"])),
    leaves("what has grown is not looked at", "full", "grown", only_whole_writes),
    reads("any size", "made", "full", read(READINGS["full"])),
    reads("both directions", "made", "direction", read(READINGS["direction"])),
    reads("acknowledgements too", "made", "data", read(READINGS["data"])),
    reads("any acknowledgement since", "made", "newest", read(READINGS["newest"])),
    reads("all but the first", "made", "flying", always_something),
    reads("by PSH", "made", "flying", by_flags),
    reads("nothing is ever held", "made", "flying", nothing),
    reads("places from one", "made", "places", from_one),
    reads("a number", "made", "places", how_many),
    reads("bytes are counted from zero", "captured", "flying", from_the_beginning),
    voice(OneReadOneFrame, "near", "joined"),
    voice(OnlyTheFirst, "near", "joined"),
    voice(ForgetsTheRest, "far", "refused"),
    voice(ForgetsQuietly, "far", "cut"),
    voice(FramesAreSmall, "near", "refused"),
    voice(GivesOneOrNone, "near", "form"),
]  # fmt: skip

"""What people write in week 5."""

from itertools import pairwise

import numpy as np
from wrong_answers.wrong import Wrong

from labkit.words.packet import Packet
from labkit.words.seqnum import add16, add32, ahead16

# 05.1 and 05.4 ------------------------------------------------------------------------------------


class Right:
    """A packetizer that is right, to be spoilt in one place."""

    def __init__(self, limit, first_seq, first_timestamp):
        self.limit = limit
        self.seq, self.timestamp = first_seq, first_timestamp
        self.waiting = None

    def push(self, samples):
        if self.waiting is not None:
            samples = np.concatenate([self.waiting, samples])
        packets = []
        while len(samples) >= 960:
            packets += self.pack(samples[:960])
            samples = samples[960:]
        self.waiting = self.keep(samples)
        return packets

    def keep(self, samples):
        return samples

    def pack(self, frame):
        return [self.packet(piece) for piece in self.cut(frame)]

    def cut(self, frame):
        return np.array_split(frame, -(-960 // self.most(frame)))

    def most(self, frame):
        """Samples in a packet."""
        return self.limit // (2 * frame.shape[1])

    def packet(self, piece):
        packet = Packet(self.seq, self.timestamp, self.payload(piece))
        self.count(piece)
        return packet

    def payload(self, piece):
        return piece.astype(">i2").tobytes()

    def count(self, piece):
        self.seq = add16(self.seq, 1)
        self.timestamp = add32(self.timestamp, len(piece))


class NothingForNothing(Right):
    """None when no frame is complete."""

    def push(self, samples):
        return super().push(samples) or None


class JustBytes(Right):
    def packet(self, piece):
        return super().packet(piece).payload


class Tuples(Right):
    def packet(self, piece):
        return tuple(super().packet(piece))


class PacketForEachBlock(Right):
    """What came is what is sent."""

    def push(self, samples):
        return [self.packet(samples)] if len(samples) else []


class DropsTheRest(Right):
    def keep(self, samples):
        return samples[:0]


class FillsWithSilence(Right):
    """Each block is made whole."""

    def push(self, samples):
        missing = -len(samples) % 960
        return super().push(np.pad(samples, ((0, missing), (0, 0))))


class OnlyOneFrame(Right):
    """`if` where a loop should be: a long block waits for ever."""

    def push(self, samples):
        if self.waiting is not None:
            samples = np.concatenate([self.waiting, samples])
        packets = []
        if len(samples) >= 960:
            packets = self.pack(samples[:960])
            samples = samples[960:]
        self.waiting = samples
        return packets


class LowByteFirst(Right):
    def payload(self, piece):
        return piece.astype("<i2").tobytes()


class AllLeftFirst(Right):
    """One channel after the other."""

    def payload(self, piece):
        return piece.T.astype(">i2").tobytes()


class NoLimit(Right):
    def cut(self, frame):
        return [frame]


class LimitInSamples(Right):
    def most(self, frame):
        return self.limit


class ForgetsChannels(Right):
    def most(self, frame):
        return self.limit // 2


class CutsInHalf(Right):
    """Two packets, whatever the limit."""

    def cut(self, frame):
        return np.array_split(frame, 2 if frame.nbytes > self.limit else 1)


class CutsBytes(Right):
    """Payloads are filled to the last byte."""

    def pack(self, frame):
        data = self.payload(frame)
        packets = []
        for at in range(0, len(data), self.limit):
            packets.append(Packet(self.seq, self.timestamp, data[at : at + self.limit]))
            self.seq = add16(self.seq, 1)
            self.timestamp = add32(self.timestamp, len(packets[-1].payload) // 2 // frame.shape[1])
        return packets


class LosesTheRemainder(Right):
    """A division that does not come out even."""

    def cut(self, frame):
        count = -(-960 // self.most(frame))
        size = 960 // count
        return [frame[at * size : (at + 1) * size] for at in range(count)]


class AlwaysTen(Right):
    """5 ms or less, to be on the safe side."""

    def cut(self, frame):
        return np.array_split(frame, max(20, -(-960 // self.most(frame))))


class FillsEachPacket(Right):
    """As long as can be, and a short one at the end."""

    def cut(self, frame):
        most = self.most(frame)
        return [frame[at : at + most] for at in range(0, 960, most)]


class NumbersFrames(Right):
    """All pieces of a frame have one number."""

    def count(self, piece):
        self.timestamp = add32(self.timestamp, len(piece))

    def pack(self, frame):
        packets = super().pack(frame)
        self.seq = add16(self.seq, 1)
        return packets


class BeginsAtZero(Right):
    def __init__(self, limit, first_seq, first_timestamp):
        super().__init__(limit, 0, first_timestamp)


class CountsBytes(Right):
    def count(self, piece):
        self.seq = add16(self.seq, 1)
        self.timestamp = add32(self.timestamp, 2 * piece.size)


class CountsAllChannels(Right):
    def count(self, piece):
        self.seq = add16(self.seq, 1)
        self.timestamp = add32(self.timestamp, piece.size)


class CountsFrames(Right):
    def count(self, piece):
        self.seq = add16(self.seq, 1)
        self.timestamp = add32(self.timestamp, 1)


class TimeOfTheFrame(Right):
    """All pieces of a frame have its timestamp."""

    def count(self, piece):
        self.seq = add16(self.seq, 1)

    def pack(self, frame):
        packets = super().pack(frame)
        self.timestamp = add32(self.timestamp, 960)
        return packets


class TimeAfter(Right):
    """Of the sample after the last."""

    def packet(self, piece):
        self.timestamp = add32(self.timestamp, len(piece))
        packet = Packet(self.seq, self.timestamp, self.payload(piece))
        self.seq = add16(self.seq, 1)
        return packet


class NeverWraps(Right):
    def count(self, piece):
        self.seq += 1
        self.timestamp += len(piece)


class WrapsTooSoon(Right):
    """Off by one: a modulus of 65535."""

    def count(self, piece):
        self.seq = (self.seq + 1) % 65_535
        self.timestamp = add32(self.timestamp, len(piece))


class TimeWrapsAt16(Right):
    def __init__(self, limit, first_seq, first_timestamp):
        super().__init__(limit, first_seq, first_timestamp)
        self.far = first_timestamp

    def count(self, piece):
        self.seq = add16(self.seq, 1)
        self.far += len(piece)
        self.timestamp = self.far if self.far < 1 << 32 else self.far % (2**32 - 1)


def packetizer(kind, part, hint):
    return Wrong("05.1", kind.__name__, part, hint, {"MyPacketizer": kind})


def voice(kind, part, hint):
    return Wrong("05.4", kind.__name__, part, hint, {"MyPacketizer": kind})


# 05.2 ---------------------------------------------------------------------------------------------


class Counting:
    """Counters that are right, to be spoilt in one place."""

    def __init__(self):
        self.first = self.highest = None
        self.seen = set()
        self.duplicates = self.reordered = 0

    def unwrapped(self, seq):
        return self.highest + ahead16(seq, self.highest)

    def add(self, seq):
        if self.highest is None:
            self.first = self.highest = seq
        number = self.unwrapped(seq)
        if number in self.seen:
            self.again(number)
        elif number < self.highest:
            self.behind(number)
        else:
            self.on(number)
        self.seen.add(number)
        self.highest = max(self.highest, number)

    def again(self, number):
        self.duplicates += 1

    def behind(self, number):
        self.reordered += 1

    def on(self, number):
        pass

    @property
    def expected(self):
        return self.highest - self.first + 1

    @property
    def lost(self):
        return self.expected - len(self.seen)

    def figures(self):
        return self.expected, self.lost, self.duplicates, self.reordered


class AsDict(Counting):
    def figures(self):
        return {"expected": self.expected, "lost": self.lost}


class ThreeOfThem(Counting):
    def figures(self):
        return super().figures()[1:]


class OneTooFew(Counting):
    """The highest less the first."""

    @property
    def expected(self):
        return self.highest - self.first

    @property
    def lost(self):
        return self.expected + 1 - len(self.seen)


class CountsArrivals(Counting):
    """Expected: what came."""

    def figures(self):
        return len(self.seen), *super().figures()[1:]


class CountsGaps(Counting):
    gaps = 0

    def on(self, number):
        self.gaps += number > self.highest + 1

    @property
    def lost(self):
        return self.gaps


class Overtakers(Counting):
    """Counts who came early: a packet after a gap."""

    def behind(self, number):
        pass

    def on(self, number):
        self.reordered += number > self.highest + 1


class DiffersFromTheLast(Counting):
    """Smaller than the one before it, and not than the highest."""

    last = -1

    def add(self, seq):
        before, self.last = self.last, seq
        reordered = self.reordered
        super().add(seq)
        self.reordered = reordered + (seq < before)


class LostForEver(Counting):
    """What was skipped is lost, also if it comes."""

    gone = 0

    def on(self, number):
        self.gone += max(0, number - self.highest - 1)

    @property
    def lost(self):
        return self.gone


class OnlyTheLastTwice(Counting):
    """A copy is what has the number of the one before it."""

    def again(self, number):
        if number == self.before:
            self.duplicates += 1

    def add(self, seq):
        super().add(seq)
        self.before = self.unwrapped(seq)


class AWindowOfEight(Counting):
    def again(self, number):
        if number > self.highest - 8:
            self.duplicates += 1


class CopiesAreReordered(Counting):
    def again(self, number):
        self.duplicates += 1
        self.reordered += number < self.highest


class CopiesMakeUp(Counting):
    """Lost: expected less all that came."""

    @property
    def lost(self):
        return self.expected - len(self.seen) - self.duplicates


class PlainNumbers(Counting):
    def unwrapped(self, seq):
        return seq


class WrapsAt65535(Counting):
    turns = 0

    def unwrapped(self, seq):
        number = seq + 65_535 * self.turns
        if number < self.highest - 30_000:
            self.turns += 1
            number += 65_535
        return number


class CountsTurns(Counting):
    """A small number after a large one is a new turn, a late one too."""

    turns = 0

    def unwrapped(self, seq):
        if seq < self.highest % 65_536 - 3:
            self.turns += 1
        return seq + 65_536 * self.turns


class RemembersRaw(Counting):
    """The numbers as they came: a turn later all are copies."""

    def __init__(self):
        super().__init__()
        self.raw = set()

    def add(self, seq):
        if seq in self.raw:
            self.duplicates += 1
            return
        self.raw.add(seq)
        super().add(seq)


class ForgetsAtTheWrap(Counting):
    """Starts anew: what was before the wrap is forgotten, twice round it is off."""

    def unwrapped(self, seq):
        number = super().unwrapped(seq)
        return number - 65_536 if number >= 2 * 65_536 else number


def counters(kind, part, hint, exercise="05.2"):
    return Wrong(exercise, kind.__name__, part, hint, {"Counters": kind})


# 05.3 ---------------------------------------------------------------------------------------------


def cutter(udp=8, ip=20, unit=8, in_eights=False, more=lambda last: not last):
    """A `fragments` that forgets something."""

    def fragments(size, mtu):
        whole, room = size + udp, mtu - ip
        step = whole if whole <= room else room // unit * unit
        return [
            (
                at // 8 if in_eights else at,
                min(step, whole - at),
                more(at + step >= whole),
            )
            for at in range(0, whole, step)
        ]

    return fragments


def grouped(packets):
    found = {}
    for identification, offset, length, more in packets:
        found.setdefault(identification, []).append((offset, length, more))
    return found


def first_and_last(packets):
    return [
        key
        for key, parts in grouped(packets).items()
        if not (any(p[0] == 0 for p in parts) and any(not p[2] for p in parts))
    ]


def all_that_are_single(packets):
    """Whoever came alone: also those that are whole."""
    return [key for key, parts in grouped(packets).items() if len(parts) < 3]


def without_the_flag(packets):
    """More are said to follow, and none does."""
    return [key for key, parts in grouped(packets).items() if parts[-1][2]]


def as_they_came(packets):
    """Each must begin where the one before it ended."""
    missing = []
    for key, parts in grouped(packets).items():
        at = 0
        for offset, length, _ in parts:
            at = at + length if offset == at else -1_000_000
        if at < 0 or parts[-1][2]:
            missing.append(key)
    return missing


def by_length(packets):
    """The lengths add up: a copy fills a hole."""
    missing = []
    for key, parts in grouped(packets).items():
        ends = [offset + length for offset, length, more in parts if not more]
        if not ends or sum(length for _, length, _ in parts) < ends[0]:
            missing.append(key)
    return missing


def by_exact_length(packets):
    """And here a copy makes a whole one wrong."""
    missing = []
    for key, parts in grouped(packets).items():
        ends = [offset + length for offset, length, more in parts if not more]
        if not ends or sum(length for _, length, _ in parts) != ends[0]:
            missing.append(key)
    return missing


def only_small_identifications(packets):
    """Right for those that one has tried."""
    few = [p for p in packets if p[0] != packets[5][0]] if len(packets) > 100 else packets
    return by_offsets(few)


def by_offsets(packets):
    missing = []
    for key, parts in grouped(packets).items():
        at, known = 0, {p[0]: p[1:] for p in parts}
        more = True
        while more and at in known:
            length, more = known[at]
            at += length
        if more:
            missing.append(key)
    return missing


def drops_many(packets):
    return by_offsets(packets) if len(packets) < 100 else by_offsets(packets)[1:]


def steps(seqs, first=1, less=1):
    """From each arrival to the next."""
    return [(add16(a, first), ahead16(b, a) - less) for a, b in pairwise(seqs) if ahead16(b, a) > 1]


def plain(seqs):
    """Sorted, as if they had no wrap."""
    ordered = sorted(set(seqs))
    return [(a + 1, b - a - 1) for a, b in pairwise(ordered) if b - a > 1]


def one_each(seqs):
    """Every number by itself."""
    return [(add16(start, n), 1) for start, count in steps(seqs) for n in range(count)]


def w53(mistake, part, hint, **names):
    return Wrong("05.3", mistake, part, hint, names)


WRONG = [
    packetizer(NothingForNothing, "frames", "packets"),
    packetizer(JustBytes, "frames", "packets"),
    packetizer(Tuples, "frames", "packets"),
    packetizer(PacketForEachBlock, "frames", "chunks"),
    packetizer(DropsTheRest, "frames", "rest"),
    packetizer(FillsWithSilence, "frames", "rest"),
    packetizer(OnlyOneFrame, "frames", "rest"),
    packetizer(LowByteFirst, "frames", "endian"),
    packetizer(AllLeftFirst, "frames", "endian"),
    packetizer(NoLimit, "limit", "limit"),
    packetizer(LimitInSamples, "limit", "limit"),
    packetizer(ForgetsChannels, "limit", "limit"),
    packetizer(CutsInHalf, "limit", "limit"),
    packetizer(CutsBytes, "limit", "sample"),
    packetizer(LosesTheRemainder, "limit", "lost"),
    packetizer(AlwaysTen, "even", "few"),
    packetizer(FillsEachPacket, "even", "even"),
    packetizer(NumbersFrames, "numbers", "seq"),
    packetizer(BeginsAtZero, "numbers", "seq"),
    packetizer(CountsBytes, "numbers", "ticks"),
    packetizer(CountsAllChannels, "numbers", "ticks"),
    packetizer(CountsFrames, "numbers", "ticks"),
    packetizer(TimeOfTheFrame, "numbers", "ticks"),
    packetizer(TimeAfter, "numbers", "ticks"),
    packetizer(NeverWraps, "wraps", "packets"),
    packetizer(WrapsTooSoon, "wraps", "circle"),
    packetizer(TimeWrapsAt16, "wraps", "circle"),
    counters(AsDict, "lost", "four"),
    counters(ThreeOfThem, "lost", "four"),
    counters(OneTooFew, "lost", "expected"),
    counters(CountsArrivals, "lost", "expected"),
    counters(CountsGaps, "lost", "gaps"),
    counters(Overtakers, "late", "reordered"),
    counters(DiffersFromTheLast, "late", "reordered"),
    counters(LostForEver, "late", "filled"),
    counters(OnlyTheLastTwice, "twice", "twice"),
    counters(AWindowOfEight, "twice", "twice"),
    counters(CopiesAreReordered, "twice", "copy"),
    counters(CopiesMakeUp, "twice", "copy"),
    counters(PlainNumbers, "wraps", "circle"),
    counters(WrapsAt65535, "wraps", "circle"),
    counters(CountsTurns, "wraps", "circle"),
    counters(RemembersRaw, "turns", "turn"),
    counters(ForgetsAtTheWrap, "turns", "turn"),
    w53("forgets the UDP header", "fragments", "udp", fragments=cutter(udp=0)),
    w53("UDP header in every fragment", "fragments", "udp", fragments=cutter(udp=0, ip=28)),
    w53("forgets the IP header", "fragments", "ip", fragments=cutter(ip=0)),
    w53("cuts anywhere", "fragments", "eights", fragments=cutter(unit=1)),
    w53("cuts a rest that fits", "fragments", "fits", fragments=cutter()),
    w53("offsets in eights", "fragments", "bytes", fragments=cutter(in_eights=True)),
    w53("the flag upside down", "fragments", "more", fragments=cutter(more=lambda last: last)),
    w53("always more", "fragments", "more", fragments=cutter(more=lambda last: True)),
    w53("first and last are there", "incomplete", "last", incomplete=first_and_last),
    w53("those that came alone", "incomplete", "short", incomplete=all_that_are_single),
    w53("the flag of the last", "incomplete", "last", incomplete=without_the_flag),
    w53("as they came", "incomplete", "order", incomplete=as_they_came),
    w53("lengths add up", "incomplete", "copies", incomplete=by_length),
    w53("lengths add up exactly", "incomplete", "copies", incomplete=by_exact_length),
    w53("the last that came", "bursts", "gap", bursts=lambda seqs: steps(seqs, first=0)),
    w53("one too many", "bursts", "gap", bursts=lambda seqs: steps(seqs, less=0)),
    w53("one by one", "bursts", "gap", bursts=one_each),
    w53("step by step", "bursts", "late", bursts=steps),
    w53("plain numbers", "bursts", "wrap", bursts=plain),
    w53("never tried with so many", "capture", "capture", incomplete=drops_many),
    voice(Tuples, "lossy", "packets"),
    voice(JustBytes, "clear", "packets"),
    voice(LowByteFirst, "clear", "clear"),
    voice(CountsBytes, "clear", "clear"),
    voice(TimeOfTheFrame, "clear", "clear"),
    voice(NoLimit, "lossy", "score"),
    voice(CutsInHalf, "lossy", "score"),
    counters(CopiesMakeUp, "counts", "counts", "05.4"),
    counters(PlainNumbers, "counts", "counts", "05.4"),
]  # fmt: skip

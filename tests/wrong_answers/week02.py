"""What people write in week 2."""

from bisect import bisect_left, bisect_right

import numpy as np
from wrong_answers.wrong import Wrong

from labkit.words.seqnum import ahead32

# 02.1 and 02.4 ----------------------------------------------------------------------------------


class Right:
    """A ring that is right, in pieces that can be wrong."""

    def __init__(self, capacity, channels):
        self.data = np.zeros((capacity, channels), np.int16)
        self.capacity = capacity
        self.written = self.taken = 0
        self.underruns = self.missing = self.dropped = 0
        self.flowing = self.starving = False

    def __len__(self):
        return self.written - self.taken

    def figures(self):
        return self.underruns, self.missing, self.dropped

    def room(self, samples):
        return min(len(samples), self.capacity - len(self))

    def write(self, samples):
        stored = self.room(samples)
        self.store(samples[:stored])
        self.written += stored
        self.drop(len(samples) - stored)
        self.flowing |= stored > 0
        return stored

    def store(self, samples):
        start = self.written % self.capacity
        first = min(len(samples), self.capacity - start)
        self.data[start : start + first] = samples[:first]
        self.data[: len(samples) - first] = samples[first:]

    def drop(self, count):
        self.dropped += count

    def there(self, count):
        return min(count, len(self))

    def read(self, count):
        found = self.there(count)
        places = np.arange(self.taken, self.taken + found) % self.capacity
        out = self.silence(count)
        out[:found] = self.data[places]
        self.taken += found
        self.account(count, found)
        return out

    def silence(self, count):
        return np.zeros((count, self.data.shape[1]), np.int16)

    def account(self, count, found):
        if found == count:
            self.starving = False
        elif self.flowing:
            self.gap(found)
            self.starving = True
            self.missing += count - found

    def gap(self, found):
        self.underruns += bool(found) or not self.starving

    def finish(self):
        self.flowing = False


class Floats(Right):
    def read(self, count):
        return super().read(count) / 32768


class OneChannel(Right):
    def read(self, count):
        return super().read(count)[:, 0]


class SaysNothing(Right):
    def write(self, samples):
        super().write(samples)


class Stack(Right):
    """Last in, first out."""

    def read(self, count):
        out = super().read(count)
        return out[::-1].copy()


class Looks(Right):
    """What was read is still there."""

    def read(self, count):
        out, self.taken = super().read(count), 0
        return out


class CountsBoth(Right):
    """Two channels are two samples."""

    def __len__(self):
        return (self.written - self.taken) * self.data.shape[1]

    def room(self, samples):
        return min(len(samples), self.capacity - self.written + self.taken)

    def there(self, count):
        return min(count, self.written - self.taken)


class ListOfFigures(Right):
    def figures(self):
        return [self.underruns, self.missing, self.dropped]


class CallsEachReadAGap(Right):
    def account(self, count, found):
        super().account(count, found)
        self.underruns += 1


class OverTheEnd(Right):
    """A slice that is longer than what is left."""

    def store(self, samples):
        start = self.written % self.capacity
        self.data[start : start + len(samples)] = samples


class LosesTheRest(Right):
    """What goes over the end is cut off."""

    def store(self, samples):
        start = self.written % self.capacity
        self.data[start:] = np.resize(samples, self.data[start:].shape)


class TwoPlaces(Right):
    """Two places instead of two counts: full looks like empty."""

    def __len__(self):
        return (self.written - self.taken) % self.capacity


class OneLeftFree(Right):
    """So that full never looks like empty."""

    def room(self, samples):
        return min(len(samples), self.capacity - 1 - len(self))


class DropsTheOldest(Right):
    def write(self, samples):
        over = max(0, len(self) + len(samples) - self.capacity)
        self.taken += min(over, len(self))
        super().write(samples[-self.capacity :])
        return len(samples)


class KeepsTheNewest(Right):
    """It refuses the first samples of a piece, and not the last."""

    def write(self, samples):
        stored = self.room(samples)
        self.drop(len(samples) - stored)
        return super().write(samples[len(samples) - stored :])


class AllOrNothing(Right):
    def room(self, samples):
        return len(samples) if len(samples) <= self.capacity - len(self) else 0


class Grows(Right):
    """A list has room for everything; what it returns is as it should be."""

    def __init__(self, capacity, channels):
        super().__init__(100_000, channels)
        self.most = capacity

    def write(self, samples):
        stored = min(len(samples), max(0, self.most - len(self)))
        super().write(samples)
        self.dropped += len(samples) - stored
        return stored


class DropsUnseen(Right):
    def drop(self, count):
        pass


class CountsCalls(Right):
    def drop(self, count):
        self.dropped += count > 0


class Short(Right):
    """Fewer samples than were asked for."""

    def read(self, count):
        found = self.there(count)
        return super().read(count)[:found]


class Stale(Right):
    """What is missing is what was played a moment ago."""

    def silence(self, count):
        return np.resize(self.data, (count, self.data.shape[1]))


class NothingIfShort(Right):
    """What is there waits for the rest."""

    def there(self, count):
        return count if count <= len(self) else 0


class TakesWhatIsNotThere(Right):
    def account(self, count, found):
        super().account(count, found)
        self.taken += count - found


class MissesTheWholeRead(Right):
    def account(self, count, found):
        super().account(count, found)
        if found < count and self.flowing:
            self.missing += found


class EachReadIsAGap(Right):
    def gap(self, found):
        self.underruns += 1


class GapsAreSamples(Right):
    def account(self, count, found):
        super().account(count, found)
        self.underruns = self.missing


class OneGapForEver(Right):
    def gap(self, found):
        self.underruns = 1


class CountsBeforeAnySound(Right):
    def __init__(self, capacity, channels):
        super().__init__(capacity, channels)
        self.flowing = True


class CountsAfterTheEnd(Right):
    def finish(self):
        pass


class NeverFlowsAgain(Right):
    """After `finish` all silence is forgiven."""

    over = False

    def finish(self):
        self.over = True

    def account(self, count, found):
        self.flowing &= not self.over
        super().account(count, found)


class HalfAsLoud(Right):
    def read(self, count):
        return super().read(count) // 8


def w21(ring, part, hint, exercise="02.1"):
    return Wrong(exercise, ring.__name__, part, hint, {"MyRing": ring})


# 02.2 -------------------------------------------------------------------------------------------


def short(*, before=bisect_right, waits=True, forgets=True, first=False):
    """A `short_reads` that leaves something out."""

    def short_reads(writes, frame, reads, block, waiting):
        have = waiting if waits else 0
        put = found = 0
        for now in reads:
            come = before(writes, now)
            have += frame * (come - put)
            put = come
            found += have < block
            have -= min(have, block) if forgets else block
            if first and found:
                break
        return found

    return short_reads


def least(*, before=bisect_right, blocks=1, last=False, below=False):
    """A `smallest` that counts differently."""

    def smallest(writes, frame, reads, block):
        needs = [(n + blocks) * block - frame * before(writes, now) for n, now in enumerate(reads)]
        found = needs[-1] if last else max(needs)
        return found if below else max(0, found)

    return smallest


def lateness(writes):
    return [max(0, when - n * 20_000_000) for n, when in enumerate(writes)]


def mean_lateness(writes, frame, reads, block):
    return round(float(np.mean(lateness(writes))) * 48e-6)


def largest_lateness(writes, frame, reads, block):
    return round(max(lateness(writes)) * 48e-6)


def whole_frames(writes, frame, reads, block):
    return -(-least()(writes, frame, reads, block) // frame) * frame


def promised(waiting, capacity):
    """A `promise` of these two formulas."""

    def promise(rate, frame, block, late_ms):
        late = rate * late_ms // 1000
        return waiting(late, frame, block), capacity(late, frame, block)

    return promise


def for_this_beat(rate, frame, block, late_ms):
    """The blocks that end before each frame, if it is late: no more than just those."""
    late = rate * late_ms // 1000
    least = max(-(-(n * frame + late) // block) * block - n * frame for n in range(block))
    return least, least + frame


def nanoseconds(rate, frame, block, late_ms):
    return rate * late_ms + block, rate * late_ms + block + frame


def alone(rate, frame, block, late_ms):
    return rate * late_ms // 1000 + block


def w22(mistake, part, hint, **names):
    return Wrong("02.2", mistake, part, hint, names)


# 02.3 -------------------------------------------------------------------------------------------


def unwrapped(packets):
    first, start = packets[0]
    now = np.array([now - start for _, now in packets]) / 1e9
    return now, np.array([ahead32(stamp, first) for stamp, _ in packets]) / 48_000


def fitted(change=lambda slope: (slope - 1) * 1e6):
    """Least squares over all packets."""

    def drift_ppm(packets):
        now, said = unwrapped(packets)
        return change(float(np.polyfit(now, said, 1)[0]))

    return drift_ppm


def by_the_ends(packets):
    now, said = unwrapped(packets)
    return float(said[-1] / now[-1] - 1) * 1e6


def as_text(packets):
    return f"{by_the_ends(packets):.1f} ppm"


def of_8000(packets):
    return (fitted(lambda slope: slope)(packets) * 6 - 1) * 1e6


def plain_difference(packets):
    """Timestamps as they are."""
    now = np.array([now for _, now in packets], float)
    said = np.array([stamp for stamp, _ in packets], float) / 48_000
    now = (now - now[0]) / 1e9
    keep = least_late(now, said - said[0])
    return (float(np.polyfit(now[keep], said[keep], 1)[0]) - 1) * 1e6


def least_late(now, said):
    """Indices of the least late packet of each second."""
    second = now.astype(int)
    groups = [np.flatnonzero(second == each) for each in np.unique(second)]
    return [group[np.argmax((said - now)[group])] for group in groups]


def counts_turns(packets):
    """Whenever a timestamp is smaller than the one before, a turn is over."""
    turn, before, known = 0, packets[0][0], []
    for stamp, now in packets:
        if stamp < before:
            turn += 1 << 32
        before = stamp
        known.append((stamp + turn, now))
    now = np.array([each - known[0][1] for _, each in known]) / 1e9
    said = np.array([stamp - known[0][0] for stamp, _ in known]) / 48_000
    keep = least_late(now, said)
    return float(np.polyfit(now[keep], (said - now)[keep], 1)[0]) * 1e6


def mean_of_each_second(packets):
    now, said = unwrapped(packets)
    second = now.astype(int)
    x, y = ([each[second == n].mean() for n in np.unique(second)] for each in (now, said - now))
    return float(np.polyfit(x, y, 1)[0]) * 1e6


def latest_of_each_second(packets):
    now, said = unwrapped(packets)
    keep = least_late(now, 2 * now - said)
    return (float(np.polyfit(now[keep], said[keep], 1)[0]) - 1) * 1e6


def from_zero(packets):
    """A line through zero, where the first packet is, however late it was."""
    now, said = unwrapped(packets)
    return float(np.mean((said - now)[1:] / now[1:])) * 1e6


def known_by_heart(packets):
    return 274.0


def w23(mistake, part, hint, drift_ppm):
    return Wrong("02.3", mistake, part, hint, {"drift_ppm": drift_ppm})


WRONG = [
    w21(Floats, "order", "samples"),
    w21(OneChannel, "order", "samples"),
    w21(SaysNothing, "order", "stored"),
    w21(Stack, "order", "order"),
    w21(Looks, "order", "waiting"),
    w21(CountsBoth, "order", "waiting"),
    w21(ListOfFigures, "order", "figures"),
    w21(CallsEachReadAGap, "order", "figures"),
    w21(OverTheEnd, "wraps", "end"),
    w21(LosesTheRest, "wraps", "end"),
    w21(TwoPlaces, "wraps", "both"),
    w21(OneLeftFree, "wraps", "both"),
    w21(DropsTheOldest, "full", "newest"),
    w21(KeepsTheNewest, "full", "newest"),
    w21(AllOrNothing, "full", "partly"),
    w21(Grows, "full", "limit"),
    w21(DropsUnseen, "full", "dropped"),
    w21(CountsCalls, "full", "dropped"),
    w21(Short, "empty", "silence"),
    w21(Stale, "empty", "silence"),
    w21(NothingIfShort, "empty", "partly"),
    w21(TakesWhatIsNotThere, "empty", "taken"),
    w21(MissesTheWholeRead, "empty", "absent"),
    w21(GapsAreSamples, "empty", "gap"),
    w21(EachReadIsAGap, "gaps", "gap"),
    w21(OneGapForEver, "gaps", "gap"),
    w21(NeverFlowsAgain, "gaps", "gap"),
    w21(CountsBeforeAnySound, "gaps", "before"),
    w21(CountsAfterTheEnd, "gaps", "after"),
    w22("a write at the instant of a read is late", "short", "instant",
        short_reads=short(before=bisect_left)),
    w22("sound that comes late is never played", "short", "later",
        short_reads=short(forgets=False)),
    w22("nothing waits before", "short", "waiting", short_reads=short(waits=False)),
    w22("one short read ends it", "short", "walk", short_reads=short(first=True)),
    w22("a write at the instant of a read is too late", "smallest", "instant",
        smallest=least(before=bisect_left)),
    w22("the block of this read is not counted", "smallest", "block", smallest=least(blocks=0)),
    w22("the average lateness", "smallest", "tail",
        smallest=mean_lateness),
    w22("the largest lateness", "smallest", "both", smallest=largest_lateness),
    w22("whole frames", "smallest", "exact", smallest=whole_frames),
    w22("only the last read", "smallest", "worst", smallest=least(last=True)),
    w22("less than nothing", "smallest", "nothing", smallest=least(below=True)),
    w22("no block", "promise", "block",
        promise=promised(lambda late, *_: late, lambda late, frame, _: late + frame)),
    w22("a frame instead of a block", "promise", "block",
        promise=promised(lambda late, frame, _: late + frame,
                         lambda late, frame, _: late + 2 * frame)),
    w22("a ring that holds what waits", "promise", "room",
        promise=promised(lambda late, _, block: late + block, lambda late, _, block: late + block)),
    w22("a thousand times too long", "promise", "milliseconds", promise=nanoseconds),
    w22("enough for just these blocks", "promise", "beat", promise=for_this_beat),
    w22("one of the two", "promise", "pair", promise=alone),
    w23("text", "clean", "number", as_text),
    w23("the clock of the telephone", "clean", "ratio", of_8000),
    w23("who is fast?", "clean", "sign", fitted(lambda slope: (1 / slope - 1) * 1e6)),
    w23("a fraction", "clean", "million", fitted(lambda slope: slope - 1)),
    w23("the slope", "clean", "less", fitted(lambda slope: slope)),
    w23("the slope in millionths", "clean", "less", fitted(lambda slope: slope * 1e6)),
    w23("the first and the last packet", "jitter", "ends", by_the_ends),
    w23("a line through the first packet", "jitter", "ends", from_zero),
    w23("timestamps that never wrap", "around", "circle", plain_difference),
    w23("a turn for each packet that is overtaken", "around", "late", counts_turns),
    w23("all packets", "filled", "least", fitted()),
    w23("the mean of each second", "filled", "least", mean_of_each_second),
    w23("the latest of each second", "filled", "least", latest_of_each_second),
    w23("what the capture has", "capture", "capture", known_by_heart),
    w23("the clock of the telephone", "capture", "capture", of_8000),
    w21(LosesTheRest, "steady", "heard", "02.4"),
    w21(HalfAsLoud, "steady", "heard", "02.4"),
    w21(OneChannel, "steady", "samples", "02.4"),
    w21(Short, "busy", "samples", "02.4"),
    w21(EachReadIsAGap, "busy", "counted", "02.4"),
    w21(Stale, "busy", "heard", "02.4"),
]  # fmt: skip

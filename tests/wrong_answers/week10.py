"""What people write in week 10."""

import struct
from collections import deque

from wrong_answers.wrong import Wrong

from labkit.words.units import ms, seconds

# 10.1: the bounded queue -------------------------------------------------------------------------


class Right:
    """A queue that is right, to be spoilt in one place."""

    def __init__(self, limit, drop):
        self.limit = limit
        self.drop = drop
        self.dropped = 0
        self.items = deque()

    def __len__(self):
        return len(self.items)

    def full(self):
        return len(self.items) >= self.limit

    def put(self, item, now, key_point=False):
        gone = []
        if self.full():
            if self.drop == "newest":
                self.dropped += 1
                return [item]
            count = self.too_old(key_point) if self.drop == "to-key-point" else 1
            gone = [self.items.popleft()[0] for _ in range(count)]
        self.dropped += len(gone)
        self.items.append((item, now, key_point))
        return gone

    def key_places(self):
        return [at for at, (_, _, key) in enumerate(self.items) if key and at > 0]

    def too_old(self, key_point):
        if key_point:
            return len(self.items)
        return self.key_places()[-1] if self.key_places() else 1

    def get(self):
        return self.items.popleft()[0] if self.items else None

    def oldest_age(self, now):
        return now - self.items[0][1] if self.items else 0


class LastInFirstOut(Right):
    def get(self):
        return self.items.pop()[0] if self.items else None


class GivesAList(Right):
    def get(self):
        return [self.items.popleft()[0]] if self.items else None


class RaisesWhenEmpty(Right):
    def get(self):
        return self.items.popleft()[0]


class SaysNothing(Right):
    """A deque with maxlen drops by itself, and tells nobody."""

    def put(self, item, now, key_point=False):
        super().put(item, now, key_point)


class GivesTheItem(Right):
    def put(self, item, now, key_point=False):
        gone = super().put(item, now, key_point)
        return gone[0] if gone else []


class DropsTheOtherEnd(Right):
    def __init__(self, limit, drop):
        super().__init__(limit, {"oldest": "newest", "newest": "oldest"}.get(drop, drop))


class DropsTheLastThatWaits(Right):
    """The newest was taken for the last in the queue, not for the one that comes."""

    def put(self, item, now, key_point=False):
        if not self.full() or self.drop != "newest":
            return super().put(item, now, key_point)
        gone = self.items.pop()[0]
        self.items.append((item, now, key_point))
        self.dropped += 1
        return [gone]


class OneLessThanTheLimit(Right):
    def full(self):
        return len(self.items) >= self.limit - 1


class OneMoreThanTheLimit(Right):
    """Looks after it has put, with the wrong sign."""

    def full(self):
        return len(self.items) > self.limit


class SaysAndDoesNot(Right):
    """Tells what should go, and keeps it."""

    def put(self, item, now, key_point=False):
        if not self.full() or self.drop != "oldest":
            return super().put(item, now, key_point)
        self.items.append((item, now, key_point))
        self.dropped += 1
        return [self.items[0][0]]


class TellsTheWrongOne(Right):
    """It says the oldest goes, and takes another away."""

    def put(self, item, now, key_point=False):
        if not self.full() or self.drop != "oldest":
            return super().put(item, now, key_point)
        gone = self.items[0][0]
        del self.items[1]
        self.items.append((item, now, key_point))
        self.dropped += 1
        return [gone]


class ToTheFirstKeyPoint(Right):
    def too_old(self, key_point):
        if key_point:
            return len(self.items)
        return self.key_places()[0] if self.key_places() else 1


class TheKeyPointToo(Right):
    def too_old(self, key_point):
        if key_point:
            return len(self.items)
        return self.key_places()[-1] + 1 if self.key_places() else 1


class OneAtATime(Right):
    """Drops the oldest, and hopes for the key point to come to the front."""

    def too_old(self, key_point):
        return len(self.items) if key_point else 1


class LooksOnlyAtThoseThatWait(Right):
    def too_old(self, key_point):
        return self.key_places()[-1] if self.key_places() else 1


class AllWithoutAKeyPoint(Right):
    def too_old(self, key_point):
        if key_point or not self.key_places():
            return len(self.items)
        return self.key_places()[-1]


class CountsTimes(Right):
    def put(self, item, now, key_point=False):
        before = self.dropped
        gone = super().put(item, now, key_point)
        self.dropped = before + bool(gone)
        return gone


class CountsWhatComes(Right):
    def put(self, item, now, key_point=False):
        before = self.dropped
        gone = super().put(item, now, key_point)
        self.dropped = before + 1
        return gone


class AgeOfTheNewest(Right):
    def oldest_age(self, now):
        return now - self.items[-1][1] if self.items else 0


class AgeInMilliseconds(Right):
    def oldest_age(self, now):
        return super().oldest_age(now) / 1e6


class WhenTheOldestCame(Right):
    def oldest_age(self, now):
        return self.items[0][1] if self.items else 0


class NoAgeWhenEmpty(Right):
    def oldest_age(self, now):
        return now - self.items[0][1] if self.items else None


def queue(kind, part, hint):
    return Wrong("10.1", kind.__name__, part, hint, {"BoundedQueue": kind})


# 10.2: additive increase, multiplicative decrease ------------------------------------------------


class Aimd:
    """One that is right, to be spoilt in one place."""

    first = 32_000
    little = 0.02
    settles = seconds(1)

    def __init__(self):
        self.bitrate = self.first
        self.last = self.decreased = None

    def on_report(self, loss, now):
        passed = 0 if self.last is None else now - self.last
        self.last = now
        if self.settling(now):
            return
        if loss > self.little:
            self.bitrate = self.down(loss)
            self.decreased = now
        else:
            self.bitrate = self.up(passed / seconds(1))
        self.bitrate = self.bounded()

    def settling(self, now):
        return self.decreased is not None and now - self.decreased < self.settles

    def up(self, passed):
        return self.bitrate + 2000 * passed

    def down(self, loss):
        return self.bitrate * 0.8

    def bounded(self):
        return min(max(self.bitrate, 16_000), 64_000)


class StartsAtTheTop(Aimd):
    first = 64_000


class FirstReportAdds(Aimd):
    """Time is counted from zero, which was long ago."""

    def __init__(self):
        super().__init__()
        self.last = 0


class SoMuchEachReport(Aimd):
    def up(self, passed):
        return self.bitrate + (2000 if passed else 0)


class MultiplicativeIncrease(Aimd):
    def up(self, passed):
        return self.bitrate * 1.0625**passed


class NeverUp(Aimd):
    def up(self, passed):
        return self.bitrate


class AnyLossCounts(Aimd):
    little = 0.0


class AdditiveDecrease(Aimd):
    def down(self, loss):
        return self.bitrate - 2000


class KeepsAFifth(Aimd):
    def down(self, loss):
        return self.bitrate * 0.2


class ByHowMuchWasLost(Aimd):
    def down(self, loss):
        return self.bitrate * (1 - loss)


class DownAndUp(Aimd):
    def down(self, loss):
        return self.bitrate * 0.8 + 2000


class Halves(Aimd):
    def down(self, loss):
        return self.bitrate / 2


class NoBounds(Aimd):
    def bounded(self):
        return self.bitrate


class StopsBelowTheTop(Aimd):
    def bounded(self):
        return min(max(self.bitrate, 20_000), 60_000)


class DecreasesAgain(Aimd):
    def settling(self, now):
        return False


class ClimbsAtOnce(Aimd):
    """Only decreases wait; an increase does not."""

    def on_report(self, loss, now):
        passed = 0 if self.last is None else now - self.last
        self.last = now
        if loss <= self.little:
            self.bitrate = self.up(passed / seconds(1))
        elif not self.settling(now):
            self.bitrate = self.down(loss)
            self.decreased = now
        self.bitrate = self.bounded()


class CountsTheSettling(Aimd):
    """Reports that change nothing are not noted at all, so their time is added afterwards."""

    def on_report(self, loss, now):
        if not self.settling(now):
            super().on_report(loss, now)


class SettlesForTwo(Aimd):
    settles = ms(1500)


class WaitsForEver(Aimd):
    """A flag that is never taken back by a second overload."""

    def down(self, loss):
        if self.decreased is not None:
            return self.bitrate
        return self.bitrate * 0.8


class SaysWords(Aimd):
    def bounded(self):
        return f"{super().bounded():.0f} bit/s"


class BothMultiply(Aimd):
    """Who has twice as much keeps twice as much, for ever."""

    def up(self, passed):
        return self.bitrate * 1.04**passed


class NeverBack(Aimd):
    def down(self, loss):
        return 16_000

    def up(self, passed):
        return self.bitrate + 300 * passed


class TooFast(Aimd):
    def up(self, passed):
        return self.bitrate + 20_000 * passed


def aimd(kind, part, hint):
    return Wrong("10.2", f"{kind.__name__} {part}", part, hint, {"MyAimd": kind})


# 10.3: what multicast saves ----------------------------------------------------------------------


def rate(count=lambda listeners, multicast: 1 if multicast else listeners, headers=40 * 8 * 50):
    return lambda listeners, bitrate, multicast: count(listeners, multicast) * (bitrate + headers)


def one_header(listeners, bitrate, multicast):
    return (1 if multicast else listeners) * bitrate + 40 * 8 * 50


def thousand_packets(listeners, bitrate, multicast):
    return (1 if multicast else listeners) * (bitrate + 40 * 8 * 20)


def counter(
    *,
    rtcp=False,
    options=False,
    protocol=False,
    groups=lambda first: 224 <= first <= 239,
    ssrc=True,
    average=lambda s: len(s) / len(set(s)) if s else 0.0,
    result=tuple,
):
    """`copies`, right but for what is said."""

    def copies(packets):
        sounds = {False: [], True: []}
        for packet in packets:
            size = 20 if options else 4 * (packet[0] & 15)
            datagram = packet[size:]
            if not protocol and packet[9] != 17:
                continue
            if len(datagram) < 20:
                continue
            if protocol or datagram[8] >> 6 == 2:
                if not rtcp and 192 <= datagram[9] <= 223:
                    continue
                timestamp, source = struct.unpack("!II", datagram[12:20])
                sounds[groups(packet[16])].append((source if ssrc else 0, timestamp))
        return result(average(s) for s in sounds.values())

    return copies


def or_none(sounds):
    return len(sounds) / len(set(sounds)) if sounds else None


def with_rtcp(packets):
    """Everything that is UDP and long enough is voice."""
    sounds = {False: [], True: []}
    for packet in packets:
        datagram = packet[4 * (packet[0] & 15) :]
        if packet[9] == 17:
            sounds[224 <= packet[16] <= 239].append(datagram[12:20])
    return tuple(len(s) / len(set(s)) if s else 0.0 for s in sounds.values())


def by_port(packets):
    """Ports were taken from the made-up packets."""
    right = counter()
    chosen = [p for p in packets if p[9] != 17 or p[4 * (p[0] & 15) + 2 :][:2] == b"\x13\x8c"]
    return right(chosen)


def multicast(mistake, part, hint, **names):
    return Wrong("10.3", mistake, part, hint, names)


# 10.4: a controller that hears the queue ---------------------------------------------------------


class Hears:
    """One that is right, to be spoilt in one place."""

    start = 32_000
    many = 3
    settles = seconds(2)
    high, low = ms(80), ms(40)
    kept, more = 0.7, 2000

    def __init__(self):
        self.bitrate = self.start
        self.shortest = None
        self.waits = deque(maxlen=self.many)
        self.last = self.decreased = None

    def on_report(self, loss, round_trip, now):
        passed = 0 if self.last is None else now - self.last
        self.last = now
        if round_trip is not None:
            self.shortest = min(round_trip, self.shortest or round_trip)
            self.waits.append(self.waited(round_trip))
        if self.decreased is not None and now - self.decreased < self.settles:
            return
        self.decide(loss, min(self.waits, default=0), passed, now)
        self.bitrate = min(max(self.bitrate, 16_000), 64_000)

    def waited(self, round_trip):
        return round_trip - self.shortest

    def decide(self, loss, waiting, passed, now):
        if loss > 0.1 or waiting > self.high:
            self.bitrate *= self.kept
            self.decreased = now
            self.waits.clear()
        elif waiting < self.low:
            self.bitrate += self.more * passed / seconds(1)


class HearsOnlyLoss(Hears):
    def waited(self, round_trip):
        return 0


class TheWholeRoundTrip(Hears):
    """What the distance costs is taken for waiting."""

    def waited(self, round_trip):
        return round_trip


class OneReportIsEnough(Hears):
    many = 1
    high, low = ms(15), ms(8)


class ToTheBottom(Hears):
    kept, more = 0.2, 100


class NeverUpAgain(Hears):
    more = 0


class TooPatient(Hears):
    high, low = ms(900), ms(900)


class Unbounded(Hears):
    def on_report(self, loss, round_trip, now):
        super().on_report(loss, round_trip, now)
        if self.bitrate == 64_000:
            self.bitrate = 70_000


class ThousandBits(Hears):
    start = 32


class NoNumber(Hears):
    start = None


def hears(kind, part, hint):
    return Wrong("10.4", f"{kind.__name__} {part}", part, hint, {"MyController": kind})


# -------------------------------------------------------------------------------------------------

WRONG = [
    queue(LastInFirstOut, "orders", "order"),
    queue(GivesAList, "orders", "order"),
    queue(RaisesWhenEmpty, "orders", "error"),
    queue(SaysNothing, "orders", "tell"),
    queue(GivesTheItem, "oldest", "tell"),
    queue(DropsTheOtherEnd, "oldest", "side"),
    queue(OneLessThanTheLimit, "oldest", "room"),
    queue(SaysAndDoesNot, "oldest", "bound"),
    queue(TellsTheWrongOne, "oldest", "left"),
    queue(OneMoreThanTheLimit, "oldest", "tell"),
    queue(DropsTheLastThatWaits, "newest", "newest"),
    queue(DropsTheOtherEnd, "newest", "side")._replace(mistake="DropsTheOtherEnd newest"),
    queue(ToTheFirstKeyPoint, "key-points", "which"),
    queue(TheKeyPointToo, "key-points", "itself"),
    queue(OneAtATime, "key-points", "all-before"),
    queue(LooksOnlyAtThoseThatWait, "key-points", "comes"),
    queue(AllWithoutAKeyPoint, "key-points", "none-waits"),
    queue(CountsTimes, "telemetry", "count"),
    queue(CountsWhatComes, "telemetry", "count"),
    queue(AgeOfTheNewest, "telemetry", "whose"),
    queue(AgeInMilliseconds, "telemetry", "unit"),
    queue(WhenTheOldestCame, "telemetry", "age"),
    queue(NoAgeWhenEmpty, "telemetry", "empty"),
    aimd(StartsAtTheTop, "adds", "first"),
    aimd(FirstReportAdds, "adds", "first"),
    aimd(SoMuchEachReport, "adds", "second"),
    aimd(MultiplicativeIncrease, "adds", "adds"),
    aimd(NeverUp, "adds", "adds"),
    aimd(AnyLossCounts, "adds", "little"),
    aimd(AdditiveDecrease, "takes", "share"),
    aimd(KeepsAFifth, "takes", "kept"),
    aimd(ByHowMuchWasLost, "takes", "how-much"),
    aimd(DownAndUp, "takes", "both"),
    aimd(Halves, "takes", "takes"),
    aimd(NoBounds, "bounds", "bounds"),
    aimd(SaysWords, "bounds", "number"),
    aimd(StopsBelowTheTop, "bounds", "stuck"),
    aimd(DecreasesAgain, "once", "once"),
    aimd(ClimbsAtOnce, "once", "settles"),
    aimd(CountsTheSettling, "once", "since"),
    aimd(SettlesForTwo, "once", "since"),
    aimd(WaitsForEver, "once", "again"),
    aimd(BothMultiply, "fair", "fair"),
    aimd(AdditiveDecrease, "fair", "fair"),
    aimd(NeverBack, "fair", "uses"),
    aimd(TooFast, "fair", "loses"),
    multicast("copies by the network", "rate", "which", line_rate=rate(lambda n, m: n if m else 1)),
    multicast("no headers", "rate", "headers", line_rate=rate(headers=0)),
    multicast("one header for all", "rate", "headers", line_rate=one_header),
    multicast("headers in bytes", "rate", "bits", line_rate=rate(headers=40 * 50)),
    multicast("without RTP", "rate", "rtp", line_rate=rate(headers=28 * 8 * 50)),
    multicast("20 packets a second", "rate", "rate", line_rate=thousand_packets),
    multicast("one number", "voices", "pair", copies=counter(result=lambda v: next(iter(v)))),
    multicast("groups first", "voices", "swapped", copies=counter(result=lambda v: tuple(v)[::-1])),
    multicast("packets", "voices", "average", copies=counter(average=lambda s: float(len(s)))),
    multicast("all of 239", "voices", "groups", copies=counter(groups=lambda first: first == 239)),
    multicast("None for nothing", "voices", "nothing", copies=counter(average=or_none)),
    multicast("RTCP counts", "others", "rtcp", copies=counter(rtcp=True)),
    multicast("20 bytes of header", "others", "options", copies=counter(options=True)),
    multicast("any protocol", "others", "protocol", copies=counter(protocol=True)),
    multicast("timestamps alone", "others", "speaker", copies=counter(ssrc=False)),
    multicast("RTCP in the capture", "capture", "capture", copies=with_rtcp),
    multicast("known ports", "capture", "capture", copies=by_port),
    hears(HearsOnlyLoss, "waits", "waits"),
    hears(TooPatient, "waits", "waits"),
    hears(ToTheBottom, "waits", "uses"),
    hears(ThousandBits, "waits", "bounds"),
    hears(NoNumber, "waits", "number"),
    hears(TheWholeRoundTrip, "wide", "long"),
    hears(Unbounded, "wide", "bounds"),
    hears(OneReportIsEnough, "shaky", "shakes"),
    hears(NeverUpAgain, "widens", "climbs"),
]  # fmt: skip

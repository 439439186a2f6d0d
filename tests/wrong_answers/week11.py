"""What people write in week 11."""

from collections import Counter, deque
from itertools import pairwise

from wrong_answers.wrong import Wrong

from labkit.words.units import ms, to_ms

# 11.1: the mark ----------------------------------------------------------------------------------


def right_name(dscp):
    if dscp == 46:
        return "EF"
    x, y = dscp >> 3, dscp & 7
    if y == 0:
        return f"CS{x}"
    return f"AF{x}{y // 2}" if 1 <= x <= 4 and y in (2, 4, 6) else str(dscp)


def drop_first(dscp):
    name = right_name(dscp)
    return f"AF{name[3]}{name[2]}" if name.startswith("AF") else name


def any_class(dscp):
    """Whatever is no class selector is taken for an AF."""
    x, y = dscp >> 3, dscp & 7
    return "EF" if dscp == 46 else f"AF{x}{y // 2}" if y else f"CS{x}"


def three_bits(dscp):
    """As routers did before there was a DSCP."""
    return "EF" if dscp == 46 else f"CS{dscp >> 3}"


def numbers_stay(dscp):
    name = right_name(dscp)
    return int(name) if name.isdecimal() else name


def best_effort(dscp):
    return "BE" if dscp == 0 else right_name(dscp)


def unknown(dscp):
    name = right_name(dscp)
    return "unknown" if name.isdecimal() else name


def counter(*, byte=lambda p: p[1], upper=lambda tos: tos >> 2, worth=lambda p: 1):
    def marks(packets):
        counted = Counter()
        for packet in packets:
            six = packet[0] >> 4 == 6
            tos = (packet[0] & 15) << 4 | packet[1] >> 4 if six else byte(packet)
            counted[right_name(upper(tos))] += worth(packet)
        return dict(counted)

    return marks


def second_byte(packets):
    return dict(Counter(right_name(packet[1] >> 2) for packet in packets))


def with_zeros(packets):
    return {right_name(dscp): 0 for dscp in range(64)} | counter()(packets)


def only_udp(packets):
    """Made-up packets were all UDP."""
    return counter()([p for p in packets if p[0] >> 4 == 6 or p[9] == 17])


def by_length(packets):
    """Whatever is cut off does not count: a capture keeps only the beginning."""
    whole = [p for p in packets if p[0] >> 4 == 6 or int.from_bytes(p[2:4]) == len(p)]
    return counter()(whole)


def pairs(packets):
    return sorted(counter()(packets).items())


def mark(mistake, part, hint, **names):
    return Wrong("11.1", mistake, part, hint, names)


# 11.2: percentiles -------------------------------------------------------------------------------


def tallying(*, at=lambda v, edges: sum(v >= e for e in edges) - 1, lose=False, more=0):
    def tally(values, edges):
        counts = [0] * (len(edges) - 1 + more)
        for value in values:
            place = at(value, edges)
            if lose and not 0 <= place < len(counts):
                continue
            counts[min(max(place, 0), len(counts) - 1 - more)] += 1
        return counts

    return tally


def point(
    *,
    within=lambda low, high, share: low + (high - low) * share,
    of=lambda percent: percent,
    nothing=None,
    skip=True,
    above=False,
    total=sum,
    rounded=lambda rank: rank,
):
    """`percentile`, right but for what is said."""

    def percentile(edges, counts, percent):
        rank, below = rounded(total(counts) * of(percent) / 100), 0
        for i, count in enumerate(counts):
            if (count or not skip) and below + count >= rank:
                share = (rank - (0 if above else below)) / count if count else 0
                return within(edges[i], edges[i + 1], share)
            below += count
        return nothing

    return percentile


def never_empty(edges, counts, percent):
    return point()(edges, counts, percent) if sum(counts) else 0


def divides(edges, counts, percent):
    return edges[0] + 0 / sum(counts) if not sum(counts) else point()(edges, counts, percent)


def pedantic(edges, counts, percent):
    """Empty buckets are not passed over."""
    return point(skip=False)(edges, counts, percent) if sum(counts) else None


def of_two(edges, counts, percent):
    """One value was taken for none."""
    return point()(edges, counts, percent) if sum(counts) > 1 else None


def whole_ranks(edges, counts, percent):
    """The nearest rank, from 1: right for lists, not for what lies evenly."""
    return point(rounded=lambda rank: max(-(-rank // 1), 1))(edges, counts, percent)


EDGES = list(range(0, 1001, 5))


def three_of(delays):
    counts = tallying()(delays, EDGES)
    return tuple(point()(EDGES, counts, p) for p in (50, 95, 99)) if delays else None


def of_the_list(delays):
    ordered = sorted(delays)
    count = len(ordered)
    return tuple(ordered[min(count * p // 100, count - 1)] for p in (50, 95, 99)) if count else None


def coarse(delays):
    edges = list(range(0, 1001, 50))
    counts = tallying()(delays, edges)
    return tuple(point()(edges, counts, p) for p in (50, 95, 99)) if delays else None


def one_number(delays):
    return three_of(delays)[2] if delays else None


def nones(delays):
    return three_of(delays) or (None, None, None)


def percentiles(mistake, part, hint, **names):
    return Wrong("11.2", mistake, part, hint, names)


# 11.3: strict priority ---------------------------------------------------------------------------


class Right:
    """One that is right, to be spoilt in one place."""

    def __init__(self, classes, limit):
        self.classes, self.limit = classes, limit
        self.queues = [deque() for _ in range(len(classes) + 1)]
        self.dropped = 0

    def __len__(self):
        return sum(map(len, self.queues))

    def rank(self, dscp):
        ranks = [rank for rank, marks in enumerate(self.classes) if dscp in marks]
        return ranks[0] if ranks else -1

    def full(self, queue):
        return len(queue) >= self.limit

    def push(self, packet, dscp, now):
        queue = self.queues[self.rank(dscp)]
        if self.full(queue):
            self.dropped += 1
            return False
        queue.append((packet, now))
        return True

    def order(self):
        return self.queues

    def pop(self):
        queue = next((queue for queue in self.order() if queue), None)
        return queue.popleft()[0] if queue else None

    def waits(self, now):
        return [now - queue[0][1] if queue else 0 for queue in self.queues]


class LastInFirstOut(Right):
    def pop(self):
        queue = next((queue for queue in self.order() if queue), None)
        return queue.pop()[0] if queue else None


class KeepsWhatGoes(Right):
    def pop(self):
        queue = next((queue for queue in self.order() if queue), None)
        return queue[0][0] if queue else None


class RaisesWhenEmpty(Right):
    def pop(self):
        return next(queue for queue in self.order() if queue).popleft()[0]


class GivesThePair(Right):
    def pop(self):
        queue = next((queue for queue in self.order() if queue), None)
        return queue.popleft() if queue else None


class LowestFirst(Right):
    """The list was taken from the end."""

    def order(self):
        return list(reversed(self.queues[:-1])) + self.queues[-1:]


class OthersFirst(Right):
    def order(self):
        return self.queues[-1:] + self.queues[:-1]


class UnmarkedAreFirst(Right):
    def rank(self, dscp):
        return max(super().rank(dscp), 0) if dscp == 0 else super().rank(dscp)


class OneQueue(Right):
    """First come, first served."""

    def rank(self, dscp):
        return -1


class HighestOnly(Right):
    """The highest class empty: nothing goes."""

    def order(self):
        return self.queues[:1]


class FirstMarkOnly(Right):
    def rank(self, dscp):
        ranks = [rank for rank, marks in enumerate(self.classes) if dscp == marks[0]]
        return ranks[0] if ranks else -1


class SaysNothing(Right):
    def push(self, packet, dscp, now):
        super().push(packet, dscp, now)


class NoLimit(Right):
    def full(self, queue):
        return False


class OneTooMany(Right):
    def full(self, queue):
        return len(queue) > self.limit


class SharedLimit(Right):
    def full(self, queue):
        return len(self) >= self.limit


class DropsTheOldest(Right):
    """A deque with maxlen: what waits longest goes, and nobody is told."""

    def push(self, packet, dscp, now):
        queue = self.queues[self.rank(dscp)]
        if len(queue) >= self.limit:
            queue.popleft()
            self.dropped += 1
        queue.append((packet, now))
        return True


class SaysFalseAndTakesIt(Right):
    def push(self, packet, dscp, now):
        taken = super().push(packet, dscp, now)
        if not taken:
            self.queues[self.rank(dscp)].append((packet, now))
        return taken


class CountsNothing(Right):
    def push(self, packet, dscp, now):
        taken = super().push(packet, dscp, now)
        self.dropped = 0
        return taken


class LengthOfTheLongest(Right):
    def __len__(self):
        return max(map(len, self.queues))


class WaitOfTheNewest(Right):
    def waits(self, now):
        return [now - queue[-1][1] if queue else 0 for queue in self.queues]


class WaitsInMilliseconds(Right):
    def waits(self, now):
        return [wait / ms(1) for wait in super().waits(now)]


class WhenTheyCame(Right):
    def waits(self, now):
        return [queue[0][1] if queue else 0 for queue in self.queues]


class SinceTheLastPop(Right):
    """A class has waited since it was served last."""

    def __init__(self, classes, limit):
        super().__init__(classes, limit)
        self.served = {}

    def push(self, packet, dscp, now):
        self.served.setdefault(self.rank(dscp) % len(self.queues), now)
        return super().push(packet, dscp, now)

    def waits(self, now):
        begun = [self.served.get(rank, now) for rank in range(len(self.queues))]
        return [now - then if q else 0 for then, q in zip(begun, self.queues, strict=True)]


class NoneForNobody(Right):
    def waits(self, now):
        return [now - queue[0][1] if queue else None for queue in self.queues]


class WithoutTheOthers(Right):
    def waits(self, now):
        return super().waits(now)[:-1]


def priority(kind, part, hint):
    return Wrong("11.3", f"{kind.__name__} {part}", part, hint, {"MyPriority": kind})


# 11.4: the latency budget ------------------------------------------------------------------------

ORDER = ("spoken", "complete", "encoded", "left", "arrived", "played")
PARTS = ("framing", "encoder", "send queue", "network", "jitter buffer")


def packets_of(trace, *, last=False):
    packets = {}
    for now, what, seq in trace:
        times = packets.setdefault(seq, {})
        times[what] = now if last else times.get(what, now)
    return packets.values()


def adding(
    *,
    fold=lambda values: sum(values) / len(values),
    unit=1e6,
    parts=PARTS,
    last=False,
    pick=lambda times: "played" in times,
    nothing=dict,
    order=ORDER,
):
    """`budget`, right but for what is said."""

    def budget(trace):
        packets = [times for times in packets_of(trace, last=last) if pick(times)]
        if not any("played" in times for times in packets):
            return nothing()
        return {
            part: fold([(t[b] - t[a]) / unit for t in packets if a in t and b in t])
            for part, a, b in zip(parts, order, order[1:], strict=False)
        }

    return budget


def tailing(start="spoken", at=lambda n, percent: -(-n * percent // 100) - 1):
    def tail(trace, percent):
        whole = [times for times in packets_of(trace) if "played" in times]
        delays = sorted(to_ms(times["played"] - times[start]) for times in whole)
        return delays[at(len(delays), percent)]

    return tail


def network_tail(trace, percent):
    whole = [times for times in packets_of(trace) if "played" in times]
    delays = sorted(to_ms(times["arrived"] - times["left"]) for times in whole)
    return delays[-(-len(delays) * percent // 100) - 1]


def sum_of_tails(trace, percent):
    whole = [times for times in packets_of(trace) if "played" in times]
    at = -(-len(whole) * percent // 100) - 1
    columns = ([to_ms(t[b] - t[a]) for t in whole] for a, b in pairwise(ORDER))
    return sum(sorted(column)[at] for column in columns)


class ByArrival(Right):
    """A queue for each class, and yet first come, first served."""

    def order(self):
        return sorted((queue for queue in self.queues if queue), key=lambda queue: queue[0][1])


class BulkWaitsForEver(Right):
    def order(self):
        return self.queues[:-1]


def budgets(mistake, part, hint, **names):
    return Wrong("11.4", mistake, part, hint, names)


def before_a_line(kind, hint):
    return budgets(f"{kind.__name__} before a line", "line", hint, MyPriority=kind)


# -------------------------------------------------------------------------------------------------

WRONG = [
    mark("not shifted", "byte", "shift", tos=lambda dscp, ecn: dscp | ecn),
    mark("the DSCP is the byte", "byte", "shift", tos=lambda dscp, ecn: dscp),
    mark("ECN above", "byte", "side", tos=lambda dscp, ecn: ecn << 6 | dscp),
    mark("no ECN", "byte", "ecn", tos=lambda dscp, ecn: dscp << 2),
    mark("as bytes", "byte", "byte", tos=lambda dscp, ecn: bytes([dscp << 2 | ecn])),
    mark("AFyx", "names", "order", mark_name=drop_first),
    mark("AF of any class", "names", "classes", mark_name=any_class),
    mark("precedence", "names", "selectors", mark_name=three_bits),
    mark("numbers stay numbers", "names", "text", mark_name=numbers_stay),
    mark("best effort has a name of its own", "names", "name", mark_name=best_effort),
    mark("unknown", "names", "others", mark_name=unknown),
    mark("the lower six bits", "packets", "upper", marks=counter(upper=lambda tos: tos & 63)),
    mark("bytes", "packets", "packets", marks=counter(worth=len)),
    mark("all 64 names", "packets", "packets", marks=with_zeros),
    mark("pairs", "packets", "table", marks=pairs),
    mark("the second byte of IPv6", "both", "six", marks=second_byte),
    mark("only UDP", "capture", "capture", marks=only_udp),
    mark("only whole packets", "capture", "capture", marks=by_length),
    percentiles("rounded", "tally", "bucket", tally=tallying(at=lambda v, e: 0)),
    percentiles(
        "an edge ends a bucket", "tally", "edge",
        tally=tallying(at=lambda v, edges: sum(v > e for e in edges) - 1),
    ),
    percentiles("outside is lost", "tally", "outside", tally=tallying(lose=True)),
    percentiles("a bucket for each edge", "tally", "how-many", tally=tallying(more=1)),
    percentiles("lower edge", "percentile", "inside", percentile=point(within=lambda a, b, s: a)),
    percentiles("upper edge", "percentile", "inside", percentile=point(within=lambda a, b, s: b)),
    percentiles(
        "from above", "percentile", "direction",
        percentile=point(within=lambda a, b, s: b - (b - a) * s),
    ),
    percentiles("all that are below", "percentile", "below", percentile=point(above=True)),
    percentiles("a share", "percentile", "percent", percentile=point(of=lambda p: p / 100)),
    percentiles("above", "percentile", "side", percentile=point(of=lambda p: 100 - p)),
    percentiles("of the buckets", "percentile", "rank", percentile=point(total=len)),
    percentiles("0 of nothing", "few", "empty", percentile=never_empty),
    percentiles("divides by nothing", "few", "error", percentile=divides),
    percentiles("whole ranks", "few", "inside", percentile=whole_ranks),
    percentiles("one is too few", "few", "one", percentile=of_two),
    percentiles("empty buckets count", "few", "ends", percentile=pedantic),
    percentiles("of the list", "tails", "buckets", tails=of_the_list),
    percentiles("coarse", "tails", "buckets", tails=coarse),
    percentiles("one number", "tails", "three", tails=one_number),
    percentiles("three times nothing", "tails", "nothing", tails=nones),
    priority(LastInFirstOut, "fifo", "fifo"),
    priority(KeepsWhatGoes, "fifo", "length"),
    priority(RaisesWhenEmpty, "fifo", "error"),
    priority(GivesThePair, "fifo", "gone"),
    priority(SaysNothing, "fifo", "says"),
    priority(LowestFirst, "first", "highest"),
    priority(OthersFirst, "first", "others"),
    priority(OneQueue, "first", "others"),
    priority(HighestOnly, "first", "highest"),
    priority(FirstMarkOnly, "first", "highest"),
    priority(UnmarkedAreFirst, "first", "others"),
    priority(NoLimit, "bounded", "full"),
    priority(OneTooMany, "bounded", "full"),
    priority(DropsTheOldest, "bounded", "full"),
    priority(SharedLimit, "bounded", "shared"),
    priority(SaysFalseAndTakesIt, "bounded", "length"),
    priority(CountsNothing, "bounded", "dropped"),
    priority(LengthOfTheLongest, "bounded", "length"),
    priority(WaitOfTheNewest, "starves", "whose"),
    priority(WaitsInMilliseconds, "starves", "unit"),
    priority(WhenTheyCame, "starves", "since"),
    priority(SinceTheLastPop, "starves", "since"),
    priority(NoneForNobody, "starves", "nobody"),
    priority(WithoutTheOthers, "starves", "classes"),
    priority(SharedLimit, "anything", "shared"),
    budgets("as a list", "adds", "table", budget=lambda trace: list(adding()(trace).items())),
    budgets("other names", "adds", "table", budget=adding(parts=ORDER[1:])),
    budgets("nanoseconds", "adds", "unit", budget=adding(unit=1)),
    budgets("sums", "adds", "mean", budget=adding(fold=sum)),
    budgets("since it was spoken", "adds", "parts", budget=adding(order=("spoken", *ORDER))),
    budgets("late ones too", "fates", "fate", budget=adding(pick=lambda times: True)),
    budgets("the last arrival", "fates", "fate", budget=adding(last=True)),
    budgets("None of nothing", "fates", "nothing", budget=adding(nothing=lambda: None)),
    budgets("the largest number", "largest", "which", largest=lambda p: max(p.values())),
    budgets("the last name", "largest", "which", largest=max),
    budgets("sum of tails", "largest", "tails", tail=sum_of_tails),
    budgets("the network's tail", "largest", "ear", tail=network_tail),
    budgets("the maximum", "largest", "share", tail=tailing(at=lambda n, percent: -1)),
    budgets("one side", "largest", "share", tail=tailing(at=lambda n, p: n * (100 - p) // 100)),
    before_a_line(SaysNothing, "says"),
    before_a_line(KeepsWhatGoes, "gone"),
    before_a_line(ByArrival, "late"),
    before_a_line(OthersFirst, "lost"),
    before_a_line(OneQueue, "lost"),
    before_a_line(BulkWaitsForEver, "idle"),
]  # fmt: skip

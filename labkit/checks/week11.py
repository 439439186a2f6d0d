"""Week 11: the mark, percentiles from a histogram, strict priority, and the latency budget.

Marks are held against three sentences of the RFCs (`labkit.checks.marking`), percentiles against
the definition that the text gives (`labkit.checks.percentiles`), the scheduler against the plain
lists of `labkit.checks.priorities`. The budget is a sum, and at last the student's scheduler stands
before the kit's line (`labkit.checks.budgets`).
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from labkit.checks import budgets, marking, percentiles
from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part
from labkit.checks.priorities import SCHEDULER, Run, Step
from labkit.words.units import ms

# 11.3: strict priority --------------------------------------------------------------------------

CLASSES: Final = ([[46, 44], [34, 36, 38]], [[46], [40]], [[48], [46], [34, 26]])


def _pushes(rng: Random, dscps: Sequence[int]) -> list[Step]:
    return [("push", ms(rng.randrange(1, 30)), dscp) for dscp in dscps]


def _pops(count: int) -> list[Step]:
    return [("pop", ms(3), 0)] * count


def _fifo(bench: Bench) -> None:
    script = _pushes(bench.rng, [46] * 4) + _pops(2) + _pushes(bench.rng, [46] * 2) + _pops(5)
    Run(bench, [[46]], 9, script).play()


def _first(bench: Bench) -> None:
    for classes in CLASSES:
        marks = [marks[0] for marks in classes]
        mixed = [0, *reversed(marks), 0, *marks, *(each[-1] for each in classes), 1]
        script = _pushes(bench.rng, mixed) + _pops(3) + _pushes(bench.rng, marks[:1])
        Run(bench, classes, 9, script + _pops(len(mixed))).play()


def _bounded(bench: Bench) -> None:
    limit = bench.rng.randrange(3, 6)
    voice, bulk = _pushes(bench.rng, [46] * (limit + 2)), _pushes(bench.rng, [0] * (limit + 3))
    script = bulk + _pushes(bench.rng, [46]) + _pops(2) + voice + _pops(2 * limit)
    Run(bench, [[46]], limit, script).play()


def _starves(bench: Bench) -> None:
    """The voice never pauses; the others wait, and it shows."""
    rng = bench.rng
    script = _pushes(rng, [0, 34, 34, 0])
    for _ in range(rng.randrange(8, 12)):
        script += [*_pushes(rng, [46]), *_pops(1)]
    Run(bench, [[46], [34]], 9, script + _pops(5)).play(waits=True)


def _anything(bench: Bench) -> None:
    for classes in CLASSES:
        marks = [*(mark for each in classes for mark in each), 0, 0, 8]
        script = [
            (bench.rng.choice(("push", "push", "pop")), ms(1), bench.rng.choice(marks))
            for _ in range(80)
        ]
        Run(bench, classes, bench.rng.randrange(3, 7), script).play(waits=True)


# ------------------------------------------------------------------------------------------------

EXERCISES: Final = (
    Exercise(
        "11.1",
        "The mark",
        ("tos", "mark_name", "marks"),
        (
            Part("byte", "The byte, of DSCP and ECN", 1, marking.byte),
            Part("names", "The names of all 64", 1, marking.names),
            Part("packets", "Counted in packets of IPv4", 1, marking.packets),
            Part("both", "Counted in IPv4 and IPv6", 1, marking.both),
            Part("capture", "The same, of a capture", 1, marking.capture),
        ),
        {
            "byte": "Six bits and two bits make a byte. Write it in binary.",
            "shift": "How many bits stand behind the DSCP? So far it must be moved.",
            "side": "The DSCP is the upper six bits, ECN the lower two.",
            "ecn": "Where have the two bits of ECN gone?",
            "name": "EF is one code point. Class selectors end in three zeros; the rest are AF.",
            "order": "AFxy: x is the class, in the upper three bits; y says who is dropped first.",
            "classes": "Classes are 1 to 4 and drop precedences 1 to 3. Is this one of the twelve?",
            "selectors": "A class selector has three zeros behind its three bits.",
            "text": 'Text in every case, a number too: "1".',
            "others": "A code point that has no such name is called by its number, as text.",
            "table": "A dictionary: the key is the name as text, the value how many.",
            "packets": "One for each packet, by its second byte. What never comes is no key.",
            "upper": "Of that byte the upper six bits count, whatever ECN says in the others.",
            "six": "The first four bits are the version. In IPv6, where are the next eight?",
            "capture": "On made-up packets it is right. What does it take for granted of packets?",
        },
        ("labkit.words.dscp", "labkit.lab.answers", "labkit.lab.dissection"),
    ),
    Exercise(
        "11.2",
        "Percentiles from a histogram",
        ("tally", "percentile", "tails"),
        (
            Part("tally", "Into buckets", 1, percentiles.tally),
            Part("percentile", "The point below which so many lie", 1, percentiles.percentile),
            Part("few", "Nothing, one value, both ends", 1, percentiles.few),
            Part("tails", "Mouth to ear: p50, p95, p99", 1, percentiles.tails),
        ),
        {
            "bucket": "Between which two edges is each value? Count it there.",
            "how-many": "Two edges make one bucket: how many buckets do n edges make?",
            "edge": "A bucket begins at its lower edge, and ends just before the upper one.",
            "outside": "Nothing is thrown away: below is in the first bucket, above in the last.",
            "rank": "How many values must lie below? Go from bucket to bucket until there are.",
            "inside": "So many of this bucket lie below, evenly: how far into it is that?",
            "direction": "From which edge is it counted?",
            "below": "What the buckets before have counted, this bucket need not.",
            "percent": "A percentage is asked for: 99 means 99 of 100.",
            "side": "So many per cent lie below, not above.",
            "empty": "Of nothing there is no percentile: None.",
            "one": "One value lies evenly too: half of it below the middle of its bucket.",
            "ends": "Empty buckets hold nobody: pass over them. 0 is where the first value begins.",
            "three": "Three numbers: p50, p95 and p99.",
            "buckets": "From the histogram: tally with EDGES, then percentile.",
            "nothing": "Of a call of which nothing was heard, `tails` is None.",
        },
        ("labkit.core.meters",),
    ),
    Exercise(
        "11.3",
        "A strict-priority scheduler",
        (SCHEDULER,),
        (
            Part("fifo", "In one class: first in, first out", 1, _fifo),
            Part("first", "The highest class goes first", 1, _first),
            Part("bounded", "Each class has a queue with a limit", 1, _bounded),
            Part("starves", "Who starves can be seen", 1, _starves),
            Part("anything", "Arrivals that nobody has seen", 1, _anything),
        ),
        {
            "fifo": "Which packet of this class has waited longest?",
            "highest": "Which classes have a packet, and which of them is the highest?",
            "others": "Who is in none of the classes goes last.",
            "gone": "Each packet goes once, and only one that was taken.",
            "says": "True when it was taken, False when it was not.",
            "full": "Its queue is full. Then it is refused, and those who wait stay as they are.",
            "shared": "Whose queue is full? Each class has a limit of its own.",
            "dropped": "What is counted are packets that were refused, of all classes together.",
            "length": "len says how many packets wait, in all classes together.",
            "since": "How long ago did the one come that is next in this class?",
            "whose": "Of each class it is the oldest that has waited longest.",
            "unit": "Times are nanoseconds, whole numbers; so is what lies between them.",
            "nobody": "Where nobody waits it is 0; each class has its place in the list.",
            "classes": "One for each class, and one at the end for those that are in none.",
        },
        ("labkit.core.scheduler",),
    ),
    Exercise(
        "11.4",
        "The latency budget",
        ("budget", "largest", "tail", SCHEDULER),
        (
            Part("adds", "The parts, from a trace", 1, budgets.adds),
            Part("fates", "Lost, late, doubled, nothing", 1, budgets.fates),
            Part("largest", "The largest part, and the tail", 2, budgets.largest),
            Part("line", "Your scheduler before a line that others fill", 2, budgets.line),
        ),
        {
            "table": "A dictionary with the five parts as keys, spelt as the text says.",
            "parts": "Each part lies between two moments that follow each other in the order.",
            "unit": "Moments are nanoseconds, the parts milliseconds.",
            "mean": "Of each part the mean over all packets.",
            "fate": "Only packets that were played count, and of two arrivals the first.",
            "nothing": "When nothing was played: an empty dictionary.",
            "which": "The name of the part, not its milliseconds.",
            "tails": "Add up for each packet first, then take the tail. Tails do not add up.",
            "ear": "From the mouth to the ear: from spoken to played.",
            "share": "Sort the sums: which of them do so many per cent not exceed?",
            "says": "True or False says whether a packet was taken, as in 11.3.",
            "gone": "What was pushed comes out, each packet once; None when nobody waits.",
            "lost": "The voice has a queue of its own. Who fills it, and who empties it?",
            "late": "When the line is free and a packet of the voice waits, who goes?",
            "idle": "When no voice waits, the line is free for the others.",
        },
        ("labkit.core.latency", "labkit.core.scheduler", "labkit.lab.latencies"),
    ),
)
"""What people write in week 11."""

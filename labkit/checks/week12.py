"""Week 12: what Prometheus reads, keys and copies, whom an alert wakes, and the capstone.

Nothing of it is held against the module that the student rebuilds: a text is read by the client of
Prometheus (`labkit.checks.exposition`); packets are made by libsrtp, keys are RFC 3711's own
(`labkit.checks.srtpparts`); rules are tried on nights that nobody has seen
(`labkit.checks.outages`); and a call with the student's parts is held against the same call with
the kit's (`labkit.checks.capstonecall`).
"""

from typing import Final

from labkit.checks import capstonecall, exposition, outages, srtpparts
from labkit.checks.exercise import Exercise, Part

HIDES: Final = (
    "labkit.core.srtpkeys", "labkit.core.replaywindow", "labkit.endpoints.srtp",
    "labkit.lab.capstonelayers", "labkit.lab.capstone", "labkit.live.metrics",
    "labkit.live.exporter",
)  # fmt: skip

EXERCISES: Final = (
    Exercise(
        "12.1",
        "What Prometheus reads",
        ("expose",),
        (
            Part("lines", "HELP, TYPE, and a sample", 1, exposition.lines),
            Part("labels", "Many samples of one name", 1, exposition.labels),
            Part("escapes", "What must not stand there as it is", 1, exposition.escapes),
            Part("numbers", "Odd numbers, and none", 1, exposition.numbers),
        ),
        {
            "text": "One string with all lines in it.",
            "newline": "A line ends with a line feed, and the last one is a line.",
            "line": "Compare with the example above, blank by blank.",
            "name": "Is there a line with this name, spelt as it was given?",
            "type": "The line is `# TYPE name kind`, before the first sample of that name.",
            "help": "The line is `# HELP name text`: the whole text, as it was given.",
            "labels": 'As in the example, {name="value",…}: a line for each sample, in order.',
            "once": "HELP and TYPE are told once for each name, and not for each sample.",
            "escape": "Three characters cannot stand in a label. In which order do you replace?",
            "help-escape": "Of HELP, two characters are escaped, and quotes are none of them.",
            "value": "Is it written with all its digits?",
            "special": "A client reads NaN, +Inf and -Inf.",
            "unknown": "Not known is not 0 and not NaN: there is no such line.",
        },
        HIDES,
    ),
    Exercise(
        "12.2",
        "Keys, and what has been here",
        ("derive", "unprotect", "Window"),
        (
            Part("vectors", "Session keys, as RFC 3711 has them", 1, srtpparts.vectors),
            Part("keys", "And of any other master key", 1, srtpparts.keys),
            Part("opens", "Packets of libsrtp", 1, srtpparts.opens),
            Part("altered", "What was changed is refused", 1, srtpparts.altered),
            Part("window", "Copies, late ones, old ones", 2, srtpparts.window),
            Part("turns", "The bits that are not sent", 1, srtpparts.turns),
            Part("capture", "A shipped capture, and a voice with copies", 1, srtpparts.of_capture),
        ),
        {
            "keys": "Which 16 bytes go into AES first? Write them down for label 0.",
            "label": "Count the bytes of the salt from 0: which one is under the label?",
            "start": "The salt has 14 bytes. At which end of the 16 are the two zeros?",
            "counter": "Each block of 16 bytes has its own number, from 0.",
            "size": "As many bytes as are asked for, and the rest is not needed.",
            "refuses": "Is the tag made of everything before it, and of the turns behind that?",
            "packet": "What comes back is bytes, or None when it is refused.",
            "header": "Whose eyes need the header? It is authenticated, and not encrypted.",
            "length": "Where does the payload end, and where does the tag begin?",
            "stream": "Which salt, and where do SSRC and index stand in the first block?",
            "tag": "Compute the tag yourself, by its session key, and compare all of it.",
            "turns": "What is sent has 16 bits of the index. The others are under the tag, too.",
            "bool": "The answer is True or False, and nothing else.",
            "seen": "It has been here. A bit for each index is enough to know that.",
            "old": "Before the window nobody remembers: then it is not new.",
            "ahead": "What is ahead of everything is new, however far.",
            "late": "Not every packet that is overtaken is a copy.",
            "judge": "To ask changes nothing; only what is authentic is remembered.",
            "index": "An index is a whole number of packets.",
            "first": "Nothing has come yet: then it is as it was sent.",
            "same": "Most are of the turn in which the newest is.",
            "before": "Before the first turn there was none.",
            "turn": "Which is nearer: in this turn, or in the next?",
            "back": "The number has gone through zero, and here comes one from before.",
            "capture": "Each part does on its own what it should. Do they agree about the index?",
        },
        HIDES,
    ),
    Exercise(
        "12.3",
        "Whom an alert wakes",
        ("rate", "firing", "rules"),
        (
            Part("rates", "What a counter says", 1, outages.rates),
            Part("fires", "An alert that waits", 1, outages.fires),
            Part("nights", "Rules for nights that nobody has seen", 2, outages.nights),
        ),
        {
            "rate": "From the first look to the last: how much more, in how many seconds?",
            "second": "Divide by the seconds between the first look and the last.",
            "restart": "A counter never falls. When it did, where did it begin again?",
            "one": "One look at a counter says nothing about its rate.",
            "plain": "Without a wait it fires at the first look above, and ends at the next below.",
            "wait": "Since when has it been above without a break? It fires when the wait is over.",
            "again": "A look below, and the waiting begins anew.",
            "open": "What still fires at the last look has no end yet: None.",
            "equal": "Above the threshold, not at it.",
            "unknown": "Where nothing is known, nothing is above.",
            "rules": "Four things in a row: which figure, which side, how much, how long.",
            "missed": "Look for outages in all three figures. What does a dead line lose?",
            "false": "How long do troubles last that mend themselves? See the picture.",
        },
        HIDES,
    ),
    Exercise(
        "12.4",
        "The capstone: your parts carry a call",
        ("derive", "unprotect", "Window", "brought"),
        (
            Part("carries", "Your keys and your window", 2, capstonecall.carries),
            Part("brings", "And what you bring along", 2, capstonecall.brings),
        ),
        {
            "stumbled": "The line names the place. Its own exercise says what it should do there.",
            "fooled": "A copy has a right tag. Who must refuse it?",
            "deaf": "What is refused is not heard. Is every packet that is new let in?",
            "none": "Paste the cells of earlier weeks, with their names.",
            "worse": "Take out one part after the other: which one costs so much?",
            "few": "That many points for that many parts; paste another one.",
        },
        HIDES,
    ),
)

"""What people write in week 12."""

import hmac
import math
from collections import deque
from itertools import pairwise

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from wrong_answers.wrong import Wrong

from labkit.words.seqnum import add16, ahead16

# 12.1 --------------------------------------------------------------------------------------------


def escaped(text, *more):
    for old, new in (("\\", r"\\"), ("\n", r"\n"), *more):
        text = text.replace(old, new)
    return text


def quoted(value):
    return escaped(value, ('"', r"\""))


def number(value):
    return repr(float(value))


def exposer(**how):
    """An `expose` that is right, but for what is said."""

    def expose(families):
        lines = []
        for name, kind, help_, samples in families:
            name = how.get("name", lambda name: name)(name)
            told = [f"# HELP {name} {how.get('help', escaped)(help_)}"]
            told.append(f"# {how.get('mark', 'TYPE')} {name} {how.get('kind', kind)}")
            rows = []
            for labels, value in samples:
                if value is None and "none" not in how:
                    continue
                shown = how["none"] if value is None else how.get("number", number)(value)
                mark = how.get("quote", '"')
                pairs = [
                    f"{k}={mark}{how.get('label', quoted)(v)}{mark}" for k, v in labels.items()
                ]
                inside = "{" + ",".join(pairs[: how.get("most", 9)]) + "}" if pairs else ""
                rows += [*(told if how.get("each") else ()), f"{name}{inside} {shown}"]
            lines += rows if how.get("each") else [*told, *rows]
        text = "\n".join(lines)
        return how.get("form", lambda text: text + "\n")(text)

    return expose


def late_backslash(value):
    """The backslashes that it has just made are doubled."""
    return value.replace('"', r"\"").replace("\n", r"\n").replace("\\", r"\\")


def exposed(mistake, part, hint, **how):
    return Wrong("12.1", mistake, part, hint, {"expose": exposer(**how)})


# 12.2 --------------------------------------------------------------------------------------------


def aes(key, block):
    return Cipher(AES(key), ECB()).encryptor().update((block % (1 << 128)).to_bytes(16))


def stream(key, begin, size, step=1):
    return b"".join(aes(key, begin + step * n) for n in range(-(-size // 16)))[:size]


def deriver(**how):
    """A `derive` that is right, but for what is said."""

    def derive(key, salt, label, size):
        begin = int.from_bytes(salt) ^ label << 8 * how.get("byte", 6)
        begin = (begin << how.get("shift", 16)) + how.get("first", 0)
        size = -(-size // 16) * 16 if how.get("whole") else size
        return stream(key, begin, size, how.get("step", 1))

    return derive


def no_counter_mode(key, salt, label, size):
    """The label is joined and not XORed."""
    return stream(key, int.from_bytes(bytes([label]) + salt + b"\0"), size)


right = deriver()


def opener(**how):
    """An `unprotect` that is right, but for what is said."""

    def unprotect(key, salt, index, packet):
        body, tag = packet[:-10], packet[-10:]
        turns = b"" if how.get("without_turns") else (index >> 16).to_bytes(4)
        if how.get("zero_turns"):
            turns = bytes(4)
        signs = right(key, salt, how.get("signs", 1), 20)
        mac = hmac.digest(signs, body + turns, "sha1")[:10]
        if (
            not how.get("trusts")
            and mac[: how.get("compares", 10)] != tag[: how.get("compares", 10)]
        ):
            return how.get("refused")
        body = packet if how.get("with_tag") else body
        begin = int.from_bytes(right(key, salt, how.get("salt", 2), 14)) << 16
        begin ^= int.from_bytes(body[8:12]) << how.get("ssrc", 64) ^ index << how.get("index", 16)
        key = right(key, salt, 0, 16)
        start = 0 if how.get("all") else 12
        plain = bytes(
            a ^ b for a, b in zip(body[start:], stream(key, begin, len(body) - start), strict=True)
        )
        return how.get("form", lambda text: text)(body[:start] + plain)

    return unprotect


class RightWindow:
    """A window that is right, to be spoilt in one place."""

    def __init__(self, size):
        self.size = size
        self.newest = None
        self.seen = set()

    def index(self, seq):
        if self.newest is None:
            return seq
        found = self.newest + ahead16(seq, add16(self.newest, 0))
        return found if found >= 0 else seq

    def is_new(self, index):
        old = self.newest is not None and index <= self.newest - self.size
        return not old and index not in self.seen

    def accept(self, index):
        self.seen.add(index)
        self.newest = index if self.newest is None else max(self.newest, index)


class Forgets(RightWindow):
    def accept(self, index):
        self.newest = index if self.newest is None else max(self.newest, index)


class OnlyAhead(RightWindow):
    """A counter is enough, they say."""

    def is_new(self, index):
        return self.newest is None or index > self.newest


class NoEnd(RightWindow):
    def is_new(self, index):
        return index not in self.seen


class OneTooFew(RightWindow):
    def is_new(self, index):
        old = self.newest is not None and index < self.newest - self.size + 2
        return not old and index not in self.seen


class NotTooFar(RightWindow):
    """What is far ahead is taken for an attack."""

    def is_new(self, index):
        far = self.newest is not None and index > self.newest + self.size
        return super().is_new(index) and not far


class RemembersAtOnce(RightWindow):
    def is_new(self, index):
        new = super().is_new(index)
        self.accept(index)
        return new


class SaysNumbers(RightWindow):
    def is_new(self, index):
        return int(super().is_new(index))


class AsItIs(RightWindow):
    """Sixteen bits are enough."""

    def index(self, seq):
        return seq


class AlwaysUp(RightWindow):
    """Smaller than the newest: it must have gone through zero."""

    def index(self, seq):
        if self.newest is None:
            return seq
        found = self.newest // 65_536 * 65_536 + seq
        return found if found >= self.newest else found + 65_536


class TheNextTurn(RightWindow):
    """After the first one every number is ahead."""

    def index(self, seq):
        return seq if self.newest is None else (self.newest // 65_536 + 1) * 65_536 + seq


class NeverBack(RightWindow):
    def index(self, seq):
        if self.newest is None:
            return seq
        turn = self.newest // 65_536 * 65_536
        half = self.newest % 65_536 >= 32_768 > seq and self.newest % 65_536 - seq > 32_768
        return turn + seq + (65_536 if half else 0)


class BelowZero(RightWindow):
    def index(self, seq):
        return seq if self.newest is None else self.newest + ahead16(seq, add16(self.newest, 0))


class AsText(RightWindow):
    def index(self, seq):
        return str(super().index(seq))


class BeginsAtOne(RightWindow):
    def index(self, seq):
        return super().index(seq) + (65_536 if self.newest is None else 0)


class TriedOnce(RightWindow):
    """Right until forty packets are here."""

    def is_new(self, index):
        return len(self.seen) < 40 and super().is_new(index)


def keys(mistake, part, hint, **names):
    return Wrong("12.2", mistake, part, hint, names)


def window(kind, part, hint):
    return Wrong("12.2", kind.__name__, part, hint, {"Window": kind})


# 12.3 --------------------------------------------------------------------------------------------


def rates(**how):
    """A `rate` that is right, but for what is said."""

    def rate(samples):
        if len(samples) < 2:
            return how.get("one")
        grown = samples[-1][1] - samples[0][1]
        if not how.get("falls"):
            grown = sum(
                b - a if b >= a else how.get("after", b) for (_, a), (_, b) in pairwise(samples)
            )
        if how.get("per_look"):
            return grown / (len(samples) - 1)
        return grown / (1 if how.get("increase") else samples[-1][0] - samples[0][0])

    return rate


def the_last_two(samples):
    if len(samples) < 2:
        return None
    (a, before), (b, count) = samples[-2:]
    return (count - before) / (b - a)


def fires(**how):
    """A `firing` that is right, but for what is said."""

    def firing(values, threshold, wait):
        found, since, open_ = [], None, False
        for t, value in values:
            if value is None and "unknown" in how:
                if how["unknown"] == "skips":
                    continue
                value = math.inf
            above = value is not None and (
                value >= threshold if how.get("equal") else value > threshold
            )
            if above:
                since = t if since is None else since
                if not open_ and t - since >= (
                    0 if how.get("at_once") else wait + how.get("more", 0)
                ):
                    found.append((since if how.get("since") else t, None))
                    open_ = True
            else:
                since = since if how.get("keeps") else None
                if open_:
                    found[-1] = found[-1][0], t - how.get("before", 0)
                open_ = False
        if open_ and "end" in how:
            found[-1] = found[-1][0], values[-1][0]
        return found

    return firing


def alert(mistake, part, hint, **names):
    return Wrong("12.3", mistake, part, hint, names)


LOSS, LATE, SILENT = ("loss", "above", 6, 50), ("late", "above", 4, 50), ("packets", "below", 1, 30)


# 12.4 --------------------------------------------------------------------------------------------


class Impatient:
    """It thinks of nobody who is late."""

    def __init__(self):
        self.least = None

    def observe(self, transit, now):
        self.least = transit if self.least is None else min(self.least, transit)

    def target(self):
        return self.least


class Sings:
    def turn(self, packet, following):
        return "sing"


class Divides:
    def __init__(self):
        self.recent = deque(maxlen=5)

    def observe(self, transit, now):
        self.recent.append(transit / 0)

    def target(self):
        return 0


def bringer(**classes):
    """Brings these along."""

    def brought(name=None, *args):
        return list(classes) if name is None else classes[name](*args)

    return brought


def call(mistake, part, hint, **names):
    return Wrong("12.4", mistake, part, hint, names)


WRONG = [
    exposed("lines in a list", "lines", "text", form=lambda text: text.splitlines()),
    exposed("no end of the last line", "lines", "newline", form=lambda text: text),
    exposed("a colon before the number", "lines", "line", number=lambda v: f": {v}"),
    exposed("another name", "lines", "name", name=lambda name: name.removeprefix("voice_")),
    exposed("no TYPE", "lines", "type", mark="KIND"),
    exposed("all are gauges", "lines", "type", kind="gauge"),
    exposed("help in quotes", "lines", "help", help=lambda text: f'"{text}"'),
    exposed("one label only", "labels", "labels", most=1),
    exposed("HELP and TYPE for each sample", "labels", "once", each=True),
    exposed("labels without quotes", "labels", "line", quote=""),
    exposed("labels as they are", "escapes", "escape", label=lambda value: value),
    exposed("quotes alone", "escapes", "escape", label=lambda v: v.replace('"', r"\"")),
    exposed("backslashes last", "escapes", "escape", label=late_backslash),
    exposed("help as it is", "escapes", "help-escape", help=lambda text: text),
    exposed("help with backslashes alone", "escapes", "help-escape",
            help=lambda text: text.replace("\\", r"\\")),
    exposed("six digits", "numbers", "value", number=lambda value: f"{value:.6g}"),
    exposed("words for what is no number", "numbers", "special",
            number=lambda v: number(v) if math.isfinite(v) else "endless"),
    exposed("unknown is zero", "numbers", "unknown", none=0),
    exposed("unknown is None", "numbers", "unknown", none=None),
    exposed("unknown is not a number", "numbers", "unknown", none="NaN"),
    keys("no counter mode", "vectors", "keys", derive=no_counter_mode),
    keys("label in byte 8", "vectors", "label", derive=deriver(byte=5)),
    keys("label in the last byte", "keys", "label", derive=deriver(byte=0)),
    keys("zeros in front", "vectors", "start", derive=deriver(shift=0)),
    keys("the same block again", "vectors", "counter", derive=deriver(step=0)),
    keys("counts from one", "keys", "counter", derive=deriver(first=1)),
    keys("whole blocks", "vectors", "size", derive=deriver(whole=True)),
    keys("refuses for want of turns", "opens", "refuses", unprotect=opener(without_turns=True)),
    keys("signs by the first key", "opens", "refuses", unprotect=opener(signs=0)),
    keys("as a list", "opens", "packet", unprotect=opener(form=list)),
    keys("the header, too", "opens", "header", unprotect=opener(all=True)),
    keys("with the tag", "opens", "length", unprotect=opener(with_tag=True)),
    keys("SSRC elsewhere", "opens", "stream", unprotect=opener(ssrc=80)),
    keys("index at the end", "opens", "stream", unprotect=opener(index=0)),
    keys("believes everything", "altered", "tag", unprotect=opener(trusts=True)),
    keys("compares four bytes", "altered", "tag", unprotect=opener(compares=4)),
    keys("empty is no None", "altered", "tag", unprotect=opener(refused=b"")),
    keys("turns are always 0", "altered", "turns", unprotect=opener(zero_turns=True)),
    window(SaysNumbers, "window", "bool"),
    window(Forgets, "window", "seen"),
    window(OnlyAhead, "window", "late"),
    window(NoEnd, "window", "old"),
    window(OneTooFew, "window", "late"),
    window(NotTooFar, "window", "ahead"),
    window(RemembersAtOnce, "window", "judge"),
    window(AsText, "turns", "index"),
    window(BeginsAtOne, "turns", "first"),
    window(AsItIs, "turns", "turn"),
    window(TheNextTurn, "turns", "same"),
    window(AlwaysUp, "turns", "back"),
    window(NeverBack, "turns", "back"),
    window(BelowZero, "turns", "before"),
    window(TriedOnce, "capture", "capture"),
    alert("the last two looks", "rates", "rate", rate=the_last_two),
    alert("an increase", "rates", "second", rate=rates(increase=True)),
    alert("a look is a second", "rates", "second", rate=rates(per_look=True)),
    alert("counters may fall", "rates", "restart", rate=rates(falls=True)),
    alert("after a restart nothing", "rates", "restart", rate=rates(after=0)),
    alert("one look is a rate", "rates", "one", rate=rates(one=0.0)),
    alert("ends a look too early", "fires", "plain", firing=fires(before=5)),
    alert("waits for nothing", "fires", "wait", firing=fires(at_once=True)),
    alert("a look too long", "fires", "plain", firing=fires(more=1)),
    alert("since it was above", "fires", "wait", firing=fires(since=True)),
    alert("keeps waiting", "fires", "again", firing=fires(keeps=True)),
    alert("all ends", "fires", "open", firing=fires(end=True)),
    alert("at the threshold", "fires", "equal", firing=fires(equal=True)),
    alert("unknown is much", "fires", "unknown", firing=fires(unknown="much")),
    alert("unknown is skipped", "fires", "unknown", firing=fires(unknown="skips")),
    alert("a rule without its side", "nights", "rules", rules=lambda: [("loss", 6, 50)]),
    alert("a rule in words", "nights", "rules", rules=lambda: "loss above 6"),
    alert("nobody is woken", "nights", "missed", rules=list),
    alert("a dead line loses nothing", "nights", "missed", rules=lambda: [LOSS, LATE]),
    alert("waits too long", "nights", "missed", rules=lambda: [(*LOSS[:3], 200), LATE, SILENT]),
    alert("woken at once", "nights", "false", rules=lambda: [(*LOSS[:3], 0), LATE, SILENT]),
    alert("woken for what is understood", "nights", "false",
          rules=lambda: [(*LOSS[:2], 2, 50), LATE, SILENT]),
    alert("woken by a pause", "nights", "false",
          rules=lambda: [LOSS, LATE, ("packets", "below", 10, 0)]),
    call("believes copies", "carries", "fooled", Window=type("Window", (RightWindow,), {
        "is_new": lambda self, index: True})),
    call("refuses everything", "carries", "deaf", unprotect=lambda *all_: None),
    call("no index", "carries", "stumbled", Window=AsText),
    call("opens too much", "carries", "stumbled", unprotect=opener(form=list)),
    call("brings nothing", "brings", "none", brought=bringer()),
    call("brings one", "brings", "few", brought=bringer(MyPolicy=type("P", (Impatient,), {
        "target": lambda self: self.least + 150_000_000}))),
    call("sings", "brings", "stumbled", brought=bringer(DecodeLoop=Sings)),
    call("divides by zero", "brings", "stumbled", brought=bringer(MyPolicy=Divides)),
    call("waits for nobody", "brings", "worse", brought=bringer(MyPolicy=Impatient)),
]  # fmt: skip

"""Week 9: a token, a STUN message, what a NAT does, and what waits behind a loss.

What is right is made by hand in `labkit.checks.through`, and not by the modules of the kit that a
student rebuilds.

Whether a comparison takes the same time for all pairs cannot be measured fairly on a busy machine.
So it is asked otherwise: behind the first difference stands something that cannot be XORed, and who
goes on to the end stumbles over it. An early return does not, and shows itself.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from labkit.checks import through
from labkit.checks.bench import Bench
from labkit.checks.exercise import Exercise, Part
from labkit.checks.plain import same, shown
from labkit.checks.subject import Ask, Outcome, Raised, Returned
from labkit.checks.through import ALL, CLASSIC, DEPENDS, Endpoint, Frame, Kind

# 09.1: a token ----------------------------------------------------------------------------------

REASONS: Final = ("malformed", "wrong", "expired")
NAMES: Final = ("alice", "Zoë", "room 7: door", "bob@lab.example.org")


def _given(rng: Random, name: str = "") -> tuple[bytes, str, int]:
    """A secret, whom a token is for, and until when."""
    return rng.randbytes(32), name or rng.choice(NAMES), rng.randrange(1_700_000_000, 1_900_000_000)


def _make(bench: Bench) -> None:
    for name in ("alice", *bench.rng.sample(NAMES[1:], 2)):
        secret, subject, expires = _given(bench.rng, name)
        made = bench.call("make_token", secret, subject, expires)
        what = "a token is text: payload, a dot, MAC"
        bench.holds(type(made) is str and made.count(".") == 1, what, "a.b", shown(made), "text")
        payload, mac = made.split(".")
        wanted, right = through.token(secret, subject, expires).split(".")
        swapped = through.encoded(f"{subject}:{expires}".encode())
        what = f'the payload says "{expires}:{subject}"'
        bench.equal(payload, wanted, what, "payload", [(swapped, "order")])
        said = f"{expires}:{subject}".encode()
        mistakes = [
            (through.encoded(through.mac_of(secret, said)), "of-what"),
            (through.encoded(through.mac_of(wanted.encode(), secret)), "key"),
            (through.encoded(through.mac_of(secret, wanted.encode(), "sha1")), "sha"),
            (through.mac_of(secret, wanted.encode()).hex(), "text"),
        ]
        bench.equal(mac, right, "the MAC is that of the payload as it is written", "mac", mistakes)


def _refused(bench: Bench, outcome: Outcome, reasons: Sequence[str], what: str, hint: str) -> None:
    """It raised an AuthenticationError with one of these reasons."""
    known = {"returned": hint}
    raised = bench.refused(outcome, "AuthenticationError", what, "crash", known)
    reason = raised.fields.get("reason")
    what = f"{what}, and the reason is {' or '.join(reasons)}"
    hint = hint if reason in REASONS else "reason"
    bench.holds(reason in reasons, what, reasons[0], shown(reason), hint)


def _reads(bench: Bench) -> None:
    for name in NAMES:
        secret, subject, expires = _given(bench.rng, name)
        token = through.token(secret, subject, expires)
        found = bench.call("check_token", secret, token, expires - bench.rng.randrange(1, 10**6))
        what = "a good token says whom it was given to"
        bench.equal(found, subject, what, "subject", [(subject.split(":")[0], "colon")])
        outcome = bench.attempt("check_token", secret, token, expires - 1)
        what = "a second before it expires it is good"
        early = isinstance(outcome, Raised) and "AuthenticationError" in outcome.kinds
        bench.holds(not early, what, subject, str(outcome), "until")
        bench.equal(bench.returned(outcome), subject, what, "until")
        for now in (expires, expires + bench.rng.randrange(1, 10**6)):
            outcome = bench.attempt("check_token", secret, token, now)
            _refused(bench, outcome, ["expired"], "when it has expired it is refused", "until")


def _forged(bench: Bench) -> None:
    secret, subject, expires = _given(bench.rng)
    good = through.token(secret, subject, expires)
    _, mac = good.split(".")
    longer = through.encoded(f"{expires + 86_400}:{subject}".encode())
    other = through.token(bench.rng.randbytes(32), subject, expires)
    bench.equal(bench.call("check_token", secret, good, expires - 1), subject, "it is good", "good")
    for token, reasons, what in (
        (other, ["wrong"], "made with another secret"),
        (f"{longer}.{mac}", ["wrong"], "a day was added to its date"),
        (good[:-20], ["wrong", "malformed"], "half of its MAC is missing"),
    ):
        outcome = bench.attempt("check_token", secret, token, expires - 1)
        _refused(bench, outcome, reasons, what, "forged")
    outcome = bench.attempt("check_token", secret, other, expires + 1)
    if isinstance(outcome, Raised) and outcome.fields.get("reason") == "expired":
        what = "of another secret, and of yesterday: it is wrong, whatever it says"
        bench.fail(what, "wrong", "expired", "first")
    _refused(bench, outcome, ["wrong"], "made with another secret, of yesterday", "forged")


def _malformed(bench: Bench) -> None:
    secret, subject, expires = _given(bench.rng)
    good = through.token(secret, subject, expires)
    bench.equal(bench.call("check_token", secret, good, expires - 1), subject, "it is good", "good")
    payload, mac = good.split(".")
    for text, what in (
        ("", "it is empty"),
        ("hello", "it has no dot"),
        (f"{good}.{mac}", "it has two dots"),
        (payload, "it is a payload without a MAC"),
    ):
        outcome = bench.attempt("check_token", secret, text, expires - 1)
        _refused(bench, outcome, ["malformed"], what, "malformed")
    for text in (
        ".",
        f"{payload}.",
        f".{mac}",
        f"{payload}.né",
        f"é.{mac}",
        f"{payload}.{mac[:-1]}ø",
    ):
        what = f"{text[:20]!r} is no token"
        outcome = bench.attempt("check_token", secret, text, expires - 1)
        _refused(bench, outcome, ["malformed", "wrong"], what, "forged")


def _same(bench: Bench) -> None:
    for size in (32, 1, bench.rng.randrange(5, 20)):
        mine = list(bench.rng.randbytes(size))
        wrong = [*mine[:-1], mine[-1] ^ 1 << bench.rng.randrange(8)]
        first = [mine[0] ^ 128, *mine[1:]]
        twice = [(mine[0] + 1) % 256, *mine[1:-1], (mine[-1] + 1) % 256]
        for theirs, equal in ((list(mine), True), (wrong, False), (first, False), (twice, False)):
            found = bench.call("same", mine, theirs)
            bench.equal(found, equal, "whether all numbers are equal", "equal")
    for theirs in (mine[:-1], [*mine, 7], []):
        found = bench.call("same", mine, theirs)
        bench.equal(found, False, "of another length, so not the same", "length")
    for place in (4, 9):
        mine, theirs = ([*bench.rng.randbytes(10)] for _ in range(2))
        theirs[0] = mine[0] ^ 1
        spoiled: list[int | None] = [*theirs[:place], None, *theirs[place + 1 :]]
        outcome = bench.attempt("same", mine, spoiled)
        what = f"who goes on behind the first difference stumbles over the None at place {place}"
        if isinstance(outcome, Returned):
            bench.fail(what, "TypeError", f"it returned {shown(outcome.value)}", "stops")
        bench.refused(outcome, "TypeError", what, "equal", {})


# 09.2: a STUN message ---------------------------------------------------------------------------

READ: Final = "read_stun"


def _endpoint(rng: Random) -> Endpoint:
    """An address in which no byte is like another, and a port likewise."""
    host = ".".join(map(str, rng.sample(range(1, 255), 4)))
    return host, rng.randrange(1024, 65_000)


def _ask_for(bench: Bench, data: bytes, what: str, hint: str, **mistakes: Any) -> None:
    """Read one message; `mistakes` are wrong values of the third, by hint."""
    found = bench.call(READ, data)
    wanted = through.read(data)
    assert wanted is not None
    if type(found) is not tuple or len(found) != 3:
        bench.fail(f"{what}: (kind, transaction, mapped)", wanted, found, "three")
    bench.equal(found[0], wanted[0], f"{what}: its kind", "kind")
    wide = [(data[4:20], "transaction"), (data[8:20].hex(), "transaction")]
    bench.equal(found[1], wanted[1], f"{what}: its transaction", "transaction", wide)
    known = [(value, name.replace("_", "-")) for name, value in mistakes.items()]
    bench.equal(found[2], wanted[2], f"{what}: the mapped address", hint, known)


def _header(bench: Bench) -> None:
    kinds = [*through.KINDS]
    for method in (1, bench.rng.choice((3, 4, 8, 9))):
        for kind in bench.rng.sample(kinds, 4):
            data = through.message(kind | method, bench.rng.randbytes(12))
            _ask_for(bench, data, "a message without attributes", "none")


def _mapped(bench: Bench) -> None:
    for _ in range(3):
        transaction, where = bench.rng.randbytes(12), _endpoint(bench.rng)
        data = through.message(0x101, transaction, through.xored(where, transaction))
        plain = data[-4:]
        host, port = ".".join(map(str, plain)), int.from_bytes(data[-6:-4])
        _ask_for(
            bench, data, "a success that says how we are seen", "mapped",
            xor=(host, port), xor_address=(host, where[1]), xor_port=(where[0], port),
            pair=list(where),
        )  # fmt: skip


def _walks(bench: Bench) -> None:
    transaction, where, other = bench.rng.randbytes(12), _endpoint(bench.rng), _endpoint(bench.rng)
    xored, again = (through.xored(each, transaction) for each in (where, other))
    old = through.attribute(0x0001, through.address(other))
    bait = through.attribute(0x8022, xored[:4] + again[4:])
    for size in (1, 2, 3, 4, 7):
        software = through.attribute(0x8022, bench.rng.randbytes(size))
        data = through.message(0x101, transaction, software, xored)
        _ask_for(bench, data, f"behind an attribute of {size} bytes", "padding", padding=None)
    for before, what in ((old, "behind a plain MAPPED-ADDRESS"), (bait, "behind a text like it")):
        data = through.message(0x101, transaction, before, xored)
        _ask_for(bench, data, what, "number")
    data = through.message(0x101, transaction, xored, again)
    _ask_for(bench, data, "when there are two, the first counts", "first")
    data = through.message(0x101, transaction, old)
    _ask_for(bench, data, "where there is no XOR-MAPPED-ADDRESS", "none", number=other)
    _ask_for(bench, through.SAMPLE_IPV4, "RFC 5769 section 2.2", "padding")


def _ipv6(bench: Bench) -> None:
    for _ in range(2):
        transaction = bench.rng.randbytes(12)
        host = ":".join(f"{bench.rng.randrange(1, 65_536):x}" for _ in range(8))
        where = (host, bench.rng.randrange(1024, 65_000))
        data = through.message(0x101, transaction, through.xored(where, transaction))
        _ask_for(bench, data, "an address of 16 bytes", "six")
    _ask_for(bench, through.SAMPLE_IPV6, "RFC 5769 section 2.3", "six")


def _refuses(bench: Bench) -> None:
    transaction, where = bench.rng.randbytes(12), _endpoint(bench.rng)
    software = through.attribute(0x8022, b"labkit")
    good = through.message(0x101, transaction, software, through.xored(where, transaction))
    _ask_for(bench, good, "a good message", "mapped")
    beyond = through.message(0x101, transaction, software[:2] + b"\0\x40" + software[4:])
    empty, family = (
        through.message(0x101, transaction, through.attribute(0x0020, value))
        for value in (b"\0\1\x12\x34", b"\0\2" + bench.rng.randbytes(6))
    )
    wrong = [
        ("of RTP", b"\x80\x6f" + bench.rng.randbytes(70), "not-stun"),
        ("with another cookie", good[:4] + b"\x21\x12\xa4\x43" + good[8:], "not-stun"),
        ("with its first bit set", bytes([good[0] | 0x80]) + good[1:], "not-stun"),
        ("without its last four bytes", good[:-4], "length"),
        ("with four bytes too many", good + bytes(4), "length"),
        ("of 10 bytes", good[:10], "short"),
        ("of no bytes", b"", "short"),
        ("with an attribute that ends behind its end", beyond, "beyond"),
        ("with a mapped address of no bytes", empty, "form"),
        ("with a mapped address of IPv6 in four bytes", family, "form"),
    ]
    for what, data, hint in wrong:
        outcome = bench.attempt(READ, data)
        what = f"a datagram {what} is none of STUN's: None"
        if isinstance(outcome, Raised) and outcome.kind != "NotImplementedError":
            bench.fail(what, "None", str(outcome), hint)
        bench.equal(bench.returned(outcome), None, what, hint)


def _capture(bench: Bench) -> None:
    """Every datagram of the capture, and of a run that nobody has seen."""
    seed = bench.rng.randrange(1, 7)
    for datagrams, what in (
        (through.captured(), "of the capture 09_hole_punched"),
        (through.punched(seed), "of a run in virtual time"),
    ):
        bench.step(f"{READ} for each of {len(datagrams)} datagrams {what}")
        outcomes = bench.subject.ask([Ask("call", READ, (data,)) for data in datagrams])
        for number, (data, outcome) in enumerate(zip(datagrams, outcomes, strict=False), 1):
            wanted, found = through.read(data), bench.returned(outcome)
            if not same(found, wanted):
                hint = "capture" if wanted else "others"
                bench.fail(f"datagram {number} {what}", shown(wanted), shown(found), hint)


# 09.3: what a NAT does --------------------------------------------------------------------------

NAT: Final = "MyNat"
FIRST: Final = 40_000
"""The first port that a NAT lends here; then the next."""


def _sends(rng: Random) -> list[tuple[Endpoint, Endpoint]]:
    """Who sends to whom: two hosts, of which one has two ports, to two ports each of three others.

    It begins with one port of one host: to a place, there again, and to two others.
    """
    inside = [("192.168.1.2", 5004), ("192.168.1.3", 5004), ("192.168.1.2", 5006)]
    hosts = [f"192.0.2.{number}" for number in rng.sample(range(1, 255), 3)]
    remotes = [(host, port) for host in hosts for port in (3478, 7000)]
    sent = [(inside[0], remote) for remote in (remotes[0], remotes[0], remotes[1], remotes[2])]
    sent += [(end, remotes[0]) for end in inside[1:]]
    return sent + [(rng.choice(inside), rng.choice(remotes)) for _ in range(20)]


def _maps(bench: Bench, mapping: str) -> None:
    nat = bench.make(NAT, mapping)
    sent = _sends(bench.rng)
    wanted = through.mapped_ports(mapping, sent, FIRST)
    known: dict[int, tuple[Endpoint, Endpoint]] = {}
    for (inside, remote), port in zip(sent, wanted, strict=True):
        found = bench.call("port", inside, remote, on=nat)
        what = f"{mapping}: {_named(inside)} to {_named(remote)} is seen at this port"
        hint = "count"
        if port in known:
            hint = "same" if known[port] == (inside, remote) else "remote"
        elif type(found) is int and found in known:
            hint = "inside" if known[found][0] != inside else "remote"
        bench.equal(found, port, what, hint)
        known.setdefault(port, (inside, remote))


def _named(end: Endpoint) -> str:
    return f"{end[0]}:{end[1]}"


def _independent(bench: Bench) -> None:
    _maps(bench, DEPENDS[0])


def _dependent(bench: Bench) -> None:
    _maps(bench, DEPENDS[1])
    _maps(bench, DEPENDS[2])


def _reach(bench: Bench, kinds: Sequence[Kind]) -> list[tuple[Any, Any, bool, Any]]:
    """All pairs in an order by chance: one, other, whether a hole can be punched, what was said."""
    pairs = [(one, other) for one in kinds for other in kinds]
    bench.rng.shuffle(pairs)
    bench.step(f"reach(one, other) for each of {len(pairs)} pairs of (mapping, filtering)")
    outcomes = bench.subject.ask([Ask("call", "reach", pair) for pair in pairs])
    said = [bench.returned(outcome) for outcome in outcomes]
    for found in said:
        bench.holds(type(found) is bool, "yes or no", "True or False", shown(found), "bool")
    rows = zip(pairs, said, strict=False)
    return [(one, other, through.HOLES[one, other], found) for (one, other), found in rows]


def _classic(bench: Bench) -> None:
    for one, other, wanted, found in _reach(bench, CLASSIC):
        if found != wanted:
            hint = "cone" if wanted else "symmetric"
            what = f"{_kind(one)}, and {_kind(other)}"
            bench.fail(f"can a hole be punched? {what}", shown(wanted), shown(found), hint)


def _every(bench: Bench) -> float:
    rows = _reach(bench, ALL)
    wrong = [row for row in rows if row[2] != row[3]]
    if not wrong:
        return 1.0
    one, other, wanted, found = min(wrong, key=lambda row: _moving(row[0], row[1]))
    hint = {0: "cone", 1: "one", 2: "both"}[_moving(one, other)]
    what = f"can a hole be punched? {_kind(one)}, and {_kind(other)}; {len(wrong)} of 81 are wrong"
    share = max(0.0, 1 - len(wrong) / 27)
    return bench.fail(what, shown(wanted), shown(found), hint, share)


def _moving(one: Kind, other: Kind) -> int:
    """How many of the two are not seen where they were named."""
    return sum(kind[0] != DEPENDS[0] for kind in (one, other))


def _kind(kind: Kind) -> str:
    return f"{kind[0]} mapping with {kind[1]} filtering"


# 09.4: what waits -------------------------------------------------------------------------------

WAYS: Final = ("TCP", "STREAM", "STREAMS", "DATAGRAMS")


def _stream(rng: Random, *, lost: int = 0) -> list[Frame]:
    """Forty frames in order: some stalls, each ends with several at once. `lost` never came."""
    frames: list[Frame] = []
    stalls = sorted(rng.sample(range(2, 34, 7), 3))
    clock = 20 * rng.randrange(50, 500)
    until = -1.0
    for place in range(40):
        sent = float(clock + 20 * place)
        if place in stalls:
            until = sent + 20 * rng.randrange(4, 7) + rng.randrange(1, 19)
        frames.append((sent, max(until, sent + rng.randrange(30, 39))))
    for place in rng.sample(range(40), lost):
        frames[place] = (frames[place][0], None)
    return frames


def _together(bench: Bench) -> None:
    for lost in (0, 6):
        frames = _stream(bench.rng, lost=lost)
        came = [arrived for _, arrived in frames if arrived is not None]
        groups = [came.count(instant) for instant in {*came} if came.count(instant) > 1]
        gone = len(frames) - len(came)
        wanted = through.together(frames)
        mistakes = [(sum(groups), "first"), (len(groups), "groups")]
        mistakes += [(wanted + gone - 1, "never")] if gone else []
        found = bench.call("together", frames)
        what = f"frames that were handed over together with an earlier one; {lost} never came"
        bench.equal(found, wanted, what, "neighbours", [m for m in mistakes if m[0] != wanted])
    apart = [(sent, sent + 30 + place % 7) for place, (sent, _) in enumerate(frames)]
    found = bench.call("together", apart)
    bench.equal(found, 0, "each comes at an instant of its own", "neighbours")


def _missing(bench: Bench) -> None:
    for lost in (0, 4):
        frames = _stream(bench.rng, lost=lost)
        edge = next(came - sent for sent, came in frames if came is not None and came - sent > 60)
        for wait in (edge, edge - 1, float(bench.rng.randrange(30, 90))):
            wanted = through.missing(frames, wait)
            without = [frame for frame in frames if frame[1] is not None]
            strict = sum(came is None or came - sent >= wait for sent, came in frames)
            mistakes = [
                (wanted / 100, "percent"),
                (wanted * len(frames) / 100, "percent"),
                (through.missing(without, wait), "gone"),
                (wanted - 100 * (len(frames) - len(without)) / len(frames), "gone"),
                (100 - wanted, "other"),
                (100 * strict / len(frames), "edge"),
            ]
            found = bench.call("missing", frames, wait)
            what = f"percent that are not there {wait:g} ms after they were sent; {lost} never came"
            known = [(value, hint) for value, hint in mistakes if value != wanted]
            bench.near(found, wanted, what, "since", known, room=1e-6)


def _wait_for(bench: Bench) -> None:
    for lost, percent in ((0, 10), (0, 5), (2, 5), (2, 10), (4, 5), (0, 0), (1, 0)):
        frames = _stream(bench.rng, lost=lost)
        frames = [(sent, came and came - bench.rng.random() / 2) for sent, came in frames]
        what = f"the least whole ms after which at most {percent} % are missing; {lost} never came"
        _waits(bench, bench.call("wait_for", frames, percent), frames, percent, what)


def _waits(bench: Bench, found: Any, frames: Sequence[Frame], percent: float, what: str) -> None:
    wanted = through.wait_for(frames, percent)
    if wanted is None:
        bench.equal(found, None, f"{what}: no wait is enough", "enough")
        return
    if type(found) is int and found in wanted:
        return
    took = sorted(came - sent for sent, came in frames if came is not None)
    hint = "least"
    if type(found) in (int, float) and any(abs(found - value) <= 1 for value in wanted):
        hint = "whole"
    elif type(found) in (int, float) and abs(found - took[-1]) <= 1:
        hint = "slowest"
    elif found is None:
        hint = "enough"
    bench.fail(what, shown(min(wanted)), shown(found), hint)


def _runs(bench: Bench) -> None:
    """One voice, four ways, over one bad link: frames of real runs."""
    link = bench.rng.choice(through.LINKS)
    curves: dict[str, list[tuple[float, float]]] = {}
    state = bench.rng.getstate()
    for way in WAYS:
        bench.rng.setstate(state)
        frames = through.carried(bench.rng, way, link)
        bench.step(f"120 frames over {link}, carried by {way}")
        wanted: Callable[[str], str] = f"{{}}, of 120 frames over {link}, by {way}".format
        found = bench.returned(bench.subject.call("together", frames))
        bench.equal(found, through.together(frames), wanted("together"), "run")
        for wait in (80, 150, 250):
            found = bench.returned(bench.subject.call("missing", frames, wait))
            right = through.missing(frames, wait)
            bench.near(found, right, wanted(f"missing after {wait} ms"), "run", room=1e-6)
        for percent in (6, 17):
            found = bench.returned(bench.subject.call("wait_for", frames, percent))
            right_wait = through.wait_for(frames, percent)
            fits = (
                found is None if right_wait is None else type(found) is int and found in right_wait
            )
            what = wanted(f"the wait for {percent} %")
            bench.holds(fits, what, shown(right_wait and min(right_wait)), shown(found), "run")
        waits = range(40, 401, 20)
        curves[way.lower()] = [(float(wait), through.missing(frames, wait)) for wait in waits]
    bench.drawing = {
        "kind": "frontier",
        "points": curves,
        "ylabel": "frames not there (%)",
        "xlabel": "milliseconds since they were sent",
    }


# ------------------------------------------------------------------------------------------------

EXERCISES: Final = (
    Exercise(
        "09.1",
        "Make a token, and check one",
        ("make_token", "check_token", "same"),
        (
            Part("make", "It says who and until when, and cannot be forged", 1, _make),
            Part("reads", "A good one, until it expires", 1, _reads),
            Part("forged", "One that was not made with the secret", 1, _forged),
            Part("malformed", "What is no token at all", 1, _malformed),
            Part("same", "A comparison that tells nothing by its time", 1, _same),
        ),
        {
            "text": "A payload and a MAC, both through `encode`, and one dot between them.",
            "payload": "Which text goes through `encode`, and in which encoding are its letters?",
            "order": "What comes first, the time or the name?",
            "mac": "What hmac.digest takes: a key, what is protected, and the name of a hash.",
            "of-what": "Protect the payload as it travels: encoded.",
            "key": "Of secret and payload, which is the key and which the message?",
            "sha": "Which hash does the text name?",
            "subject": "Give back the name that stands in the payload, and nothing else.",
            "colon": "A name may have a colon in it. At which one must the payload be cut?",
            "until": "It is good as long as now is less than the time in it. And at that time?",
            "good": "Before anything is refused: does a good token still pass?",
            "forged": "Make the MAC of what came once more. Is it the one that came with it?",
            "first": "Nothing that a token says counts before its MAC is known to be right.",
            "reason": "AuthenticationError takes a reason: malformed, wrong or expired.",
            "malformed": "How many dots has a token? Look before you take it apart.",
            "crash": "A stranger may send any text: refuse it with an AuthenticationError.",
            "equal": "XOR of two equal numbers is 0. Collect what is not, with |, to the end.",
            "length": "Lists of two lengths are not the same, and zip stops at the shorter one.",
            "stops": "Does every pair go through ^, those behind the first difference too?",
        },
        ("labkit.core.token", "labkit.lab.door"),
    ),
    Exercise(
        "09.2",
        "Read a STUN message",
        (READ,),
        (
            Part("header", "Its kind and its transaction", 1, _header),
            Part("mapped", "How somebody is seen", 1, _mapped),
            Part("walks", "From one attribute to the next", 1, _walks),
            Part("ipv6", "An address of IPv6", 1, _ipv6),
            Part("refuses", "What is none", 1, _refuses),
            Part("capture", "All datagrams of a capture", 1, _capture),
        ),
        {
            "three": "Three values: the kind, the transaction, and the mapped address or None.",
            "kind": "Two of the bits of the type say the kind; all others say the method.",
            "transaction": "It is 12 bytes, as bytes. Where do they begin, and what is before?",
            "none": "Where there is no XOR-MAPPED-ADDRESS, there is no address to tell.",
            "mapped": "The value: a byte of zero, the family, two bytes of port, the address.",
            "xor": "X stands for XOR: with which constant, and for the port with which half of it?",
            "xor-address": "The port is right. Is the address XORed as well?",
            "xor-port": "The address is right. Is the port XORed as well?",
            "pair": "An endpoint is a tuple of the address as text and the port as a number.",
            "padding": "Each attribute begins at a multiple of four. What does its length count?",
            "number": "Which number has the attribute that you take? Others have addresses too.",
            "first": "When an attribute is there twice, only the first counts (section 14).",
            "six": "All 16 bytes are XORed: with the cookie, and then with what (section 14.2)?",
            "not-stun": "Two zero bits at the start, and the cookie: else it is something else.",
            "length": "The header counts the bytes that follow it. Are these there, and no more?",
            "short": "Look at the length before you look into the bytes.",
            "beyond": "An attribute may say that it is longer than what is left.",
            "form": "The family says how long the value must be, 8 bytes or 20. Look first.",
            "capture": "On made-up messages it does what it should. What is new in this one?",
            "others": "What else comes to this port? It is not for STUN: None.",
        },
        (
            "labkit.wire.stun",
            "labkit.wire.stunattributes",
            "labkit.lab.answers",
            "labkit.lab.dissection",
        ),
    ),
    Exercise(
        "09.3",
        "What a NAT does, and what gets through it",
        (NAT, "reach"),
        (
            Part("independent", "A mapping for whoever is sent to", 1, _independent),
            Part("dependent", "Mappings that look at the other end", 1, _dependent),
            Part("classic", "Which of the 16 classic pairs reach each other", 1, _classic),
            Part("every", "Which of all 81", 1, _every),
        ),
        {
            "count": "The first mapping gets 40000, each new one the next number, and no other.",
            "same": "This has been sent before: a mapping that is there is used again.",
            "inside": "Two hosts, or two ports of one, must never look the same outside.",
            "remote": "Which part of the remote endpoint does this mapping look at?",
            "bool": "The answer is True or False.",
            "cone": "Whoever looks the same to everybody can be told where to send.",
            "symmetric": "From which port will the checks come, and who has ever heard of it?",
            "one": "One comes from a port that nobody has named. Does the other one's filter look?",
            "both": "Neither is seen where it was named. Who can begin, and does that ever end?",
        },
        ("labkit.core.nat", "labkit.core.punchable", "labkit.core.holepunch", "labkit.lab.nat"),
    ),
    Exercise(
        "09.4",
        "What waits behind a loss",
        ("together", "missing", "wait_for"),
        (
            Part("together", "Frames that had to wait for another", 1, _together),
            Part("missing", "What is not there in time", 1, _missing),
            Part("wait_for", "How long to wait", 1, _wait_for),
            Part("runs", "All three, of one voice carried four ways", 2, _runs),
        ),
        {
            "neighbours": "Has a frame that was sent before come at exactly this instant?",
            "first": "The first of those that come together has waited for nobody.",
            "groups": "Not how often it happened is asked, but to how many frames.",
            "never": "Two frames that never came did not come together.",
            "percent": "Of a hundred frames, how many? Not a share, and not a number of frames.",
            "gone": "A frame that never comes is missing, however long one waits.",
            "other": "Those that are not there are asked for, and not those that are.",
            "edge": "After exactly that time it is there.",
            "since": "A frame's time runs from when it was sent, and not from the first one.",
            "least": "Try 0, 1, 2 … in your mind: which is the first with few enough missing?",
            "whole": "A whole number, and still long enough: which way must it be rounded?",
            "slowest": "A few may be missing. Need one wait for the very last?",
            "enough": "If more than that never come, no wait helps: None. If fewer, one does.",
            "run": "On made-up frames it is right. What is there in these that was not there?",
        },
        ("labkit.lab.headofline", "labkit.core.meters"),
    ),
)

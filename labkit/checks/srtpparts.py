"""Exercise 12.2: session keys, packets and the replay window of SRTP (RFC 3711).

Keys are held against the vectors of RFC 3711 B.3, and against counter mode written out here, block
by block. Packets are made by libsrtp. The window is held against a set that forgets nothing. The
shipped capture has the same voice in the clear, so it knows what must come out.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import Any, Final

import pylibsrtp
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from labkit.checks.bench import Bench
from labkit.checks.plain import shown
from labkit.checks.subject import Ask

B3_KEY: Final = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
B3_SALT: Final = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
B3: Final = (
    (0, 16, "C61E7A93744F39EE10734AFE3FF7A087"),
    (2, 14, "30CBBC08863D8C85D49DB34A9AE1"),
    (1, 32, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE"),
)
"""Label, size, and the key: RFC 3711 appendix B.3."""
CAPTURED: Final = bytes.fromhex("caa2399d9be7ac704b297bbb0f41502052a0315857d724abb742e0c0195a")
"""Master key and salt of the voice in the capture 12_srtp."""
SIZE: Final = 128
LABELS: Final = range(6)


def _aes(key: bytes, block: int) -> bytes:
    data = (block % (1 << 128)).to_bytes(16, "big")
    return Cipher(AES(key), ECB()).encryptor().update(data)  # noqa: S305  (the block function itself)


def _counter_mode(key: bytes, begin: int, size: int, step: int = 1) -> bytes:
    blocks = [_aes(key, begin + step * n) for n in range(-(-size // 16))]
    return b"".join(blocks)[:size]


def session_key(key: bytes, salt: bytes, label: int, size: int) -> bytes:
    """RFC 3711 sections 4.3.1 and 4.3.3, with a key derivation rate of 0."""
    return _counter_mode(key, (int.from_bytes(salt) ^ label << 48) << 16, size)


def _wrong_keys(key: bytes, salt: bytes, label: int, size: int) -> list[tuple[bytes, str]]:
    """What people find instead, each with its hint."""
    whole = int.from_bytes(salt)
    right = (whole ^ label << 48) << 16
    elsewhere = [_counter_mode(key, (whole ^ label << 8 * n) << 16, size) for n in range(14)]
    return [
        *((each, "label") for n, each in enumerate(elsewhere) if n != 6),
        (_counter_mode(key, (whole ^ label << 48), size), "start"),
        (_counter_mode(key, right, size, 0), "counter"),
        (_counter_mode(key, right + 1, size), "counter"),
        (_counter_mode(key, right, -(-size // 16) * 16), "size"),
    ]


def _derives(bench: Bench, key: bytes, salt: bytes, label: int, size: int, wanted: bytes) -> None:
    found = bench.call("derive", key, salt, label, size)
    wrong = [each for each in _wrong_keys(key, salt, label, size) if each[0] != wanted]
    bench.equal(found, wanted, f"the session key of label {label}, {size} bytes", "keys", wrong)


def vectors(bench: Bench) -> None:
    """RFC 3711 B.3."""
    for label, size, wanted in B3:
        _derives(bench, B3_KEY, B3_SALT, label, size, bytes.fromhex(wanted))


def keys(bench: Bench) -> None:
    """Keys that nobody has seen, all six labels."""
    for label in LABELS:
        key, salt = bench.rng.randbytes(16), bench.rng.randbytes(14)
        size = bench.rng.choice([14, 16, 20, 47])
        _derives(bench, key, salt, label, size, session_key(key, salt, label, size))


# Packets ----------------------------------------------------------------------------------------


def _plain(rng: Random, seq: int) -> bytes:
    head = bytes([0x80, 111]) + seq.to_bytes(2, "big") + rng.randbytes(8)
    return head + rng.randbytes(rng.randrange(30, 90))


def protected(master: bytes, plain: Sequence[bytes]) -> list[bytes]:
    """By libsrtp, one after the other."""
    policy = pylibsrtp.Policy(master, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    session = pylibsrtp.Session(policy)
    return [session.protect(each) for each in plain]


def _one_voice(rng: Random, first: int, count: int) -> tuple[bytes, list[bytes], list[bytes]]:
    """A master key, packets in the clear, and the same protected; one SSRC."""
    ssrc = rng.randbytes(8)
    plain = []
    for n in range(count):
        each = _plain(rng, (first + n) % 65_536)
        plain.append(each[:4] + ssrc + each[12:])
    master = rng.randbytes(30)
    return master, plain, protected(master, plain)


def _opens(bench: Bench, master: bytes, index: int, packet: bytes, plain: bytes) -> None:
    found = bench.call("unprotect", master[:16], master[16:], index, packet)
    what = "the packet as it was before it was protected"
    bench.holds(found is not None, what, plain, "None: it was refused", "refuses")
    bench.holds(type(found) is bytes, what, plain, found, "packet")
    bench.equal(found[:12], plain[:12], "the header, which was never encrypted", "header")
    bench.equal(len(found), len(plain), "its length, without the tag", "length")
    bench.equal(found[12:], plain[12:], "the payload", "stream")


def opens(bench: Bench) -> None:
    """Packets of libsrtp, also after the sequence number went through zero."""
    first = bench.rng.randrange(100, 30_000)
    master, plain, packets = _one_voice(bench.rng, first, 3)
    for n in range(3):
        _opens(bench, master, first + n, packets[n], plain[n])
    first = 65_534
    master, plain, packets = _one_voice(bench.rng, first, 4)
    for n in range(4):
        _opens(bench, master, first + n, packets[n], plain[n])


def altered(bench: Bench) -> None:
    """Whatever was changed is refused."""
    rng, first = bench.rng, bench.rng.randrange(100, 30_000)
    master, plain, packets = _one_voice(rng, first, 2)
    packet = packets[0]
    _opens(bench, master, first, packet, plain[0])
    key, salt = master[:16], master[16:]
    places = [rng.randrange(4, 12), rng.randrange(12, len(packet) - 10), len(packet) - 1]
    for at in (*places, len(packet) - 10):
        changed = bytearray(packet)
        changed[at] ^= 1 << rng.randrange(8)
        bench.step(f"byte {at} of {len(packet)} is changed")
        found = bench.call("unprotect", key, salt, first, bytes(changed))
        bench.equal(found, None, "a changed packet is refused, with None", "tag")
    bench.step("the same bytes, said to be of the next turn of the sequence number")
    found = bench.call("unprotect", key, salt, first + 65_536, packet)
    bench.equal(found, None, "the turns are authenticated, too", "turns")
    bench.step("another master key")
    found = bench.call("unprotect", rng.randbytes(16), salt, first, packet)
    bench.equal(found, None, "made with another key", "tag")


# The window -------------------------------------------------------------------------------------


class Model:
    """Section 3.3.2, by a set that forgets nothing."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen: set[int] = set()

    def is_new(self, index: int) -> bool:
        """New, and not so old that one cannot know."""
        newest = max(self.seen, default=-1)
        return index not in self.seen and index > newest - self.size

    def accept(self, index: int) -> None:
        """Remember."""
        self.seen.add(index)


def nearest(newest: int | None, seq: int) -> int:
    """The index nearest to the newest one: section 3.3.1."""
    if newest is None:
        return seq
    turn = newest // 65_536
    turns = [t * 65_536 + seq for t in (turn - 1, turn, turn + 1) if t >= 0]
    return min(turns, key=lambda index: abs(index - newest))


Deed = tuple[str, int]
"""`judge` or `take` an index: only what is new is accepted, and only by `take`."""


def _play(
    bench: Bench, size: int, deeds: Sequence[Deed], hint: Callable[[int, Model], str]
) -> None:
    """Do it to the student's window in one journey, and compare all answers."""
    model, handle = Model(size), bench.subject.new_handle()
    asks = [Ask("make", "Window", (size,), into=handle)]
    wanted: list[tuple[str, int, bool | None, str]] = []
    for verb, index in deeds:
        new = model.is_new(index)
        asks.append(Ask("call", "is_new", (index,), handle))
        wanted.append((verb, index, new, hint(index, model)))
        if verb == "take" and new:
            model.accept(index)
            asks.append(Ask("call", "accept", (index,), handle))
            wanted.append(("accept", index, None, ""))
    bench.step(f"Window({size})")
    outcomes = bench.subject.ask(asks)
    bench.returned(outcomes[0])
    for (verb, index, right, idea), outcome in zip(wanted, outcomes[1:], strict=False):
        found = bench.returned(outcome)
        if verb == "accept":
            bench.step(f"accept({index})")
        else:
            bench.step(f"is_new({index}): {shown(found)}")
            bench.holds(type(found) is bool, "is_new says True or False", right, found, "bool")
            bench.equal(found, right, f"whether {index} is new", idea)


def _hint(index: int, model: Model) -> str:
    newest = max(model.seen, default=-1)
    if index in model.seen:
        return "seen" if index > newest - model.size else "old"
    return "late" if newest - model.size < index < newest else "old" if index < newest else "ahead"


def window(bench: Bench) -> None:
    """Copies, late ones, old ones, far jumps; and judging changes nothing."""
    rng = bench.rng
    begin = rng.randrange(1000, 5000)
    plan: list[Deed] = [("take", begin + n) for n in (0, 1, 2, 5, 4)]
    plan += [("judge", begin + n) for n in (0, 4, 3, 3, 6)]
    _play(bench, 64, plan, lambda i, m: "judge" if i in (begin + 3, begin + 6) else _hint(i, m))
    size = rng.choice([64, 128])
    newest = begin + 3 * size
    plan = [("take", begin + n) for n in range(10)]
    plan += [("take", newest)]
    plan += [("judge", begin + 3), ("judge", newest - size), ("judge", newest - size + 1)]
    plan += [("take", newest - size + 1), ("judge", newest - size + 1), ("judge", newest - 1)]
    _play(bench, size, plan, _hint)
    at, plan = begin, []
    for _ in range(300):
        at += rng.choice([1, 1, 1, 1, 2, 3, 70])
        plan.append(
            (rng.choice(["take", "take", "judge"]), at - rng.choice([0, 0, 0, 1, 2, 65, 140]))
        )
    _play(bench, size, plan, _hint)


def turns(bench: Bench) -> None:
    """Sixteen bits are sent; the others are guessed."""
    rng = bench.rng
    first, begin = rng.randrange(200, 30_000), 65_536 - rng.randrange(3, 6)
    late = rng.randrange(2, 4)
    rows: list[tuple[list[int], int, str]] = [
        ([], first, "first"),
        ([first], first + rng.randrange(1, 50), "same"),
        ([first], 65_530, "before"),
        ([begin, begin + 1], 4, "turn"),
        ([begin, 65_536 + 2], 65_536 - late, "back"),
        ([begin, 65_536 + 2], 3, "same"),
        ([begin, 65_536 + 30_000, 65_536 + 60_000], 10, "turn"),
        ([begin, 65_536 + 30_000, 65_536 + 60_000], 59_990, "same"),
    ]
    for taken, seq, idea in rows:
        handle = bench.make("Window", SIZE)
        for index in taken:
            bench.call("accept", index, on=handle)
        newest = max(taken, default=None)
        wanted = nearest(newest, seq)
        what = f"the index of sequence number {seq}, when the newest is {newest}"
        found = bench.call("index", seq, on=handle)
        bench.holds(type(found) is int, what, wanted, found, "index")
        bench.equal(found, wanted, what, idea)


# The capture ------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _captured() -> tuple[tuple[bytes, ...], dict[int, bytes]]:
    """Packets of sound from port 5002 as they came, and the same in the clear by number."""
    from labkit.lab.captures import capture

    voices = {voice.source[1]: voice for voice in capture("12_srtp").voices}
    sealed = tuple(p.packet.data[28:] for p in voices[5002].arrived)
    clear = {p.seq % 65_536: p.packet.data[28 + 12 :] for p in voices[5000].arrived}
    return sealed, clear


def _reads(
    bench: Bench, master: bytes, packets: Sequence[bytes], sound: dict[int, bytes], of: str
) -> None:
    """Open them by the student's window and function; each once, whatever came twice."""
    handle = bench.make("Window", SIZE)
    got: list[bytes] = []
    for packet in packets:
        seq = int.from_bytes(packet[2:4])
        index = bench.returned(bench.subject.call("index", seq, on=handle.number))
        if bench.returned(bench.subject.call("is_new", index, on=handle.number)) is not True:
            continue
        given = master[:16], master[16:], index, packet
        plain: Any = bench.returned(bench.subject.call("unprotect", *given))
        if plain is None:
            continue
        right = type(plain) is bytes and plain[12:] == sound.get(seq)
        what = f"the sound of packet {seq} of {of} is that in the clear"
        bench.holds(right, what, sound.get(seq, b""), plain, "capture")
        bench.returned(bench.subject.call("accept", index, on=handle.number))
        got.append(packet)
    once = len(set(packets) & set(got))
    bench.step(f"{of}: {len(packets)} packets, {len(got)} opened")
    what = f"packets of {of} that were opened, each once"
    bench.equal(len(got), once, what, "capture")
    wanted = sum(int.from_bytes(p[2:4]) in sound for p in set(packets))
    bench.equal(len(got), wanted, what, "capture")


def of_capture(bench: Bench) -> None:
    """The shipped capture, and a voice made now, with copies."""
    sealed, clear = _captured()
    start = bench.rng.randrange(len(sealed) - 60)
    some = list(sealed[start : start + 60])
    _reads(bench, CAPTURED, some, clear, "the capture")
    first = 65_536 - bench.rng.randrange(10, 30)
    master, plain, packets = _one_voice(bench.rng, first, 50)
    sound = {int.from_bytes(p[2:4]): p[12:] for p in plain}
    sent = []
    for n, packet in enumerate(packets):
        sent.append(packet)
        if n % 9 == 8:
            sent.append(packets[n - 5])
    _reads(bench, master, sent, sound, "a voice with copies")

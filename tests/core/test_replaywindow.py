"""The replay window, judged by libsrtp: the same packets, the same decisions."""

from random import Random

import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.replaywindow import USUAL, ReplayWindow, Verdict
from labkit.wire import rtp
from labkit.words.errors import LocalProtocolError
from labkit.words.packet import Packet

KEY = bytes(range(30))
STEP = 30_000
SAID = {
    "": Verdict.NEW,
    "replay check failed (bad index)": Verdict.REPLAYED,
    "replay check failed (index too old)": Verdict.TOO_OLD,
}


class Libsrtp:
    """Protects every index in order and then judges them in any."""

    def __init__(self) -> None:
        policy = pylibsrtp.Policy
        self.sender = pylibsrtp.Session(policy(KEY, policy.SSRC_ANY_OUTBOUND))
        self.receiver = pylibsrtp.Session(policy(KEY, policy.SSRC_ANY_INBOUND))
        self.sealed: dict[int, bytes] = {}
        self.at = 0

    def seal(self, index: int) -> None:
        """In steps that leave no doubt about the turn: a sender knows it, libsrtp has to guess."""
        while index - self.at > STEP:
            self._seal(self.at + STEP)
        self._seal(index)

    def _seal(self, index: int) -> None:
        self.at = index
        packet = Packet(divmod(index, 65_536)[1], 0, b"sound", ssrc=7)
        self.sealed[index] = self.sender.protect(rtp.pack(packet))

    def judge(self, index: int) -> str:
        try:
            self.receiver.unprotect(self.sealed[index])
        except pylibsrtp.Error as error:
            return str(error)
        return ""


def walk(seed: int, first: int) -> list[int]:
    """Indices as a bad network brings them: forwards with gaps, backwards, twice."""
    rng, at, found = Random(seed), first, [first]
    for _ in range(1500):
        at += rng.choice((1, 1, 1, 1, 2, 3, 60, 127, 128, 129, 700))
        back = rng.choice((0, 0, 0, 0, 1, 2, 126, 127, 128, 129, 400))
        found += [at, max(at - back, first)]
    return found


@pytest.mark.parametrize(("seed", "first"), [(1, 0), (2, 1), (3, 32_767), (4, 32_768), (5, 65_535)])
def test_it_decides_as_libsrtp_does_across_zero(seed, first):
    indices = walk(seed, first)
    libsrtp, window = Libsrtp(), ReplayWindow()
    for index in sorted(set(indices)):
        libsrtp.seal(index)
    seen = dict.fromkeys(Verdict, 0)
    for index in indices:
        seq = divmod(index, 65_536)[1]
        assert window.estimate(seq) == index
        verdict = window.judge(index)
        assert SAID[libsrtp.judge(index)] is verdict, (index, window.newest)
        seen[verdict] += 1
        if verdict is Verdict.NEW:
            window.accept(index)
    assert window.rollovers >= 1
    assert min(seen.values()) > 50, seen


@pytest.mark.parametrize("ahead", [1, 2, 100, 32_766, 32_767, 32_768, 32_769, 40_000, 65_535])
@pytest.mark.parametrize("newest", [5, 32_767, 32_768, 65_530, 70_000, 100_000, 200_000])
def test_it_guesses_as_libsrtp_does(newest, ahead):
    """With a wrong guess libsrtp finds the packet forged: its tag covers the rollover counter."""
    libsrtp, window = Libsrtp(), ReplayWindow()
    steps = [*range(min(newest, 5), newest, 30_000), newest]
    for index in [*steps, newest + ahead]:
        libsrtp.seal(index)
    for index in steps:
        assert libsrtp.judge(index) == ""
        window.accept(index)
    guessed = window.estimate(divmod(newest + ahead, 65_536)[1])
    right = guessed == newest + ahead
    assert right is (libsrtp.judge(newest + ahead) == "")


def test_who_comes_after_the_first_turn_cannot_know_of_it():
    """RFC 3711 section 3.3.1: the rollover counter has to be told; nobody tells it here."""
    libsrtp, window = Libsrtp(), ReplayWindow()
    libsrtp.seal(65_536 + 7)
    assert window.estimate(7) == 7
    assert libsrtp.judge(65_536 + 7) == "authentication failure"


def test_before_the_first_turn_there_is_no_other():
    window = ReplayWindow()
    assert window.rollovers == 0
    window.accept(window.estimate(10))
    assert window.estimate(65_000) == 65_000


def test_judging_changes_nothing_and_only_what_is_new_is_accepted():
    window = ReplayWindow(64)
    window.accept(1000)
    for _ in range(2):
        assert window.judge(70_000) is Verdict.NEW
        assert window.judge(1000) is Verdict.REPLAYED
        assert window.judge(937) is Verdict.NEW
        assert window.judge(936) is Verdict.TOO_OLD
    for index in (1000, 936):
        with pytest.raises(LocalProtocolError):
            window.accept(index)
    with pytest.raises(LocalProtocolError, match="64"):
        ReplayWindow(63)


@given(st.lists(st.integers(0, 400), max_size=200), st.sampled_from([64, 100, USUAL]))
def test_it_is_a_set_that_forgets(indices, size):
    """Nothing is accepted twice, nothing within the window is forgotten, and it does not grow."""
    window, accepted = ReplayWindow(size), set()
    for index in indices:
        newest = max(accepted, default=-1)
        expected = Verdict.REPLAYED if index in accepted else Verdict.NEW
        if index <= newest - size:
            expected = Verdict.TOO_OLD
        assert window.judge(index) is expected
        if expected is Verdict.NEW:
            window.accept(index)
            accepted.add(index)
    assert window._seen < 1 << size

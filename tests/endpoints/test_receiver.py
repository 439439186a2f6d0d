"""A receiver and the jitter buffer in it: ours, the smallest that works, and those that do not."""

from collections import deque

import numpy as np
import pytest

from labkit.codec import Blank, Opus, Pcm
from labkit.core.delaypolicy import Fixed
from labkit.core.jitterbuffer import JitterBuffer
from labkit.core.session import Closed, Joined
from labkit.core.source import tone
from labkit.core.timeline import Fate
from labkit.endpoints.receiver import FEC, PLC, SILENCE, Finished
from labkit.lab.call import Call
from labkit.lab.sources import speech
from labkit.words.errors import BadInput, MissingCapability
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.trace import Did
from labkit.words.units import ms

LOSSY = LinkSpec(delay=ms(20), loss=0.1)


# What a student writes ------------------------------------------------------------------------


class Smallest:
    """`push` and `pull` and nothing else: three packets wait, then first come, first go."""

    def __init__(self) -> None:
        self.waiting: deque = deque()
        self.begun = False

    def push(self, packet, now):
        self.waiting.append(packet)

    def pull(self, now):
        self.begun = self.begun or len(self.waiting) >= 3
        return self.waiting.popleft() if self.begun and self.waiting else None


class Counted(Smallest):
    """It also says how many wait: then the end needs no patience."""

    def __len__(self):
        return len(self.waiting)


class Scheduled(Counted):
    """It says when it wants to be asked; None when nothing waits."""

    def push(self, packet, now):
        super().push((now + ms(60), packet), now)

    def deadline(self):
        return self.waiting[0][0] if self.waiting else None

    def pull(self, now):
        due, packet = self.waiting[0]
        if now < due:
            return None
        self.waiting.popleft()
        return packet


@pytest.mark.parametrize("buffer", [Smallest, Counted, Scheduled])
@pytest.mark.parametrize("transport", ["rtp", "udp", "tcp"])
def test_any_buffer_plays_a_whole_call(talk, quiet, buffer, transport):
    """Every packet over a link without jitter, and the call ends by itself."""
    call = talk(quiet(50), down=LinkSpec(delay=ms(20)), transport=transport, buffer=buffer())
    call.run(limit_s=5)
    assert call.fates(Did.PLAYED) == call.sent()
    assert isinstance(call.events[-1], Finished)
    assert call.receiver.finished
    assert call.receiver.deadline() is None


def test_a_buffer_without_deadline_is_asked_once_a_frame(talk, quiet):
    """From the first packet on, whether or not there is something."""
    asked = []

    class Asked(Counted):
        def pull(self, now):
            asked.append(now)
            return super().pull(now)

    talk(quiet(50), down=LinkSpec(delay=ms(20)), buffer=Asked()).run()
    assert set(np.diff(asked)) == {ms(20)}


@pytest.mark.parametrize(
    ("method", "gives", "why"),
    [
        ("pull", b"sound", "pull gave b'sound'"),
        ("pull", (1, 2), r"pull gave \(1, 2\)"),
        ("pull", True, "pull gave True"),
        ("peek", 7, "peek gave 7"),
    ],
)
def test_a_buffer_that_returns_something_else_is_named(talk, quiet, method, gives, why):
    """Not an AttributeError somewhere deep in ours: its class, its method, what it gave."""

    class Mine(Smallest):
        def peek(self):
            return None

    def give(self, *now):
        return gives

    call = talk(quiet(50), down=LOSSY, buffer=type("MyBuffer", (Mine,), {method: give})())
    with pytest.raises(BadInput, match=f"the jitter buffer MyBuffer: {why}"):
        call.run()


def test_a_deadline_that_does_not_move_is_named(talk, quiet):
    """It would be asked for ever at one instant."""

    class Stuck(Smallest):
        def deadline(self):
            return ms(100)

    with pytest.raises(BadInput, match=r"Stuck: deadline\(\) is still 100000000 after pull"):
        talk(quiet(50), buffer=Stuck()).run()


@pytest.mark.parametrize("method", ["push", "pull"])
def test_what_a_buffer_raises_comes_out_as_it_is(talk, quiet, method):
    """The last line of the traceback is the student's own."""

    def fail(self, *arguments):
        return {}["no such packet"]

    call = talk(quiet(50), buffer=type("MyBuffer", (Smallest,), {method: fail})())
    with pytest.raises(KeyError, match="no such packet") as raised:
        call.run()
    assert raised.traceback[-1].name == "fail"


# FEC and concealment --------------------------------------------------------------------------


class Blind:
    """Our buffer, without `peek`."""

    def __init__(self, buffer) -> None:
        self.push, self.pull, self.deadline = buffer.push, buffer.pull, buffer.deadline
        self.buffer = buffer

    def __len__(self) -> int:
        return len(self.buffer)

    @property
    def holding(self) -> bool:
        return self.buffer.holding


def opus_call(**options) -> Call:
    codec = Opus(32_000, fec=True)
    profile = Profile("lossy", "", "", LinkSpec(), LOSSY)
    return Call(speech(), codec=codec, link=profile, policy=Fixed(ms(60)), seed=2, **options)


def test_fec_is_used_where_peek_shows_the_successor():
    """With 60 ms of buffer it always does, unless it is lost too. Without `peek` all is PLC.

    Opus carries a frame again only if there is a voice in it, so at pauses even FEC is none.
    """
    seeing = opus_call().simulate()
    blind = opus_call(jitter_buffer=lambda: Blind(JitterBuffer(Fixed(ms(60))))).simulate()
    lost = seeing.timeline.fate == Fate.LOST
    alone = lost & ~np.append(lost[1:], True)
    by_fec = seeing.timeline.concealed == FEC
    assert not np.any(by_fec & ~alone)
    assert np.count_nonzero(by_fec) > 0.6 * np.count_nonzero(alone)
    assert set(np.unique(blind.timeline.concealed)) == {0, PLC}
    assert np.array_equal(seeing.timeline.fate, blind.timeline.fate)
    assert seeing.stoi > blind.stoi + 0.02


def test_fec_and_concealment_can_be_switched_off():
    """To hear what each is worth: FEC, then PLC, then silence."""
    best = opus_call().simulate()
    plc = opus_call(fec=False).simulate()
    nothing = opus_call(fec=False, conceal=False).simulate()
    assert set(np.unique(nothing.timeline.concealed)) == {0, SILENCE}
    assert best.stoi > plc.stoi > nothing.stoi
    gaps = sum(int(np.abs(h.samples).max(initial=0)) == 0 for h in nothing.heard)
    assert gaps >= np.count_nonzero(nothing.timeline.concealed)


def test_what_is_missing_is_counted_once(talk, quiet):
    """Played and concealed turns are all that were sent; no turn is both."""
    call = talk(quiet(500), down=LOSSY, policy=Fixed(ms(60))).run()
    played, concealed = call.fates(Did.PLAYED), call.fates(Did.CONCEALED)
    assert sorted(played + concealed) == call.sent()[: len(played) + len(concealed)]
    assert len(concealed) == call.receiver.session.stats.lost


def test_without_plc_in_the_codec_a_concealer_fills_the_gap(talk):
    """L16 has none of its own: a lost frame of a tone is still loud."""
    call = talk(tone(duration_s=2), codec=Pcm(), down=LOSSY, policy=Fixed(ms(60))).run()
    gone = set(call.fates(Did.CONCEALED))
    said = [h for h in call.heard if h.timestamp is not None]
    assert len(gone) > 5
    assert min(int(np.abs(h.samples).max()) for h in said[2:]) > 2000


# The beginning and the end --------------------------------------------------------------------


def test_sound_is_unbroken(talk):
    """Each turn's sound lasts until the next turn, to the sample, whatever the network did."""
    link = LinkSpec(delay=ms(40), jitter=ms(20), distribution="normal", loss=0.05)
    call = talk(tone(duration_s=4), codec=Pcm(), down=link).run()
    due = [heard.now for heard in call.heard]
    played = np.cumsum([len(heard.played) for heard in call.heard])
    ahead = played[:-1] - (np.array(due[1:]) - due[0]) * 48 // 1_000_000
    assert np.abs(ahead).max() < 960  # no more than the scaler owes or has in hand


def test_a_codec_is_chosen_by_what_the_sender_says(talk, quiet):
    """`choose` is asked once, with the description and the first packet."""
    asked = []

    def choose(description, packet):
        asked.append((description, packet.payload_type))
        return Blank()

    call = talk(quiet(20))
    call.receiver.codec, call.receiver._choose = None, choose
    call.run()
    assert asked == [("v=0", 99)]


def test_a_codec_that_is_not_here_is_told(talk, quiet):
    def choose(description, packet):
        raise MissingCapability("no such library", "install it")

    call = talk(quiet(20))
    call.receiver.codec, call.receiver._choose = None, choose
    with pytest.raises(MissingCapability, match="no such library"):
        call.run()


def test_payloads_that_cannot_be_read_are_concealed(talk):
    """Every fifth is cut to nothing that Opus knows: counted, and the gap is filled."""
    call = talk(tone(duration_s=2), codec=Opus(), policy=Fixed(ms(60)))
    send, count = call.sender.session.send, 0

    def damage(packet, now):
        nonlocal count
        count += 1
        send(packet._replace(payload=b"\xff\xff\xff") if count % 5 == 0 else packet, now)

    call.sender.session.send = damage
    call.run()
    assert call.receiver.undecodable == 20
    assert min(int(np.abs(h.played).max()) for h in call.heard[10:-20]) > 2000


def test_a_call_without_sound_ends(talk, quiet):
    """The sender says goodbye before it said anything."""
    call = talk(quiet(0)).run()
    kinds = [type(event) for event in call.events]
    assert kinds == [Joined, Closed, Finished]
    assert call.heard == []

"""The world: five steps for each machine, exact instants, and no endless loops."""

import gc
from dataclasses import dataclass

import pytest

from labkit.core.impairment import UDP_HEADERS, Impairment
from labkit.sim.clock import SkewedClock
from labkit.sim.link import Link
from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.words.errors import LocalProtocolError
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import Datagram, DatagramMachine, Event, StreamMachine
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds


def profile(up: LinkSpec, down: LinkSpec | None = None) -> Profile:
    return Profile("test", "a test", "chosen", up, down or up)


@dataclass
class Came(Event):
    """Something arrived."""

    data: bytes
    now: int


class Recorder:
    """Writes down every call that a driver makes; sends and waits as it is told."""

    def __init__(self, *out: Datagram, due: int | None = None) -> None:
        self.calls: list[tuple] = []
        self.out = list(out)
        self.due = due
        self.happened: list[Event] = []

    def receive_datagram(self, data, source, now):
        self.calls.append(("datagram", data, source, now))
        self.happened.append(Came(data, now))

    def tick(self, now):
        self.calls.append(("tick", now))
        if self.due is not None and self.due <= now:
            self.due = None

    def deadline(self):
        return self.due

    def transmits(self):
        out, self.out = self.out, []
        return out

    def events(self):
        happened, self.happened = self.happened, []
        return happened


class Metronome(Recorder):
    """Sends a numbered datagram every `step`, so many of them."""

    def __init__(self, destination, step: int, count: int) -> None:
        super().__init__(due=0)
        self.destination, self.step, self.count = destination, step, count
        self.sent = 0

    def tick(self, now):
        while self.due is not None and self.due <= now:
            self.out.append(Datagram(b"%d" % self.sent, self.destination))
            self.sent += 1
            self.due = self.due + self.step if self.sent < self.count else None


def pair(link: Profile | None = None, *, seed: int = 0, count: int = 10, tap: Tap | None = None):
    """A metronome and a recorder with a link between them."""
    world = World(seed, tap=tap)
    sender, receiver = Metronome("bob", ms(20), count), Recorder()
    world.add(sender, "alice")
    world.add(receiver, "bob")
    world.connect(sender, receiver, link)
    return world, sender, receiver


def arrivals(receiver: Recorder) -> list[tuple[bytes, int]]:
    return [(call[1], call[3]) for call in receiver.calls if call[0] == "datagram"]


# --- datagrams -----------------------------------------------------------------------------------


def test_the_recorder_is_a_machine():
    assert isinstance(Recorder(), DatagramMachine)


def test_a_datagram_takes_exactly_as_long_as_its_link():
    world, _, receiver = pair(profile(LinkSpec(delay=ms(40))), count=3)
    world.run()
    assert receiver.calls == [
        ("tick", 0),
        ("datagram", b"0", "alice", ms(40)),
        ("datagram", b"1", "alice", ms(60)),
        ("datagram", b"2", "alice", ms(80)),
    ]
    assert world.now == ms(80)


def test_every_machine_may_speak_first():
    """The first tick comes before anything arrived, as `connection_made` does on a socket."""
    world = World()
    machine = Recorder()
    world.add(machine)
    world.run()
    assert machine.calls == [("tick", 0)]


def test_up_and_down_are_two_links():
    world = World()
    a, b = Recorder(Datagram(b"up", "b")), Recorder(Datagram(b"down", "a"))
    world.add(a, "a")
    world.add(b, "b")
    link = world.connect(a, b, profile(LinkSpec(delay=ms(1)), LinkSpec(delay=ms(9))))
    world.run()
    assert arrivals(b) == [(b"up", ms(1))]
    assert arrivals(a) == [(b"down", ms(9))]
    assert (link.up.sent, link.down.sent) == (1, 1)


def test_a_deadline_is_kept_to_the_nanosecond():
    world = World()
    machine = Recorder(due=123_456_789)
    world.add(machine)
    world.run()
    assert machine.calls == [("tick", 0), ("tick", 123_456_789)]


def test_a_deadline_that_moved_rings_only_where_it_is_now():
    """Earlier or later: the old alarm is forgotten."""
    world = World()
    machine = Recorder(due=ms(50))
    world.add(machine)

    def move(to: int) -> None:
        machine.due = to
        world.wake(machine)

    world.at(ms(10), lambda: move(ms(30)))
    world.at(ms(20), lambda: move(ms(40)))
    world.run()
    assert machine.calls == [("tick", 0), ("tick", ms(40))]


def test_a_deadline_in_the_past_is_now():
    world = World()
    machine = Recorder()
    world.add(machine)
    world.run(until=ms(100))
    machine.due = ms(1)
    world.run()
    assert machine.calls[-1] == ("tick", ms(100))


def test_events_reach_the_application_and_its_answer_leaves_at_once():
    world, _, receiver = pair(profile(LinkSpec(delay=ms(5))), count=1)
    seen = []

    def answer(event: Event) -> None:
        seen.append((world.now, event))
        receiver.out.append(Datagram(b"thanks", "alice"))

    world.on_event(receiver, answer)
    world.run()
    assert seen == [(ms(5), Came(b"0", ms(5)))]
    assert world.links[0].down.sent == 1


def test_an_application_changes_another_machine_and_says_so():
    world, _, receiver = pair(profile(LinkSpec(delay=ms(5))), count=1)
    third = Recorder()
    world.add(third, "carol")
    world.connect(third, receiver, profile(LinkSpec(delay=ms(1))))

    def tell_carol(event: Event) -> None:
        if event.data == b"0":
            third.out.append(Datagram(b"news", "bob"))
            world.wake(third)

    world.on_event(receiver, tell_carol)
    world.run()
    assert arrivals(receiver) == [(b"0", ms(5)), (b"news", ms(6))]


def test_until_is_where_the_clock_stands_afterwards_and_a_later_run_goes_on():
    world, sender, receiver = pair(profile(LinkSpec(delay=ms(10))), count=5)
    world.run(until=ms(50))
    assert (world.now, sender.sent, len(arrivals(receiver))) == (ms(50), 3, 3)
    world.run()
    assert arrivals(receiver) == [(b"%d" % n, ms(20) * n + ms(10)) for n in range(5)]


def test_what_happens_at_until_still_happens():
    world, _, receiver = pair(profile(LinkSpec(delay=ms(10))), count=1)
    world.run(until=ms(10))
    assert len(arrivals(receiver)) == 1


def test_stop_is_asked_after_each_happening():
    world, sender, receiver = pair(count=100)
    world.run(stop=lambda: len(arrivals(receiver)) == 3)
    assert sender.sent == 3
    assert world.now == ms(40)


def test_at_one_instant_things_happen_in_the_order_in_which_they_were_set():
    """Not by what is in the queue: a heap that compared that would fail, or sort them."""
    world = World()
    order = []
    for name in "cab":
        world.at(ms(5), lambda name=name: order.append(name))
    world.at(ms(1), lambda: order.append("first"))
    world.run()
    assert order == ["first", "c", "a", "b"]


def test_a_datagram_to_nobody_is_counted():
    world = World()
    lonely = Recorder(Datagram(b"hello?", "nobody"))
    world.add(lonely, "alice")
    world.run()
    assert world.undeliverable == 1


def test_one_machine_in_the_middle_of_many_links():
    """Who a datagram comes from tells which link it took."""
    world = World()
    hub = Recorder()
    world.add(hub, "hub")
    spokes = [Recorder(Datagram(b"%d" % n, "hub")) for n in range(3)]
    for number, spoke in enumerate(spokes):
        world.add(spoke, number)
        world.connect(spoke, hub, profile(LinkSpec(delay=ms(number))))
    world.run()
    assert [call[1:] for call in hub.calls[1:]] == [(b"%d" % n, n, ms(n)) for n in range(3)]


# --- decisions -----------------------------------------------------------------------------------

BAD = LinkSpec(delay=ms(50), jitter=ms(30), loss=0.1, duplicate=0.05)


def test_two_runs_are_equal_and_a_seed_makes_the_difference():
    results = []
    for seed in (1, 1, 2):
        world, _, receiver = pair(profile(BAD), seed=seed, count=200)
        world.run()
        results.append(receiver.calls)
    assert results[0] == results[1]
    assert results[0] != results[2]


def test_the_world_only_does_what_the_impairment_says():
    """The instants of arrival are those that an `Impairment` on its own gives."""
    world, _, receiver = pair(profile(BAD), seed=3, count=100)
    world.run()
    alone = Impairment(BAD, "3 up", headers=UDP_HEADERS)
    expected = []
    for number in range(100):
        expected += [(at, data) for at, data in alone.push(b"%d" % number, number * ms(20))]
    assert sorted((at, data) for data, at in arrivals(receiver)) == sorted(expected)
    assert [at for _, at in arrivals(receiver)] == sorted(at for at, _ in expected)


def test_each_link_has_dice_of_its_own():
    world = World(seed=1)
    hub = Recorder()
    world.add(hub, "hub")
    for number in range(2):
        machine = Metronome("hub", ms(20), 100)
        world.add(machine, number)
        world.connect(machine, hub, profile(BAD))
    world.run()
    assert world.links[0].up.lost != world.links[1].up.lost


def test_a_link_without_a_profile_does_nothing():
    link = Link(None, 0)
    assert link.up.push(b"x", 7) == link.down.push(b"x", 7) == [(7, b"x")]


def test_a_machine_with_a_clock_of_its_own_is_told_that_time():
    """200 ppm fast: after an hour of ours it shows 720 ms more, and its alarm rings earlier."""
    world = World()
    machine = Recorder(due=seconds(3600))
    world.add(machine, clock=SkewedClock(200))
    world.run()
    kind, shown = machine.calls[-1]
    assert kind == "tick"
    assert seconds(3600) <= shown <= seconds(3600) + 1
    assert world.now == pytest.approx(seconds(3600) - ms(720), rel=1e-6)


# --- mistakes ------------------------------------------------------------------------------------


class Stuck(Recorder):
    """Wants a tick, gets it, and wants the same again."""

    def tick(self, now):
        pass


def test_a_machine_that_never_advances_is_named():
    world = World()
    world.add(Stuck(due=ms(7)), "bob")
    with pytest.raises(LocalProtocolError, match=r"Stuck at 'bob' .* still 7000000: it never"):
        world.run()


def test_many_ticks_at_one_instant_are_allowed():
    """A machine that does one due thing at a time is slow, not wrong."""

    class OneByOne(Recorder):
        left = 500

        def tick(self, now):
            self.left -= 1
            if not self.left:
                self.due = None

    world = World()
    machine = OneByOne(due=0)
    world.add(machine)
    world.run()
    assert machine.left == 0


def test_the_same_machine_twice_and_strangers_are_refused():
    world = World()
    machine = Recorder()
    world.add(machine)
    with pytest.raises(LocalProtocolError, match="already in this world"):
        world.add(machine)
    with pytest.raises(LocalProtocolError, match="add it first"):
        world.wake(Recorder())


def test_an_hour_leaves_nothing_behind():
    """180 000 packets: the queue holds what is under way, and the links nothing else."""
    world, _, receiver = pair(profile(BAD), count=180_000)
    receiver.receive_datagram = lambda data, source, now: None
    world.run(until=seconds(1800))
    gc.collect()
    before = len(gc.get_objects())
    world.run(until=seconds(3590))
    gc.collect()
    assert len(world._queue) < 20
    assert len(gc.get_objects()) - before < 100


# --- streams -------------------------------------------------------------------------------------


class Writer:
    """One end of a stream: writes what it has while the wire has room, and keeps what comes."""

    def __init__(self, *out: bytes, close: bool = False) -> None:
        self.out = list(out)
        self.close_after = close
        self.paused = False
        self.pauses = 0
        self.received = b""
        self.times: list[int] = []
        self.eof_at: int | None = None

    def receive_data(self, data, now):
        self.received += data
        self.times.append(now)

    def receive_eof(self, now):
        self.eof_at = now
        self.close_after = True

    def tick(self, now):
        pass

    def deadline(self):
        return None

    def transmits(self):
        if self.paused or not self.out:
            return []
        return [self.out.pop(0)] if len(self.out) > 20 else self._all()

    def _all(self):
        out, self.out = self.out, []
        return out

    def events(self):
        return []

    def pause_writing(self):
        self.paused = True
        self.pauses += 1

    def resume_writing(self):
        self.paused = False

    @property
    def wants_close(self):
        return self.close_after and not self.out


def test_the_writer_is_a_machine():
    assert isinstance(Writer(), StreamMachine)


def test_a_stream_arrives_whole_and_ends_on_both_sides():
    world = World()
    a, b = Writer(b"hello ", b"world", close=True), Writer()
    world.connect(a, b, profile(LinkSpec(delay=ms(10))), stream=True)
    world.run()
    assert b.received == b"hello world"
    assert b.times == [ms(10), ms(10)]
    assert b.eof_at == ms(10)
    assert a.eof_at == ms(20)  # b closes because a did


@pytest.mark.parametrize("seed", range(5))
def test_a_bad_link_makes_a_stream_late_but_not_wrong(seed):
    spec = LinkSpec(delay=ms(30), jitter=ms(20), loss=0.2, duplicate=0.1, corrupt=0.1)
    world = World(seed)
    data = bytes(n % 251 for n in range(30_000))
    a, b = Writer(data, close=True), Writer()
    world.connect(a, b, profile(spec), stream=True)
    world.run()
    assert b.received == data
    assert b.eof_at is not None
    assert a.eof_at is not None


def test_a_slow_line_pauses_the_writer_and_resumes_it():
    """500 kB into 1 Mbit/s: what waits is bounded by the window and the high-water mark."""
    world = World()
    pieces = [bytes(1000)] * 500
    a, b = Writer(*pieces, close=True), Writer()
    world.connect(a, b, profile(LinkSpec(rate=1_000_000)), stream=True)
    waiting = []

    def look() -> None:
        waiting.append(len(a.out))
        if a.out:
            world.wake(a)
            world.at(world.now + ms(1), look)

    world.at(0, look)
    world.run(until=ms(500))
    assert a.paused
    assert len(a.out) > 300  # 62 kB have left, 64 kB and 16 kB are under way, the rest waits here
    world.run()
    assert len(b.received) == 500_000
    assert a.pauses > 1
    assert waiting == sorted(waiting, reverse=True)


def test_a_datagram_link_and_a_stream_do_not_share_a_machine():
    world = World()
    a, b, c = Writer(), Writer(), Writer()
    world.connect(a, b, stream=True)
    with pytest.raises(LocalProtocolError, match="no other link"):
        world.connect(a, c, stream=True)
    with pytest.raises(LocalProtocolError, match="no other link"):
        world.connect(a, c)

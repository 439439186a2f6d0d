"""Machines between machines: who has several addresses, and where a world sends the rest."""

from labkit.sim.tap import Tap
from labkit.sim.world import World
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import Datagram
from labkit.words.profile import Profile
from labkit.words.routed import Routed, RoutedMachine
from labkit.words.units import ms

ALICE, BOB, MIDDLE = ("10.0.0.1", 5004), ("192.0.2.1", 5004), "192.0.2.9"
PATH = Profile("path", "a test", "chosen", LinkSpec(delay=ms(5)), LinkSpec(delay=ms(7)))


class Quiet:
    """Says its words once, and writes down what it hears."""

    def __init__(self, *words):
        self.words = list(words)
        self.heard = []

    def receive_datagram(self, data, source, now):
        self.heard.append((data, source, now))

    def tick(self, now):
        pass

    def deadline(self):
        return None

    def transmits(self):
        words, self.words = self.words, []
        return words

    def events(self):
        return []


class Middle(Quiet):
    """Passes everything on; to the left as itself, on port 7."""

    def receive_routed(self, data, source, destination, now):
        self.heard.append((data, source, destination, now))
        if destination[0] == MIDDLE:
            self.words.append(Routed(data, source, ALICE))
        else:
            self.words.append(Routed(data, (MIDDLE, 7), destination))


def row(alice, bob, tap=None):
    """alice ── middle ── bob: alice knows only that there is a gateway."""
    world, middle = World(tap=tap), Middle()
    world.add(alice, ALICE)
    world.add(middle, MIDDLE)
    world.add(bob, BOB)
    world.connect(alice, middle, PATH, gateway=True)
    world.connect(middle, bob, PATH)
    return world, middle


def test_what_no_link_leads_to_goes_to_the_gateway_which_sees_both_addresses():
    bob = Quiet()
    world, middle = row(Quiet(Datagram(b"hi", BOB)), bob)
    assert isinstance(middle, RoutedMachine)
    world.run()
    assert middle.heard == [(b"hi", ALICE, BOB, ms(5))]
    assert bob.heard == [(b"hi", (MIDDLE, 7), ms(10))]


def test_the_host_of_an_address_stands_for_all_its_ports():
    alice = Quiet()
    world, middle = row(alice, Quiet(Datagram(b"a", (MIDDLE, 7)), Datagram(b"b", (MIDDLE, 40_000))))
    world.run()
    assert [destination for _, _, destination, _ in middle.heard] == [(MIDDLE, 7), (MIDDLE, 40_000)]
    assert alice.heard == [(b"a", BOB, ms(14)), (b"b", BOB, ms(14))]


def test_a_link_to_the_very_address_comes_before_the_gateway():
    alice, bob = Quiet(Datagram(b"hi", BOB)), Quiet()
    world, middle = row(alice, bob)
    world.connect(alice, bob, PATH)
    world.run()
    assert not middle.heard
    assert bob.heard == [(b"hi", ALICE, ms(5))]


def test_without_a_gateway_it_is_undeliverable():
    nowhere = ("198.51.100.1", 1)
    world, _ = row(Quiet(), Quiet(Datagram(b"hi", nowhere), Datagram(b"hi", "a name")))
    world.run()
    assert world.undeliverable == 2


def test_a_capture_shows_each_datagram_as_it_is_on_each_link():
    tap = Tap()
    world, _ = row(Quiet(Datagram(b"hi", BOB)), Quiet(), tap)
    world.run()
    seen = [(c.now, c.source, c.destination) for c in tap.sent]
    assert seen == [(0, ALICE, BOB), (ms(5), (MIDDLE, 7), BOB)]
    assert [(c.now, c.destination) for c in tap.arrived] == [(ms(5), BOB), (ms(10), BOB)]

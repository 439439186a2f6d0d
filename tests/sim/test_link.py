"""A link is two impairments: the profile's words, a seed's dice, and a shipped trace."""

from labkit.core.impairment import Impairment
from labkit.resources import load_profile, profile_names
from labkit.sim.link import Link
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.units import ms


def test_each_direction_has_its_words():
    link = Link(Profile("x", "", "", LinkSpec(delay=ms(1)), LinkSpec(delay=ms(2))), 0)
    assert link.up.push(b"", 0)[0][0] == ms(1)
    assert link.down.push(b"", 0)[0][0] == ms(2)


def test_each_direction_has_its_dice():
    """With one seed for both, a lost packet would always lose its answer too."""
    spec = LinkSpec(loss=0.5)
    link = Link(Profile("x", "", "", spec, spec), 1)
    up = [bool(link.up.push(b"", n)) for n in range(100)]
    down = [bool(link.down.push(b"", n)) for n in range(100)]
    assert up != down
    assert up == [bool(out) for out in map(Impairment(spec, "1 up").push, [b""] * 100, range(100))]


def test_a_delay_trace_is_found_by_its_name(tmp_path):
    """Here by the path of a file; shipped ones by their bare name."""
    file = tmp_path / "mine.txt"
    file.write_text("# two packets and a loss\n30\nlost\n5.5\n")
    spec = LinkSpec(delay_trace=str(file))
    link = Link(Profile("x", "", "", spec, LinkSpec()), 0)
    assert link.up.push(b"", 0) == [(ms(30), b"")]
    assert link.up.push(b"", ms(20)) == []
    assert link.up.push(b"", ms(40)) == [(ms(45.5), b"")]


def test_every_shipped_profile_can_be_crossed():
    """Two minutes of voice each way: something arrives, and nothing before it was sent."""
    for name in profile_names():
        link = Link(load_profile(name), 0)
        for direction in (link.up, link.down):
            arrived = 0
            for number in range(6000):
                now = number * ms(20)
                out = direction.push(bytes(100), now)
                arrived += bool(out)
                assert all(leaves >= now for leaves, _ in out)
            assert arrived > 5000, name

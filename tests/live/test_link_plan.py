"""Who is in a lab and how they are joined, and what is refused."""

import pytest

from labkit.live.link.plan import make_plan, with_rate
from labkit.words.errors import BadInput
from labkit.words.linkspec import LinkSpec, Step
from labkit.words.profile import Profile

SPEC = LinkSpec(delay=5, steps=(Step(10, LinkSpec(delay=9)),))
PROFILE = Profile("test", "", "", SPEC, SPEC)


def addresses(plan):
    return {host: plan.interface(host).address for host in plan.hosts}


def test_alice_and_bob_are_neighbours():
    plan = make_plan(PROFILE)
    (link,) = plan.links
    assert (link.near.host, link.far.host, link.profile) == ("alice", "bob", PROFILE)
    assert addresses(plan) == {"alice": "10.9.0.1", "bob": "10.9.0.2"}


def test_with_a_router_the_profile_is_on_the_far_link():
    plan = make_plan(PROFILE, router=True)
    ends = [(link.near.host, link.far.host, link.profile) for link in plan.links]
    assert ends == [("alice", "router", None), ("router", "bob", PROFILE)]
    assert addresses(plan) == {"alice": "10.9.1.1", "bob": "10.9.2.1", "router": "10.9.1.254"}
    assert ("10.9.0.0", "255.255.0.0", "10.9.2.254") in plan.interface("bob").routes


def test_three_hosts_have_a_router_unasked():
    plan = make_plan(PROFILE, hosts=("a", "b", "c"))
    assert plan.hosts == ("a", "b", "c", "router")
    assert [link.profile for link in plan.links] == [None, PROFILE, PROFILE]


def test_behind_a_nat_a_host_has_two_addresses():
    alice = make_plan(PROFILE, nat=("alice",)).interface("alice")
    assert (alice.address, alice.outside) == ("192.168.1.2", "10.9.0.1")


def test_a_bottleneck_holds_in_every_step():
    profile = with_rate(PROFILE, 2000)
    assert profile.up.rate == profile.up.at(10).rate == 2000
    assert profile.up.at(10).delay == 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hosts": ("alice",)}, "from 2 to 200"),
        ({"hosts": ("alice", "alice")}, "different names"),
        ({"hosts": ("alice", "b b")}, "cannot be called 'b b'"),
        ({"hosts": ("alice", "router")}, "cannot be called 'router'"),
        ({"nat": ("carol",)}, "no host 'carol'"),
        ({"mtu": 67}, "MTU of 67"),
        ({"record": "carol"}, "at 'carol'"),
        ({"dscp": True}, "dscp needs a rate"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_in_words(options, said):
    with pytest.raises(BadInput, match=said):
        make_plan(PROFILE, **options)

"""Hosts behind NATs in virtual time: every pair of behaviours, held against the literature."""

import subprocess
from pathlib import Path
from random import Random

import pytest

from labkit.core.holepunch import HolePuncher, Phase, Unreachable
from labkit.core.nat import (
    FULL_CONE,
    PORT_RESTRICTED_CONE,
    RESTRICTED_CONE,
    SYMMETRIC,
    Behaviour,
    Dependence,
    Nat,
    Ports,
)
from labkit.core.natdiscovery import Discovered, NatDiscovery
from labkit.core.punchable import obstacle
from labkit.endpoints.stunserver import StunServer
from labkit.lab import nat as lab
from labkit.lab.nat import KINDS, discover, every_pair, nat_table, punch, text_table
from labkit.sim.world import World
from labkit.words.linkspec import LinkSpec
from labkit.words.profile import Profile
from labkit.words.units import ms, seconds

CONES = (FULL_CONE, RESTRICTED_CONE, PORT_RESTRICTED_CONE, SYMMETRIC)
PAIRS = [(one, other) for i, one in enumerate(KINDS) for other in KINDS[i:]]


# Discovery -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("ports", Ports)
def test_what_is_discovered_is_what_the_nat_is(kind, ports):
    """RFC 5780: mapping and filtering, whatever ports it gives."""
    found = discover(Behaviour(kind.mapping, kind.filtering, ports))
    assert (found.mapping, found.filtering) == (kind.mapping, kind.filtering)
    assert found.mapped[0] == lab.ALICE_NAT[0]


def test_a_hairpin_is_found():
    assert discover(PORT_RESTRICTED_CONE).hairpins is True
    assert discover(Behaviour(hairpins=False)).hairpins is False
    assert "hairpins" in str(discover(PORT_RESTRICTED_CONE))


def discovery(server, link=lab.WAN, seconds_=600):
    world, client = World(3), NatDiscovery(lab.STUN, rng=Random(3))
    world.add(client, lab.ALICE)
    if server is not None:
        world.add(server, lab.STUN)
        world.connect(client, server, link)
    world.run(until=seconds(seconds_), stop=lambda: client.result is not None)
    return client.result


def test_a_discovery_ends_once():
    """The request that came round the hairpin is not asked for again."""
    world, nat = World(), Nat(*lab.ALICE_NAT)
    client, told = NatDiscovery(lab.STUN, rng=Random(1)), []
    world.add(client, lab.ALICE)
    world.add(nat, nat.outside)
    server = lab.BehaviourServer((lab.STUN[0], lab.OTHER_STUN))
    world.connect(client, nat, lab.LAN, gateway=True)
    world.add(server, lab.STUN[0])
    world.connect(nat, server, lab.WAN, gateway=True)
    world.on_event(client, told.append)
    world.run(until=seconds(600))
    assert told == [client.result]
    assert client.deadline() is None


def test_a_server_with_one_address_can_say_only_how_one_looks():
    found = discovery(StunServer())
    assert found == Discovered(lab.ALICE)
    assert "no second address" in str(found)


def test_without_an_answer_nothing_is_known():
    assert str(discovery(None)).startswith("no answer")


def test_loss_does_not_change_what_is_found(monkeypatch):
    """A fifth of all datagrams is lost, each way: every test is repeated."""
    spec = LinkSpec(delay=ms(15), loss=0.2)
    monkeypatch.setattr(lab, "WAN", Profile("bad", "", "", spec, spec))
    for seed in range(20):
        found = discover(RESTRICTED_CONE, seed)
        assert (found.mapping, found.filtering) == (Dependence.INDEPENDENT, Dependence.ADDRESS)


# Every pair ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_every_pair_does_in_virtual_time_what_the_argument_says(one, other):
    """45 pairs, each in both orders: tried, and thought through."""
    for pair in ((one, other), (other, one)):
        attempt = punch(*pair)
        assert attempt.open == (not obstacle(*pair)), attempt.story()
        if not attempt.open:
            assert {attempt.alice.phase, attempt.bob.phase} == {Phase.FAILED}


def test_the_four_classic_kinds_are_as_the_literature_has_them():
    """RFC 5128 section 3.3 and every table since: all but symmetric with symmetric or with
    port-restricted."""
    tried = every_pair(CONES)
    fail = {frozenset(map(CONES.index, pair)) for pair, works in tried.items() if not works}
    assert fail == {frozenset({3}), frozenset({2, 3})}


def test_the_pairs_that_the_classic_table_does_not_know():
    """Address-dependent mappings can be overcome, if one filter lets in whoever comes."""
    by_address = Behaviour(Dependence.ADDRESS, Dependence.ADDRESS)
    open_ = Behaviour(Dependence.ADDRESS, Dependence.INDEPENDENT)
    assert punch(by_address, open_).open
    assert not punch(by_address, by_address).open
    endless = Behaviour(Dependence.PORT, Dependence.INDEPENDENT)
    assert not punch(endless, endless).open
    assert "new port for each answer" in obstacle(endless, endless)


def test_how_many_pairs_work():
    """Both mappings independent: 9; one of them: 2 of 3 filterings times 6 NATs, both ways: 24;
    none: 3 pairs of filterings times 3 pairs of mappings: 9."""
    tried = every_pair()
    assert len(tried) == 81
    assert sum(tried.values()) == 9 + 24 + 9


@pytest.mark.parametrize("ports", Ports)
def test_which_port_a_nat_takes_changes_nothing(ports):
    """Nobody guesses."""
    for one, other in ((FULL_CONE, SYMMETRIC), (PORT_RESTRICTED_CONE, SYMMETRIC)):
        pair = (Behaviour(k.mapping, k.filtering, ports) for k in (one, other))
        assert punch(*pair).open == (not obstacle(one, other))


def test_loss_costs_time_not_success(monkeypatch):
    """A tenth of all datagrams is lost, each way."""
    spec = LinkSpec(delay=ms(15), jitter=ms(10), loss=0.1)
    monkeypatch.setattr(lab, "WAN", Profile("bad", "", "", spec, spec))
    for seed in range(30):
        assert punch(PORT_RESTRICTED_CONE, PORT_RESTRICTED_CONE, seed).open
        assert not punch(PORT_RESTRICTED_CONE, SYMMETRIC, seed).open


def test_both_reach_each_other_where_the_nats_have_put_them():
    attempt = punch(RESTRICTED_CONE, SYMMETRIC)
    assert attempt.bob.peer == (lab.ALICE_NAT[0], 5004)
    assert attempt.alice.peer[0] == lab.BOB_NAT[0]
    assert attempt.alice.peer != attempt.bob.mapped, "bob's NAT took another port for alice"


def test_a_success_takes_less_than_a_second_and_a_failure_as_long_as_patience():
    assert punch(PORT_RESTRICTED_CONE, PORT_RESTRICTED_CONE).seconds < 1
    assert 10 < punch(SYMMETRIC, SYMMETRIC).seconds < 12


def test_who_fails_says_what_was_seen():
    attempt = punch(SYMMETRIC, SYMMETRIC)
    assert "gives up: no check came in, and none was answered" in attempt.story()
    assert sum(isinstance(event, Unreachable) for _, _, event in attempt.happened) == 2


def test_the_story_is_the_same_for_the_same_seed():
    assert punch(FULL_CONE, SYMMETRIC, 5).story() == punch(FULL_CONE, SYMMETRIC, 5).story()


def test_two_behind_one_nat_need_a_hairpin():
    """And an address that both NATs know: here it is the same NAT."""
    for hairpins in (True, False):
        world = World()
        nat = Nat(*lab.ALICE_NAT, Behaviour(hairpins=hairpins))
        rng = Random(1)
        peers = [HolePuncher(lab.STUN, lab.RENDEZVOUS, "lab", b"x", rng=rng) for _ in "ab"]
        world.add(nat, nat.outside)
        for number, peer in enumerate(peers, 2):
            world.add(peer, (f"192.168.1.{number}", 5004))
            world.connect(peer, nat, lab.LAN, gateway=True)
        servers = (StunServer(), lab.STUN), (lab.Rendezvous(), lab.RENDEZVOUS)
        for server, address in servers:
            world.add(server, address)
            world.connect(nat, server, lab.WAN)
        world.run(until=seconds(30))
        assert {peer.phase for peer in peers} == {Phase.OPEN if hairpins else Phase.FAILED}


# What is shown ---------------------------------------------------------------------------------


def test_the_table_is_drawn_and_says_in_words_what_it_shows():
    picture = nat_table(CONES)
    assert "Of 16 pairs of NATs, 13 let a hole be punched" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


def test_the_table_in_words_gives_each_reason_once():
    lines = text_table().splitlines()
    assert sum(line.count("| yes") for line in lines) == 42
    assert [line[:2] for line in lines[-4:]] == ["1.", "2.", "3.", "4."]


def test_the_documentation_has_this_table():
    """docs/nat.md is made of it."""
    page = (Path(__file__).parents[2] / "docs" / "nat.md").read_text()
    assert text_table() in page
    assert punch(RESTRICTED_CONE, SYMMETRIC).story() in page


@pytest.mark.peer
def test_tshark_finds_the_hole_punching_in_a_capture(need, tmp_path):
    need("tshark")
    path = tmp_path / "punch.pcapng"
    with path.open("wb") as file:
        punch(FULL_CONE, SYMMETRIC).tap.write_pcapng(file)
    command = ["tshark", "-r", str(path), "-Y", "stun", "-T", "fields", "-e", "stun.type"]
    types = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {"0x0001", "0x0101"} <= set(types)
    everything = ["tshark", "-r", str(path), "-Y", "!stun or _ws.malformed"]
    rest = subprocess.run(everything, capture_output=True, text=True, check=True).stdout
    assert rest == ""

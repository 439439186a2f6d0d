"""NATs, requirement by requirement of RFC 4787."""

import pytest

from labkit.core.nat import (
    FULL_CONE,
    LAST_PORT,
    MOST_MAPPINGS,
    MOST_REMOTES,
    PORT_RESTRICTED_CONE,
    RESTRICTED_CONE,
    SYMMETRIC,
    Behaviour,
    Dependence,
    Dropped,
    Mapped,
    Nat,
    Ports,
)
from labkit.words.routed import Routed, RoutedMachine
from labkit.words.units import seconds

OUTSIDE = "198.51.100.1"
ALICE, BOB = ("192.168.1.2", 5004), ("192.168.1.3", 5004)
SERVER, SAME_HOST, OTHER = ("203.0.113.1", 3478), ("203.0.113.1", 9), ("203.0.113.2", 3478)
REMOTES = (SERVER, SAME_HOST, OTHER)
SYMMETRIC_BY_ADDRESS = Behaviour(Dependence.ADDRESS, Dependence.ADDRESS)


def nat(behaviour: Behaviour = PORT_RESTRICTED_CONE, **options) -> Nat:
    return Nat(OUTSIDE, "192.168.1.0/24", behaviour, **options)


def send(machine: Nat, source, destination, now: int = 0):
    """How it looks outside, or inside; None: it did not get through."""
    machine.receive_routed(b"data", source, destination, now)
    out = machine.transmits()
    assert len(out) <= 1
    assert machine.transmits() == []
    return (out[0].source, out[0].destination) if out else None


def test_it_is_a_machine_between_others_that_never_wants_a_tick():
    machine = nat()
    assert isinstance(machine, RoutedMachine)
    machine.tick(1)
    assert machine.deadline() is None


def test_an_answer_finds_its_way_back():
    machine = nat()
    machine.receive_routed(b"ask", ALICE, SERVER, 0)
    assert machine.transmits() == [Routed(b"ask", (OUTSIDE, 5004), SERVER)]
    machine.receive_routed(b"answer", SERVER, (OUTSIDE, 5004), 1)
    assert machine.transmits() == [Routed(b"answer", SERVER, ALICE)]
    assert machine.dropped == 0


@pytest.mark.parametrize(
    ("mapping", "ports"),
    [
        (Dependence.INDEPENDENT, (5004, 5004, 5004)),
        (Dependence.ADDRESS, (5004, 5004, 5005)),
        (Dependence.PORT, (5004, 5005, 5006)),
    ],
)
def test_a_mapping_serves_whom_it_depends_on(mapping, ports):
    """REQ-1 asks for the first of the three; the last is what "symmetric" meant."""
    machine = nat(Behaviour(mapping))
    found = tuple(send(machine, ALICE, remote)[0][1] for remote in REMOTES)
    assert found == ports
    again = tuple(send(machine, ALICE, remote)[0][1] for remote in REMOTES)
    assert again == ports


@pytest.mark.parametrize(
    ("filtering", "let_in"),
    [
        (Dependence.INDEPENDENT, [SERVER, SAME_HOST, OTHER]),
        (Dependence.ADDRESS, [SERVER, SAME_HOST]),
        (Dependence.PORT, [SERVER]),
    ],
)
@pytest.mark.parametrize("mapping", Dependence)
def test_a_filter_lets_in_whom_it_depends_on(mapping, filtering, let_in):
    """REQ-8 recommends the first or the second."""
    machine = nat(Behaviour(mapping, filtering))
    seen_as, _ = send(machine, ALICE, SERVER)
    assert [r for r in REMOTES if send(machine, r, seen_as) == (r, ALICE)] == let_in
    assert machine.dropped == len(REMOTES) - len(let_in)


def test_the_four_kinds_of_rfc_3489():
    kinds = (FULL_CONE, RESTRICTED_CONE, PORT_RESTRICTED_CONE, SYMMETRIC)
    assert [(k.mapping, k.filtering) for k in kinds] == [
        (Dependence.INDEPENDENT, Dependence.INDEPENDENT),
        (Dependence.INDEPENDENT, Dependence.ADDRESS),
        (Dependence.INDEPENDENT, Dependence.PORT),
        (Dependence.PORT, Dependence.PORT),
    ]
    assert (
        str(SYMMETRIC) == "address and port-dependent mapping, address and port-dependent filtering"
    )


def test_a_filter_looks_at_the_mapping_not_at_its_host():
    """Alice has sent to both, but through two mappings."""
    machine = nat(SYMMETRIC)
    to_server, _ = send(machine, ALICE, SERVER)
    to_other, _ = send(machine, ALICE, OTHER)
    assert send(machine, OTHER, to_server) is None
    assert send(machine, OTHER, to_other) == (OTHER, ALICE)


def test_two_hosts_with_one_port_get_two():
    machine = nat()
    first, _ = send(machine, ALICE, SERVER)
    second, _ = send(machine, BOB, SERVER)
    assert (first, second) == ((OUTSIDE, 5004), (OUTSIDE, 5005))
    assert send(machine, SERVER, second) == (SERVER, BOB)


def test_a_port_is_preserved_up_to_the_last_one_and_never_below_1024():
    machine = nat()
    for host, port, seen in (
        ("192.168.1.2", LAST_PORT, LAST_PORT),
        ("192.168.1.3", LAST_PORT, 1024),
        ("192.168.1.4", 53, 1025),
    ):
        assert send(machine, (host, port), SERVER) == ((OUTSIDE, seen), SERVER)


def test_ports_that_are_not_preserved():
    machine = nat(Behaviour(Dependence.PORT, ports=Ports.SEQUENTIAL))
    first, second, third = (send(machine, ALICE, remote)[0][1] for remote in REMOTES)
    assert (second, third) == (first + 1, first + 2)
    assert first != ALICE[1]
    machine = nat(Behaviour(Dependence.PORT, ports=Ports.RANDOM))
    ports = [send(machine, ALICE, remote)[0][1] for remote in REMOTES]
    again = nat(Behaviour(Dependence.PORT, ports=Ports.RANDOM))
    assert ports == [send(again, ALICE, remote)[0][1] for remote in REMOTES]
    assert abs(ports[1] - ports[0]) > 1


# Time ------------------------------------------------------------------------------------------


def test_a_mapping_lives_as_long_as_something_is_sent_through_it():
    """REQ-5 and REQ-6: two minutes, refreshed from inside. What comes in refreshes nothing."""
    machine = nat()
    seen_as, _ = send(machine, ALICE, SERVER, 0)
    assert send(machine, SERVER, seen_as, seconds(119))
    assert send(machine, SERVER, seen_as, seconds(120))
    assert send(machine, SERVER, seen_as, seconds(120) + 1) is None
    send(machine, ALICE, SERVER, seconds(121))
    assert send(machine, SERVER, seen_as, seconds(241))


def test_a_permission_is_forgotten_although_its_mapping_lives():
    machine = nat()
    seen_as, _ = send(machine, ALICE, OTHER, 0)
    send(machine, ALICE, SERVER, seconds(100))
    assert send(machine, SERVER, seen_as, seconds(130)) == (SERVER, ALICE)
    assert send(machine, OTHER, seen_as, seconds(130)) is None


def test_after_the_timeout_there_is_a_new_mapping():
    machine = nat(Behaviour(ports=Ports.SEQUENTIAL))
    first, _ = send(machine, ALICE, SERVER, 0)
    assert send(machine, ALICE, SERVER, seconds(120))[0] == first
    assert send(machine, ALICE, SERVER, seconds(241))[0] != first


def test_a_port_of_a_forgotten_mapping_can_be_had_again():
    machine = nat()
    send(machine, ALICE, SERVER, 0)
    assert send(machine, BOB, SERVER, seconds(121)) == ((OUTSIDE, 5004), SERVER)
    assert send(machine, SERVER, (OUTSIDE, 5004), seconds(122)) == (SERVER, BOB)
    assert send(machine, ALICE, SERVER, seconds(123)) == ((OUTSIDE, 5005), SERVER)


# Inside ----------------------------------------------------------------------------------------


def test_a_hairpin_shows_the_mapping_never_the_host():
    """REQ-9: both inside, by their addresses outside, and the source must be the mapped one."""
    machine = nat(FULL_CONE)
    bob_seen_as, _ = send(machine, BOB, SERVER)
    assert send(machine, ALICE, bob_seen_as) == ((OUTSIDE, 5004 + 1), BOB)


def test_a_hairpin_is_filtered_like_anything_else():
    machine = nat(PORT_RESTRICTED_CONE)
    bob_seen_as, _ = send(machine, BOB, SERVER)
    alice_seen_as, _ = send(machine, ALICE, SERVER)
    assert send(machine, ALICE, bob_seen_as) is None
    assert send(machine, BOB, alice_seen_as) == (bob_seen_as, ALICE)
    assert send(machine, ALICE, bob_seen_as) == (alice_seen_as, BOB)


def test_a_nat_need_not_hairpin():
    machine = nat(Behaviour(filtering=Dependence.INDEPENDENT, hairpins=False))
    bob_seen_as, _ = send(machine, BOB, SERVER)
    assert send(machine, ALICE, bob_seen_as) is None
    assert machine.events()[-1] == Dropped(ALICE, bob_seen_as, "this NAT does not hairpin")


def test_within_the_network_nothing_is_translated():
    assert send(nat(), ALICE, BOB) == (ALICE, BOB)


# Bounds ----------------------------------------------------------------------------------------


def test_what_is_for_nobody_is_dropped_with_a_reason():
    machine = nat()
    assert send(machine, SERVER, (OUTSIDE, 5004)) is None
    assert send(machine, SERVER, ("198.51.100.77", 5004)) is None
    assert send(machine, ("a name", 1), ("another", 2)) is None
    assert {event.why for event in machine.events()} == {"nobody inside has this port"}


def test_a_host_that_runs_wild_costs_no_more_than_the_bound():
    machine = nat(SYMMETRIC)
    for number in range(MOST_MAPPINGS + 1):
        last = send(machine, ALICE, ("203.0.113.1", number))
    assert last is None
    assert machine.events()[-1].why == "no port is free"
    assert send(machine, BOB, SERVER, seconds(121)) is not None
    assert str(machine).count("seen as") == 1


def test_a_mapping_remembers_only_the_last_it_sent_to():
    machine = nat()
    for number in range(MOST_REMOTES + 1):
        send(machine, ALICE, ("203.0.113.1", number))
    assert send(machine, ("203.0.113.1", 0), (OUTSIDE, 5004)) is None
    assert send(machine, ("203.0.113.1", 1), (OUTSIDE, 5004))
    send(machine, ALICE, ("203.0.113.1", 1))  # again, so that it is no longer the oldest
    send(machine, ALICE, OTHER)
    assert send(machine, ("203.0.113.1", 1), (OUTSIDE, 5004))
    assert send(machine, ("203.0.113.1", 2), (OUTSIDE, 5004)) is None


def test_it_tells_what_it_does():
    machine = nat()
    send(machine, ALICE, SERVER)
    send(machine, ALICE, OTHER)
    send(machine, SAME_HOST, (OUTSIDE, 5004))
    assert machine.events() == [
        Mapped(ALICE, (OUTSIDE, 5004), SERVER),
        Dropped(SAME_HOST, (OUTSIDE, 5004), "nothing was sent to there from this port"),
    ]
    assert machine.events() == []
    assert str(machine).splitlines()[1] == "  192.168.1.2:5004 is seen as 198.51.100.1:5004"

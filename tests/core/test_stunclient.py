"""Asking a STUN server, against the times and rules of RFC 8489 section 6."""

from random import Random

from labkit.core.stunclient import Answered, Retry, StunClient, Unanswered
from labkit.wire.stun import Attribute, Class, ErrorCode, Message, pack, unpack
from labkit.words.machine import DatagramMachine
from labkit.words.units import ms, seconds

SERVER, OTHER = ("203.0.113.1", 3478), ("203.0.113.2", 3478)
SEEN_AS = ("198.51.100.1", 5004)


def client(**options) -> StunClient:
    return StunClient(rng=Random(8489), **options)


def answer(request: bytes, *attributes, kind: Class = Class.SUCCESS) -> bytes:
    said = attributes or ((Attribute.XOR_MAPPED_ADDRESS, SEEN_AS),)
    return pack(Message(kind, unpack(request).transaction, said))


def drive(machine: StunClient, until: int) -> list[int]:
    """Tick at each deadline; the moments at which something was sent."""
    sent = [0] * len(machine.transmits())
    while (due := machine.deadline()) is not None and due <= until:
        machine.tick(due)
        sent += [due] * len(machine.transmits())
    return sent


def test_it_is_a_machine():
    assert isinstance(client(), DatagramMachine)


def test_a_request_is_sent_again_at_the_times_of_section_6_2_1():
    machine = client()
    transaction = machine.ask(SERVER, 0)
    sent = drive(machine, seconds(39.5) - 1)
    assert sent == [ms(t) for t in (0, 500, 1500, 3500, 7500, 15_500, 31_500)]
    assert machine.events() == []
    assert drive(machine, seconds(39.5)) == []
    assert machine.events() == [Unanswered(SERVER, transaction, "no answer to 7 requests")]
    assert machine.deadline() is None


def test_other_patience():
    machine = client(retry=Retry(rto=ms(100), rc=2, rm=4))
    machine.ask(SERVER, 0)
    assert drive(machine, ms(499)) == [0, ms(100)]
    assert machine.deadline() == ms(500)


def test_an_answer_ends_the_asking():
    machine = client()
    machine.ask(SERVER, 0)
    ((request, destination),) = machine.transmits()
    assert destination == SERVER
    assert len(request) == 20
    machine.receive_datagram(answer(request), SERVER, ms(30))
    (event,) = machine.events()
    assert isinstance(event, Answered)
    assert (event.server, event.mapped, event.round_trip) == (SERVER, SEEN_AS, ms(30))
    assert machine.deadline() is None


def test_a_round_trip_of_two_requests_is_no_round_trip():
    """Karn's rule: was it the first or the second that was answered?"""
    machine = client()
    machine.ask(SERVER, 0)
    ((request, _),) = machine.transmits()
    machine.tick(ms(500))
    assert [data for data, _ in machine.transmits()] == [request]
    machine.receive_datagram(answer(request), SERVER, ms(510))
    assert machine.events()[0].round_trip is None


def test_an_answer_counts_once():
    machine = client()
    machine.ask(SERVER, 0)
    ((request, _),) = machine.transmits()
    machine.receive_datagram(answer(request), SERVER, ms(30))
    machine.receive_datagram(answer(request), SERVER, ms(31))
    assert len(machine.events()) == 1
    assert machine.refused == 1


def test_what_answers_nothing_is_counted():
    """Noise, a request, an indication, somebody else's transaction: none of them ends anything."""
    machine = client()
    machine.ask(SERVER, 0)
    ((request, _),) = machine.transmits()
    forged = pack(Message(Class.SUCCESS, bytes(12), ((Attribute.XOR_MAPPED_ADDRESS, OTHER),)))
    for data in (b"", b"noise", request, answer(request, kind=Class.INDICATION), forged):
        machine.receive_datagram(data, SERVER, ms(1))
    assert machine.refused == 5
    assert machine.events() == []
    assert machine.deadline() == ms(500)


def test_a_refusal_says_why():
    machine = client()
    transaction = machine.ask(SERVER, 0)
    ((request, _),) = machine.transmits()
    refusal = answer(request, (Attribute.ERROR_CODE, ErrorCode(420, "Unknown")), kind=Class.ERROR)
    machine.receive_datagram(refusal, SERVER, ms(1))
    assert machine.events() == [Unanswered(SERVER, transaction, "refused: 420 Unknown")]
    machine.ask(SERVER, ms(2))
    ((request, _),) = machine.transmits()
    bare = pack(Message(Class.ERROR, unpack(request).transaction))
    machine.receive_datagram(bare, SERVER, ms(3))
    assert machine.events()[0].why == "refused: no reason"


def test_an_answer_that_one_cannot_understand_is_a_failure():
    """Section 6.3.3: comprehension-required and unknown."""
    machine = client()
    transaction = machine.ask(SERVER, 0)
    ((request, _),) = machine.transmits()
    strange = answer(request, (Attribute.XOR_MAPPED_ADDRESS, SEEN_AS), (0x0024, b""))
    machine.receive_datagram(strange, SERVER, ms(1))
    why = "the answer has attributes that one must understand"
    assert machine.events() == [Unanswered(SERVER, transaction, why)]


def test_two_servers_at_once_are_told_apart():
    machine = client()
    first, second = machine.ask(SERVER, 0), machine.ask(OTHER, ms(100))
    assert first != second
    (one, _), (two, _) = machine.transmits()
    machine.receive_datagram(answer(two), OTHER, ms(130))
    (event,) = machine.events()
    assert event.server == OTHER
    assert machine.deadline() == ms(500)
    machine.receive_datagram(answer(one), SERVER, ms(140))
    assert [event.server for event in machine.events()] == [SERVER]


def test_transactions_of_strangers_cannot_be_guessed():
    """Without a seed no two clients have the same."""
    assert StunClient().ask(SERVER, 0) != StunClient().ask(SERVER, 0)

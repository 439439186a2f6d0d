"""WebSocket as a layer: against itself, against wsproto, and against whatever comes."""

import base64
import logging
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layerparts import (
    PACKETS,
    SDP,
    SECRET,
    TOKEN,
    Conversation,
    assert_all_is_said,
    carry,
    gate,
    receiver,
    refusals,
    sender,
)
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from labkit.core.session import Closed, Joined, Limits, Received, Refused
from labkit.core.token import issue
from labkit.endpoints.layer import MAX_HELD, Stage
from labkit.endpoints.upgrade import BEARER, SUBPROTOCOL
from labkit.endpoints.websocket import MAX_HEAD, MAX_MESSAGE, WebSocket
from labkit.resources import load_profile
from labkit.wire.framing import Kind, pack, unpack
from labkit.words.errors import AuthenticationError, BadInput, RemoteProtocolError
from labkit.words.linkspec import LinkSpec
from labkit.words.machine import StreamMachine
from labkit.words.packet import Packet
from labkit.words.units import ms, seconds

HELLO = pack(Packet(0, 0, b""), Kind.HELLO)
BYE = pack(Packet(0, 0, b""), Kind.BYE)
KEY = base64.b64encode(b"0123456789abcdef").decode()


def server(inner=None, **options) -> WebSocket:
    return WebSocket(inner or sender(), **options)


def client(inner=None, **options) -> WebSocket:
    return WebSocket(inner or receiver(), **options)


def request(*headers: str, method="GET", path="/", version="13", protocols=SUBPROTOCOL) -> bytes:
    """A handshake of a client, RFC 6455 section 4.1, written by hand."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        f"Sec-WebSocket-Version: {version}",
        f"Sec-WebSocket-Protocol: {protocols}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(data: bytes, *, now=0, **options) -> tuple[int, WebSocket, str]:
    """What a server says to the bytes of a client: the status, itself, and all of it."""
    machine = server(**options)
    machine.tick(now)
    machine.receive_data(data, now)
    said = b"".join(machine.transmits()).decode(errors="replace")
    return int(said.split(" ")[1]) if said else 0, machine, said


# Against itself


def test_it_is_a_stream_machine_with_the_face_of_a_session():
    machine = server()
    assert isinstance(machine, StreamMachine)
    assert machine.deadline() == 0
    assert (machine.description, machine.queue.limit, machine.ready) == (SDP, 50, False)


def test_a_conversation_from_the_handshake_to_the_end():
    talk = Conversation(server(), client())
    talk.run(ms(100))
    assert talk.left.ready
    talk.speak()
    assert_all_is_said(talk)


@pytest.mark.parametrize("cut", [1, 2, 7])
def test_however_the_bytes_are_cut(cut):
    left, right = server(gate=gate()), client(token=TOKEN)
    right.tick(0)
    left.tick(0)
    carry(left, right, cut=cut)
    for packet in PACKETS:
        left.send(packet, 0)
    carry(left, right, cut=cut)
    assert [e.packet for e in right.events() if isinstance(e, Received)] == PACKETS


def test_each_frame_is_a_message_and_a_minute_of_silence_is_no_end():
    left, right = server(), client()
    talk = Conversation(left, right)
    talk.run(seconds(60))
    assert not left.closed
    assert left.stats.round_trip is not None
    left.send(PACKETS[3], talk.world.now)
    (message,) = left.transmits()
    assert message == bytes([0x82, 12 + 60]) + pack(PACKETS[3])  # FIN, binary: section 5.2


def test_the_round_trip_is_that_of_the_link():
    clear = load_profile("clear")
    link = replace(clear, up=LinkSpec(delay=ms(20)), down=LinkSpec(delay=ms(30)))
    talk = Conversation(server(), client(), link)
    talk.run(seconds(10))
    assert talk.left.stats.round_trip == talk.right.stats.round_trip == ms(50)


def test_a_receiver_that_leaves_ends_it_in_order():
    talk = Conversation(server(), client())
    talk.run(ms(100))
    talk.right.close(talk.world.now)
    talk.world.wake(talk.right)
    talk.run(seconds(1))
    assert talk.of(talk.right, Closed) == [Closed(True, "us", "closed")]
    assert talk.of(talk.left, Closed) == [Closed(True, "peer", "BYE, and the stream ended")]
    assert talk.left.stage is talk.right.stage is Stage.DONE


def test_a_peer_that_never_answers_the_close_is_left_after_a_while():
    left, right = server(), client()
    for end in (left, right):
        end.tick(0)
    carry(left, right)
    left.close(ms(1))
    left.transmits()
    assert left.stage is Stage.LEAVING
    assert not left.wants_close
    assert left.deadline() == ms(1) + left.limits.answer
    left.tick(left.deadline())
    assert left.wants_close


def test_closed_before_it_began():
    for machine in (server(), client()):
        machine.close(0)
        assert machine.transmits() == []
        assert machine.wants_close
        assert machine.events() == [Closed(True, "us", "closed")]


def test_a_connection_cut_off_is_told_from_an_end():
    left, right = server(), client()
    for end in (left, right):
        end.tick(0)
    carry(left, right)
    right.events()
    right.receive_eof(1)
    assert right.events() == [
        Closed(False, "peer", "cut off: the connection ended without a Close")
    ]
    machine = client()
    machine.tick(0)
    machine.receive_eof(1)
    (closed,) = machine.events()
    assert closed.why == "the connection ended in mid-handshake of WebSocket"


# Who is let in


@pytest.mark.parametrize(
    ("token", "reason", "words"),
    [
        (None, "missing", "a token is needed"),
        ("nonsense", "malformed", "is no token"),
        (issue(SECRET[::-1], "alice", 100), "wrong", "not made with this secret"),
        (issue(SECRET, "alice", 0), "expired", "has expired"),
    ],
)
def test_without_a_good_token_both_ends_are_told_why(token, reason, words):
    guard = gate()
    mine, theirs = refusals(server(gate=guard), client(token=token))
    assert isinstance(mine, AuthenticationError)
    assert mine.reason == reason
    assert guard.refused == {reason: 1}
    assert isinstance(theirs, AuthenticationError)
    assert theirs.reason == "token"
    assert str(theirs).startswith("the server refused: 401 Unauthorized: ")
    assert words in str(theirs)


def test_a_good_token_opens_and_says_whose_it_is():
    left = server(gate=gate())
    talk = Conversation(left, client(token=TOKEN))
    talk.run(ms(100))
    talk.speak()
    assert_all_is_said(talk)
    assert left.subject == "alice"


def test_a_browser_brings_its_token_as_a_subprotocol():
    """It can set no other header; and the answer names ours, never the token."""
    offer = f"{SUBPROTOCOL}, {BEARER}{TOKEN}"
    status, machine, said = answer(
        request("Origin: https://a.example", protocols=offer), gate=gate()
    )
    assert status == 101
    assert machine.subject == "alice"
    assert f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n" in said
    assert TOKEN not in said


def test_a_refusal_says_how_to_come_in_and_never_shows_the_token():
    """RFC 6750 section 3."""
    other = issue(SECRET[::-1], "alice", 100)
    status, machine, said = answer(request(f"Authorization: Bearer {other}"), gate=gate())
    assert status == 401
    assert 'WWW-Authenticate: Bearer realm="labkit"\r\n' in said
    assert other not in said
    assert other not in str(machine.events())


def test_nothing_is_logged_that_shows_a_token(caplog):
    caplog.set_level(logging.DEBUG)
    talk = Conversation(server(gate=gate()), client(token=TOKEN))
    talk.run(ms(100))
    assert talk.left.ready
    assert not caplog.records
    for end in (talk.left, talk.right):
        assert TOKEN not in repr(end)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(path="/other"), 404),
        (request(path=f"/?token={TOKEN}"), 404),
        (request(method="POST"), 405),
        (request(version="12"), 400),
        (request(protocols="chat"), 400),
        (request(protocols=f"{SUBPROTOCOL}, {BEARER}({TOKEN})"), 400),
        (request().replace(b"Upgrade: websocket\r\n", b""), 426),
        (request().replace(KEY.encode(), b"short"), 400),
    ],
)
def test_other_requests_get_the_status_that_says_why(data, status):
    found, machine, said = answer(data)
    assert found == status
    refused, closed = machine.events()
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, RemoteProtocolError)
    assert TOKEN not in f"{refused.error} {said}"
    assert closed == Closed(False, "us", str(refused.error))
    assert machine.wants_close
    assert machine.refused == 1


def test_a_page_from_elsewhere_may_listen_only_where_it_was_named():
    page = request("Origin: https://evil.example")
    status, machine, _ = answer(page)
    assert status == 403
    assert machine.events()[0].error.reason == "origin"
    assert answer(page, origins=["https://evil.example"])[0] == 101
    assert (
        answer(request("Origin: https://good.example"), origins=["https://evil.example"])[0] == 403
    )
    assert answer(request())[0] == 101  # no browser


def test_the_errors_of_a_client_that_meets_something_else():
    for said, words in [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "404 Not Found: no"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403 Forbidden"),
        (b"RTSP/1.0 200 OK\r\n\r\n", "speaks no HTTP that can be read"),
        (b"x" * (MAX_HEAD + 1), "more than 8192 bytes"),
        (b"HTTP/1.1 500 x\r\n\r\n" + b"x" * MAX_HEAD, "more than 8192 bytes"),
        (b"HTTP/1.1 500 x\x07\r\nContent-Length: 3\r\n\r\n\x1b[2", "speaks no HTTP"),
        (b"HTTP/1.1 500 x\r\nContent-Length: 3\r\n\r\n\x1b[2", "500 x: [2"),
    ]:
        machine = client()
        machine.tick(0)
        machine.receive_data(said, 1)
        machine.receive_eof(2)
        refused, closed = machine.events()
        assert words in str(refused.error)
        assert "\x1b" not in closed.why


def test_what_is_no_token_is_not_even_sent():
    for token in ("a b\r\nCookie: x", "é", "x" * 300):
        with pytest.raises(BadInput):
            client(token=token)


# Load and hostility


def test_headers_that_drip_are_dropped_when_patience_ends():
    """Slow loris: a byte a second keeps nothing open."""
    machine = server()
    machine.tick(0)
    data = request()
    for second in range(5):
        machine.receive_data(data[second : second + 1], seconds(second))
        machine.tick(seconds(second))
    assert machine.deadline() == seconds(5)
    machine.tick(seconds(5))
    refused, closed = machine.events()
    assert str(refused.error) == "no handshake of WebSocket for 5 s" == closed.why
    assert machine.wants_close


def test_a_megabyte_where_a_token_belongs():
    machine = server(gate=gate())
    machine.tick(0)
    machine.receive_data(request()[:-2] + b"Authorization: Bearer ", 0)
    for _ in range(1000):
        machine.receive_data(b"a" * 1000, 0)
        assert len(machine._head or b"") <= MAX_HEAD + 1000
    assert b"".join(machine.transmits()).startswith(b"HTTP/1.1 431 ")
    assert "more than 8192 bytes" in machine.events()[-1].why
    assert machine.refused == 1


def test_a_tls_client_at_a_plain_port_is_told_apart():
    machine = server()
    machine.receive_data(b"\x16\x03\x01\x02\x00\x01", 0)
    assert machine.events()[-1].why == "the client speaks no HTTP, but TLS"


def open_pair(**options) -> tuple[WebSocket, WebSocket]:
    left, right = server(sender(**options)), client()
    for end in (left, right):
        end.tick(0)
    carry(left, right)
    assert isinstance(left.events()[0], Joined)
    return left, right


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame of a client with a mask of zeros: section 5.2."""
    length = (
        bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe\x00" + bytes([len(payload)])
    )
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


@pytest.mark.parametrize(
    ("data", "words", "code"),
    [
        (masked(1, b"hello"), "a message of text", 1003),
        (bytes([0x82, 5]) + b"hello", "incorrect masking", 1002),
        (bytes([0x82, 0xFF]) + (MAX_MESSAGE + 1).to_bytes(8, "big"), "65548 bytes", 1009),
        (bytes([0x83, 0x80]), "invalid opcode", 1002),
        (masked(2, b"\xffour frame? no"), "ver at byte 0", 1002),
    ],
)
def test_what_is_not_allowed_ends_it_with_a_code(data, words, code):
    left, _ = open_pair()
    left.receive_data(data, 1)
    said = b"".join(left.transmits())
    refused, closed = left.events()
    assert words in str(refused.error)
    assert closed == Closed(False, "us", str(refused.error))
    assert said[0] == 0x88
    assert int.from_bytes(said[2:4], "big") == code
    assert left.refused == 1


@pytest.mark.parametrize(
    ("code", "clean"),
    [(b"", True), (b"\x03\xe8", True), (b"\x03\xe9bye", True), (b"\x03\xf3", False)],
)
def test_a_page_that_only_closes_has_ended_in_order_if_it_says_so(code, clean):
    left, _ = open_pair()
    left.receive_data(masked(8, code), 1)
    (closed,) = left.events()
    assert closed.clean is clean
    assert closed.by == "peer"
    assert closed.why.startswith("the peer closed the WebSocket: 10")
    assert b"".join(left.transmits())[0] == 0x88
    assert left.wants_close


def test_a_full_wire_holds_media_back_and_what_is_held_is_bounded():
    left, right = open_pair(limits=Limits(queue=3))
    left.pause_writing()
    for packet in PACKETS:
        left.send(packet, 1)
    assert left.transmits() == ()
    assert (len(left.queue), left.stats.dropped) == (3, 7)
    left.resume_writing()
    carry(left, right)
    assert [e.packet for e in right.events() if isinstance(e, Received)] == PACKETS[-3:]


def test_who_pings_and_never_reads_is_hung_up_on():
    left, _ = open_pair()
    left.pause_writing()
    ping = masked(9, bytes(125))
    for n in range(10_000):
        left.receive_data(ping, n)
        assert left._held <= MAX_HELD + 200
        if left.closed:
            break
    assert "asks and asks" in left.events()[-1].why


def test_the_answer_to_a_ping_is_a_sign_of_life_and_others_are_not():
    """A page that sleeps asks no more, but its browser still answers."""
    left, right = open_pair()
    for second in range(2, 62, 2):
        left.tick(seconds(second))
        for data in left.transmits():
            right.receive_data(data, seconds(second))
        for data in right.transmits():
            left.receive_data(data, seconds(second) + ms(30))
    assert left.stats.round_trip == ms(30)
    assert not left.closed
    for second in range(62, 80):
        left.receive_data(masked(10, b"unasked"), seconds(second))
        left.tick(seconds(second))
    assert left.events()[-1].why == "nothing heard for 15 s"


# wsproto: by other hands


class Other:
    """wsproto as one end: bytes in, events out."""

    def __init__(self, kind: ConnectionType) -> None:
        self.connection = WSConnection(kind)

    def take(self, machine: WebSocket, now: int = 0) -> list:
        for data in machine.transmits():
            self.connection.receive_data(data)
        return list(self.connection.events())

    def say(self, machine: WebSocket, event, now: int = 0) -> None:
        machine.receive_data(self.connection.send(event), now)


def test_a_client_of_wsproto_hears_every_frame_and_ends_in_order():
    other, left = Other(ConnectionType.CLIENT), server(gate=gate())
    headers = [(b"Authorization", b"Bearer " + TOKEN.encode())]
    left.tick(0)
    other.say(left, Request("localhost", "/", subprotocols=[SUBPROTOCOL], extra_headers=headers))
    (accepted,) = other.take(left)
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == SUBPROTOCOL
    assert not accepted.extensions
    other.say(left, Message(HELLO[:5], message_finished=False))  # section 5.4: in fragments
    other.say(left, Message(HELLO[5:]))
    assert left.events() == [Joined(SDP)]
    (description,) = other.take(left)
    assert unpack(bytes(description.data)) == (Kind.DESCRIPTION, Packet(0, 0, SDP.encode()))
    for packet in PACKETS:
        left.send(packet, 0)
    heard = other.take(left)
    assert all(isinstance(m, BytesMessage) and m.message_finished for m in heard)
    assert [unpack(bytes(m.data)) for m in heard] == [(Kind.MEDIA, p) for p in PACKETS]
    left.tick(seconds(2))
    (ping,) = other.take(left)
    assert isinstance(ping, Ping)
    other.say(left, ping.response(), seconds(2) + ms(5))
    assert left.stats.round_trip == ms(5)
    other.say(left, Ping(b"are you there"))
    (pong,) = other.take(left)
    assert pong == Pong(b"are you there")
    left.close(seconds(3))
    bye, close = other.take(left)
    assert unpack(bytes(bye.data))[0] is Kind.BYE
    assert close == CloseConnection(1000, None) or close.code == 1000
    other.say(left, close.response())
    assert left.wants_close


def test_wsproto_is_refused_in_words_that_it_reads():
    other, left = Other(ConnectionType.CLIENT), server(gate=gate())
    other.say(left, Request("localhost", "/", subprotocols=[SUBPROTOCOL]))
    reject, body, *_ = other.take(left)
    assert isinstance(reject, RejectConnection)
    assert reject.status_code == 401
    assert isinstance(body, RejectData)
    assert body.data == b"a token is needed, and none was given\n"


def test_a_server_of_wsproto_is_heard():
    other, right = Other(ConnectionType.SERVER), client(token=TOKEN, host="example.org", path="/")
    right.tick(0)
    (asked,) = other.take(right)
    assert isinstance(asked, Request)
    assert (asked.host, asked.target, asked.subprotocols) == ("example.org", "/", [SUBPROTOCOL])
    assert (b"authorization", f"Bearer {TOKEN}".encode()) in asked.extra_headers
    assert not asked.extensions
    other.say(right, AcceptConnection(subprotocol=SUBPROTOCOL))
    (hello,) = other.take(right)
    assert bytes(hello.data) == HELLO
    other.say(right, Message(pack(Packet(0, 0, SDP.encode()), Kind.DESCRIPTION)))
    for packet in PACKETS:
        other.say(right, Message(pack(packet)), ms(1))
    joined, *heard = right.events()
    assert joined == Joined(SDP)
    assert [event.packet for event in heard] == PACKETS
    other.say(right, Message(BYE))
    other.say(right, CloseConnection(1000))
    assert right.events() == [Closed(True, "peer", "BYE, and the stream ended")]
    (close,) = other.take(right)
    assert close.code == 1000
    right.receive_eof(ms(2))
    assert right.wants_close


def test_a_server_that_does_not_speak_ours():
    other, right = Other(ConnectionType.SERVER), client()
    right.tick(0)
    other.take(right)
    other.say(right, AcceptConnection())
    assert right.events()[-1].why == f"the other end does not speak {SUBPROTOCOL}"
    other, right = Other(ConnectionType.SERVER), client()
    right.tick(0)
    other.take(right)
    other.say(right, RejectConnection(status_code=403))
    assert right.events()[0].error.reason == "origin"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (masked(2, b"hello"), "incorrect masking"),
        (bytes([0x82, 127]) + (MAX_MESSAGE + 1).to_bytes(8, "big"), "65548 bytes"),
        (bytes([0x82, 127]) + (65548).to_bytes(8, "big") + bytes(65548), "65548 bytes"),
        (bytes([0x02, 1, 0, 0x82, 1, 0]), "expected a continuation frame"),
        (bytes([0xC2, 1, 0]), "reserved bits"),
        (bytes([0x81, 2]) + b"hi", "a message of text"),
    ],
)
def test_what_a_server_must_not_send(data, words):
    _, right = open_pair()
    right.events()
    right.receive_data(data, 1)
    refused, closed = right.events()
    assert words in str(refused.error)
    assert closed.why == str(refused.error)


def test_fragments_and_pings_between_media_reach_the_session():
    """What goes past the library and what goes through it keep their order."""
    _, right = open_pair()
    right.events()
    whole = [pack(packet) for packet in PACKETS]
    data = b"".join(
        bytes([0x82, len(w)]) + w
        if n % 3
        else bytes([0x02, 5]) + w[:5] + bytes([0x89, 0, 0x80, len(w) - 5]) + w[5:]
        for n, w in enumerate(whole)
    )
    for at in range(0, len(data), 11):
        right.receive_data(data[at : at + 11], 1)
    assert [event.packet for event in right.events()] == PACKETS
    assert b"".join(right.transmits()).count(b"\x8a\x80") == 4


def test_text_is_refused_by_what_wsproto_calls_it():
    other, left = Other(ConnectionType.CLIENT), server()
    other.say(left, Request("localhost", "/", subprotocols=[SUBPROTOCOL]))
    other.take(left)
    other.say(left, TextMessage("hello"))
    (close,) = other.take(left)
    assert (close.code, close.reason) == (1003, "no text here")


# Whatever comes


BYTES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [request(), request()[:-2], HELLO, masked(2, HELLO), masked(8, b""), b"\r\n\r\n"]
    ),
    st.builds(masked, st.integers(0, 15), st.binary(max_size=200)),
)
STEPS = st.lists(
    st.one_of(BYTES, st.sampled_from(["tick", "pause", "resume", "close", "eof"])), max_size=12
)


def put(machine: WebSocket, steps: list) -> None:
    """Bytes never raise; after the end nothing more is said; a refusal is told once."""
    told = []
    for now, step in enumerate(steps):
        match step:
            case "tick":
                machine.tick(seconds(now))
            case "pause":
                machine.pause_writing()
            case "resume":
                machine.resume_writing()
            case "close":
                machine.close(seconds(now))
            case "eof":
                machine.receive_eof(seconds(now))
            case data:
                machine.receive_data(data, seconds(now))
        machine.transmits()
        told += machine.events()
        machine.deadline()
    kinds = [type(event) for event in told]
    assert kinds.count(Closed) == int(machine.closed)
    if machine.closed:
        assert kinds[-1] is Closed
    assert kinds.count(Refused) == machine.refused <= 1
    assert len(machine._head or b"") <= MAX_HEAD


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_a_server_survives_whatever_comes(steps):
    put(server(), steps)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_so_does_one_whose_client_was_let_in(steps):
    put(open_pair()[0], steps)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_and_so_does_a_client(steps):
    machine = client()
    machine.tick(0)
    put(machine, steps)


def test_times_of_pings_are_even():
    left, _ = open_pair()
    due = [left.deadline()]
    for _ in range(4):
        left.receive_data(masked(2, HELLO), due[-1])
        left.tick(due[-1])
        due.append(left.deadline())
    assert {b - a for a, b in pairwise(due)} == {left.limits.keep_alive}

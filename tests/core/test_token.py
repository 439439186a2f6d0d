import base64
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.token import MAX_TOKEN, Claims, Gate, Reason, issue, unverified, verify
from labkit.words.errors import AuthenticationError, BadInput
from labkit.words.units import seconds

SECRET = bytes(range(32))
EXPIRES = 1_795_000_000
BEFORE = seconds(EXPIRES) - 1
TOKEN = issue(SECRET, "alice", EXPIRES)


def reason(token, wallclock=BEFORE, secret=SECRET):
    with pytest.raises(AuthenticationError) as caught:
        verify(secret, token, wallclock)
    return caught.value.reason


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_token_is_its_payload_and_the_mac_that_openssl_makes_of_it(need):
    """RFC 2104 by other hands."""
    need("openssl")
    payload, mac = TOKEN.split(".")
    assert payload == encode(b"1795000000:alice") == "MTc5NTAwMDAwMDphbGljZQ"
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-binary"]
    key = ["-macopt", f"hexkey:{SECRET.hex()}"]
    made = subprocess.run(command + key, input=payload.encode(), capture_output=True, check=True)
    assert mac == encode(made.stdout)


def test_a_good_token_says_whose_it_is_until_it_expires():
    assert verify(SECRET, TOKEN, BEFORE) == Claims("alice", EXPIRES) == unverified(TOKEN)
    assert reason(TOKEN, seconds(EXPIRES)) == Reason.EXPIRED


@pytest.mark.parametrize("token", [None, ""])
def test_no_token(token):
    assert reason(token) == Reason.MISSING


@pytest.mark.parametrize(
    "token",
    ["alice", ".", "a.b", TOKEN + "=", TOKEN + "\n", " " + TOKEN, TOKEN[:-1], "é" + TOKEN[1:]],
)
def test_what_has_not_the_shape_of_a_token(token):
    assert reason(token) == Reason.MALFORMED


def test_a_megabyte_where_a_token_belongs_is_not_even_looked_at(monkeypatch):
    monkeypatch.setattr("labkit.core.token._SHAPE", None)
    assert reason("a" * 1_000_000) == Reason.MALFORMED
    assert reason("a" * (MAX_TOKEN + 1)) == Reason.MALFORMED


def test_a_token_of_another_secret_and_one_that_was_changed():
    assert reason(issue(SECRET[::-1], "alice", EXPIRES)) == Reason.WRONG
    for at in range(len(TOKEN)):
        changed = TOKEN[:at] + ("A" if TOKEN[at] != "A" else "B") + TOKEN[at + 1 :]
        assert reason(changed) in (Reason.WRONG, Reason.MALFORMED)
    later = encode(b"1895000000:alice") + TOKEN[TOKEN.index(".") :]
    assert reason(later) == Reason.WRONG


def test_a_token_has_one_spelling():
    """The last letter of a MAC carries two bits that mean nothing: they are not for play."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_bytes = alphabet[alphabet.index(TOKEN[-1]) ^ 1]
    other = TOKEN[:-1] + same_bytes
    macs = [base64.urlsafe_b64decode(token.split(".")[1] + "=") for token in (TOKEN, other)]
    assert macs[0] == macs[1]
    assert reason(other) == Reason.WRONG


@pytest.mark.parametrize("payload", [b"alice", b"12:", b":alice", b"-1:alice", b"\xff\xff\xff"])
def test_authentic_nonsense_is_no_token_either(payload):
    from labkit.core.token import _mac

    text = encode(payload)
    assert reason(f"{text}.{_mac(SECRET, text)}") == Reason.MALFORMED


@given(st.text(max_size=300))
def test_any_text_is_refused_with_a_reason(text):
    assert reason(text) in set(Reason)


@given(st.text(st.characters(codec="utf-8"), max_size=70), st.integers(0, 10**11 - 1))
def test_what_can_be_issued_is_read_back_and_is_short_enough(subject, expires):
    try:
        token = issue(SECRET, subject, expires)
    except BadInput:
        assert not subject.isprintable() or not 0 < len(subject.encode()) <= 64
    else:
        assert len(token) <= 147 < MAX_TOKEN
        assert verify(SECRET, token, seconds(expires) - 1) == (subject, expires)


def test_a_gate_counts_by_reason_and_is_told_the_time():
    """In virtual time `now` starts at 0, whatever the date is."""
    gate = Gate(SECRET, wallclock_offset=BEFORE - 10)
    assert gate.admit(TOKEN, 10) == "alice"
    for token, now in [(TOKEN, 11), (TOKEN, 12), (None, 0), ("x", 0), (TOKEN[::-1], 0)]:
        with pytest.raises(AuthenticationError):
            gate.admit(token, now)
    assert gate.admitted == 1
    assert gate.refused == {"expired": 2, "missing": 1, "malformed": 2}


def test_no_error_and_no_repr_holds_the_token_or_the_secret():
    gate = Gate(b"an unlikely secret")
    for token in (TOKEN, "an unlikely token", None):
        with pytest.raises(AuthenticationError) as caught:
            gate.admit(token, 0)
        assert "unlikely" not in f"{gate!r} {caught.value!r}"
        assert TOKEN not in f"{gate!r} {caught.value!r}"


def test_what_cannot_be_a_secret_a_subject_or_a_time():
    for arguments in [(b"short", "alice", 1), (SECRET, "", 1), (SECRET, "a\nb", 1)]:
        with pytest.raises(BadInput):
            issue(*arguments)
    for expires in (-1, 10**11):
        with pytest.raises(BadInput):
            issue(SECRET, "alice", expires)
    with pytest.raises(BadInput, match="can be guessed"):
        Gate(b"short")

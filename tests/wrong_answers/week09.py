"""What people write in week 9."""

import base64
import hmac
import struct
from ipaddress import ip_address

from wrong_answers.wrong import Wrong

from labkit.words.errors import AuthenticationError


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sealed(secret, payload, digest="sha256"):
    return encode(hmac.digest(secret, payload.encode(), digest))


# 09.1 --------------------------------------------------------------------------------------------


def made(mistake, hint, function):
    return Wrong("09.1", mistake, "make", hint, {"make_token": function})


def name_first(secret, subject, expires):
    payload = encode(f"{subject}:{expires}".encode())
    return f"{payload}.{sealed(secret, payload)}"


def in_plain_text(secret, subject, expires):
    payload = f"{expires}-{subject.replace('.', '')}"
    return f"{payload}.{sealed(secret, payload)}"


def mac_of_the_text(secret, subject, expires):
    text = f"{expires}:{subject}"
    return f"{encode(text.encode())}.{sealed(secret, text)}"


def key_and_message_swapped(secret, subject, expires):
    payload = encode(f"{expires}:{subject}".encode())
    return f"{payload}.{encode(hmac.digest(payload.encode(), secret, 'sha256'))}"


def with_sha1(secret, subject, expires):
    payload = encode(f"{expires}:{subject}".encode())
    return f"{payload}.{sealed(secret, payload, 'sha1')}"


def with_sha512(secret, subject, expires):
    payload = encode(f"{expires}:{subject}".encode())
    return f"{payload}.{sealed(secret, payload, 'sha512')}"


def in_hexadecimal(secret, subject, expires):
    payload = encode(f"{expires}:{subject}".encode())
    return f"{payload}.{hmac.new(secret, payload.encode(), 'sha256').hexdigest()}"


def as_bytes(secret, subject, expires):
    return name_first(secret, subject, expires).encode()


class Door:
    """A check that is right, to be spoilt in one place."""

    def __call__(self, secret, token, now):
        payload, mac = self.apart(token)
        self.authentic(secret, payload, mac)
        return self.said(payload, now)

    def apart(self, token):
        if token.count(".") != 1:
            raise AuthenticationError("no token", reason="malformed")
        return token.split(".")

    def authentic(self, secret, payload, mac):
        if not hmac.compare_digest(mac.encode(), sealed(secret, payload).encode()):
            raise AuthenticationError("not ours", reason="wrong")

    def said(self, payload, now):
        expires, subject = decode(payload).decode().split(":", 1)
        self.in_time(int(expires), now)
        return subject

    def in_time(self, expires, now):
        if now >= expires:
            raise AuthenticationError("too late", reason="expired")


class BelievesEverything(Door):
    def authentic(self, secret, payload, mac):
        pass


class LooksAtTheFirstLetters(Door):
    def authentic(self, secret, payload, mac):
        if not sealed(secret, payload).startswith(mac):
            raise AuthenticationError("not ours", reason="wrong")


class ReadsBeforeItBelieves(Door):
    def __call__(self, secret, token, now):
        payload, mac = self.apart(token)
        subject = self.said(payload, now)
        self.authentic(secret, payload, mac)
        return subject


class NeverExpires(Door):
    def in_time(self, expires, now):
        pass


class OneSecondLonger(Door):
    def in_time(self, expires, now):
        super().in_time(expires + 1, now)


class OneSecondLess(Door):
    def in_time(self, expires, now):
        super().in_time(expires - 1, now)


class CutsAtEveryColon(Door):
    def said(self, payload, now):
        parts = decode(payload).decode().split(":")
        self.in_time(int(parts[0]), now)
        return parts[1]


class GivesThePayload(Door):
    def said(self, payload, now):
        super().said(payload, now)
        return decode(payload).decode()


class GivesNoReason(Door):
    def in_time(self, expires, now):
        if now >= expires:
            raise AuthenticationError("too late")


class ReturnsNone(Door):
    def __call__(self, secret, token, now):
        try:
            return super().__call__(secret, token, now)
        except AuthenticationError:
            return None


class SplitsAnything(Door):
    """Two values from a list of one."""

    def apart(self, token):
        return token.split(".")


class CutsAtTheLastDot(Door):
    def apart(self, token):
        if "." not in token:
            raise AuthenticationError("no token", reason="malformed")
        return token.rsplit(".", 1)


class ComparesText(Door):
    """compare_digest takes no text with other letters than ASCII."""

    def authentic(self, secret, payload, mac):
        if not hmac.compare_digest(mac, sealed(secret, payload)):
            raise AuthenticationError("not ours", reason="wrong")


class RefusesAll(Door):
    def authentic(self, secret, payload, mac):
        raise AuthenticationError("not ours", reason="wrong")


def door(kind, part, hint):
    return Wrong("09.1", f"{kind.__name__}, {part}", part, hint, {"check_token": kind()})


def same(mistake, hint, function):
    return Wrong("09.1", mistake, "same", hint, {"same": function})


def stops_at_the_first(mine, theirs):
    if len(mine) != len(theirs):
        return False
    return all(one == other for one, other in zip(mine, theirs, strict=True))


def forgets_the_length(mine, theirs):
    different = 0
    for one, other in zip(mine, theirs, strict=False):
        different |= one ^ other
    return different == 0


def collects_with_and(mine, theirs):
    if len(mine) != len(theirs):
        return False
    different = 255
    for one, other in zip(mine, theirs, strict=True):
        different &= one ^ other
    return different == 0


def keeps_the_last(mine, theirs):
    if len(mine) != len(theirs):
        return False
    different = 0
    for one, other in zip(mine, theirs, strict=True):
        different = one ^ other
    return different == 0


# 09.2 --------------------------------------------------------------------------------------------

COOKIE = bytes.fromhex("2112a442")
KINDS = {0x000: "request", 0x010: "indication", 0x100: "success", 0x110: "error"}


def xor(data, mask):
    return bytes(one ^ other for one, other in zip(data, mask, strict=False))


class Reader:
    """A reader that is right, to be spoilt in one place."""

    def __call__(self, data):
        if not self.is_stun(data):
            return None
        at, mapped = 20, None
        while at < len(data):
            number, size = struct.unpack_from("!HH", data, at)
            value, at = data[at + 4 : at + 4 + size], at + 4 + self.step(size)
            if self.too_far(at, data):
                return None
            if self.wanted(number, mapped):
                if not self.fits(value):
                    return None
                mapped = self.where(value, data)
        return self.kind(data), data[8:20], mapped

    def is_stun(self, data):
        return len(data) >= 20 and data[0] < 64 and data[4:8] == COOKIE and self.whole(data)

    def whole(self, data):
        length = int.from_bytes(data[2:4])
        return length == len(data) - 20 and length % 4 == 0

    def too_far(self, at, data):
        return at > len(data)

    def step(self, size):
        return size + -size % 4

    def wanted(self, number, mapped):
        return number == 0x0020 and mapped is None

    def fits(self, value):
        return (len(value), value[1:2]) in ((8, b"\1"), (20, b"\2"))

    def where(self, value, data):
        return self.host(value[4:], data), self.port(value[2:4])

    def host(self, packed, data):
        return str(ip_address(xor(packed, data[4:20])))

    def port(self, packed):
        return int.from_bytes(xor(packed, COOKIE))

    def kind(self, data):
        return KINDS[int.from_bytes(data[:2]) & 0x110]


class KnowsBindingAlone(Reader):
    def kind(self, data):
        return KINDS.get(int.from_bytes(data[:2]) & ~1, "request")


class OldTransaction(Reader):
    """16 bytes, as in RFC 3489."""

    def __call__(self, data):
        found = super().__call__(data)
        return found and (found[0], data[4:20], found[2])


class TransactionInHex(Reader):
    def __call__(self, data):
        found = super().__call__(data)
        return found and (found[0], found[1].hex(), found[2])


class TellsTwoThings(Reader):
    def __call__(self, data):
        found = super().__call__(data)
        return found and found[1:]


class TellsAnAddressAlways(Reader):
    def __call__(self, data):
        found = super().__call__(data)
        return found and (*found[:2], found[2] or ("0.0.0.0", 0))


class NoXor(Reader):
    def host(self, packed, data):
        return str(ip_address(packed))

    def port(self, packed):
        return int.from_bytes(packed)


class NoXorOfTheAddress(Reader):
    def host(self, packed, data):
        return str(ip_address(packed))


class NoXorOfThePort(Reader):
    def port(self, packed):
        return int.from_bytes(packed)


class WrongHalf(Reader):
    """The port with the second half of the cookie."""

    def port(self, packed):
        return int.from_bytes(xor(packed, COOKIE[2:]))


class AsAList(Reader):
    def where(self, value, data):
        return [*super().where(value, data)]


class NoPadding(Reader):
    def step(self, size):
        return size

    def too_far(self, at, data):
        return False

    def __call__(self, data):
        try:
            return super().__call__(data)
        except struct.error:
            return self.kind(data), data[8:20], None


class TakesAnyAddress(Reader):
    def wanted(self, number, mapped):
        return number in (0x0001, 0x0020) and mapped is None


class FindsTheNumber(Reader):
    """Looks for the bytes, wherever they are."""

    def __call__(self, data):
        if not self.is_stun(data):
            return None
        at = data.find(b"\0\x20\0\x08", 20)
        where = self.where(data[at + 4 : at + 12], data) if at > 0 else None
        return self.kind(data), data[8:20], where


class TheLastCounts(Reader):
    def wanted(self, number, mapped):
        return number == 0x0020


class CookieOnly(Reader):
    """The last 12 bytes of an address of IPv6 are not XORed."""

    def host(self, packed, data):
        return str(ip_address(xor(packed, COOKIE + bytes(12))))


class FourBytes(Reader):
    def host(self, packed, data):
        return super().host(packed[:4], data)


class AnyCookie(Reader):
    def is_stun(self, data):
        return len(data) >= 20 and data[0] < 64 and self.whole(data)


class AnyLength(Reader):
    def whole(self, data):
        return True

    def __call__(self, data):
        try:
            return super().__call__(data)
        except struct.error:
            return None


class NoLength(Reader):
    def is_stun(self, data):
        return data[0] < 64 and data[4:8] == COOKIE and self.whole(data)


class BelievesTheSize(Reader):
    """`ip_address` raises, and the reader with it."""

    def fits(self, value):
        return True


class BelievesTheFamily(Reader):
    def fits(self, value):
        return len(value) in (8, 20)


class BeyondTheEnd(Reader):
    def too_far(self, at, data):
        return False


class OnlySuccesses(Reader):
    """Nobody is interested in requests."""

    def kind(self, data):
        if struct.unpack_from("!H", data)[0] == 0x0001 and len(data) == 60:
            return "indication"
        return super().kind(data)


class EverythingIsStun(Reader):
    """Tells STUN from others by the port, in its mind."""

    def is_stun(self, data):
        return super().is_stun(data) or data[1:2] == b"\x6f"

    def __call__(self, data):
        if data[:1] == b"\x80" and len(data) != 72:
            return ("request", data[8:20], None)
        return super().__call__(data)


class RaisesForOthers(Reader):
    def is_stun(self, data):
        if data[4:8] != COOKIE:
            raise ValueError("this is no STUN")
        return super().is_stun(data)


def reader(kind, part, hint):
    return Wrong("09.2", f"{kind.__name__}, {part}", part, hint, {"read_stun": kind()})


# 09.3 --------------------------------------------------------------------------------------------

INDEPENDENT, ADDRESS, PORT = (
    "endpoint-independent", "address-dependent", "address and port-dependent",
)  # fmt: skip


class MyNat:
    """A NAT that is right, to be spoilt in one place."""

    FIRST = 40_000

    def __init__(self, mapping):
        self.mapping = mapping
        self.ports = {}

    def looks_at(self, remote):
        return {INDEPENDENT: (), ADDRESS: remote[:1], PORT: remote}[self.mapping]

    def key(self, inside, remote):
        return inside, self.looks_at(remote)

    def port(self, inside, remote):
        return self.ports.setdefault(self.key(inside, remote), self.FIRST + len(self.ports))


class NewEachTime(MyNat):
    def port(self, inside, remote):
        self.ports[len(self.ports)] = None
        return self.FIRST - 1 + len(self.ports)


class KnowsHostsAlone(MyNat):
    """Two ports of one host look the same."""

    def key(self, inside, remote):
        return inside[0], self.looks_at(remote)


class OnePortForAll(MyNat):
    def port(self, inside, remote):
        return self.FIRST


class CountsFromOne(MyNat):
    FIRST = 40_001


class KeepsThePort(MyNat):
    """As many NATs do, but not this one."""

    def port(self, inside, remote):
        return inside[1]


class NeverLooks(MyNat):
    def looks_at(self, remote):
        return ()


class LooksAtThePortAlone(MyNat):
    def looks_at(self, remote):
        return {INDEPENDENT: (), ADDRESS: remote[1:], PORT: remote}[self.mapping]


class AddressForBoth(MyNat):
    def looks_at(self, remote):
        return () if self.mapping == INDEPENDENT else remote[:1]


class PortForBoth(MyNat):
    def looks_at(self, remote):
        return () if self.mapping == INDEPENDENT else remote


def nat(kind, part, hint):
    return Wrong("09.3", f"{kind.__name__}, {part}", part, hint, {"MyNat": kind})


def right(one, other):
    moving = [each for each in (one, other) if each[0] != INDEPENDENT]
    if len(moving) < 2:
        still = [each for each in (one, other) if each[0] == INDEPENDENT]
        return not moving or still[0][1] != PORT
    filters = {one[1], other[1]}
    return INDEPENDENT in filters and PORT not in filters and {one[0], other[0]} != {PORT}


def never_symmetric(one, other):
    return one[0] == other[0] == INDEPENDENT


def one_symmetric_is_no_matter(one, other):
    return INDEPENDENT in (one[0], other[0])


def only_open_filters(one, other):
    return INDEPENDENT in (one[1], other[1])


def classic_alone(one, other):
    """Right for the four of RFC 3489; whoever else moves does not get through."""
    if INDEPENDENT in (one[0], other[0]):
        return right(one, other)
    return False


def both_moving_and_one_open(one, other):
    if INDEPENDENT in (one[0], other[0]):
        return right(one, other)
    return INDEPENDENT in (one[1], other[1])


def address_dependent_is_as_good(one, other):
    """Address-dependent mappings are taken for independent ones."""
    if ADDRESS not in (one[0], other[0]):
        return right(one, other)
    return right(*((INDEPENDENT if m == ADDRESS else m, f) for m, f in (one, other)))


def says_why(one, other):
    return "yes" if right(one, other) else "no"


def reach(function, part, hint):
    return Wrong("09.3", f"{function.__name__}, {part}", part, hint, {"reach": function})


# 09.4 --------------------------------------------------------------------------------------------


def instants(frames):
    return [came for _, came in frames if came is not None]


def together(mistake, hint, function, part="together"):
    return Wrong("09.4", mistake, part, hint, {"together": function})


def missing(mistake, hint, function, part="missing"):
    return Wrong("09.4", mistake, part, hint, {"missing": function})


def waiting(mistake, hint, function, part="wait_for"):
    return Wrong("09.4", mistake, part, hint, {"wait_for": function})


def all_of_a_group(frames):
    came = instants(frames)
    return sum(came.count(instant) > 1 for instant in came)


def groups(frames):
    came = instants(frames)
    return sum(came.count(instant) > 1 for instant in set(came))


def none_is_an_instant(frames):
    came = [arrived for _, arrived in frames]
    return len(came) - len(set(came))


def whole_milliseconds(frames):
    """Rounded, so that neighbours seem to come at one instant."""
    came = [round(instant) for instant in instants(frames)]
    return len(came) - len(set(came))


def late(frames, wait):
    return sum(came is None or came - sent > wait for sent, came in frames)


def a_share(frames, wait):
    return late(frames, wait) / len(frames)


def a_number(frames, wait):
    return late(frames, wait)


def of_those_that_came(frames, wait):
    frames = [frame for frame in frames if frame[1] is not None]
    return 100 * late(frames, wait) / len(frames)


def late_ones_alone(frames, wait):
    return 100 * sum(c is not None and c - s > wait for s, c in frames) / len(frames)


def those_that_are_there(frames, wait):
    return 100 - 100 * late(frames, wait) / len(frames)


def at_that_time_too(frames, wait):
    return 100 * sum(c is None or c - s >= wait for s, c in frames) / len(frames)


def since_the_beginning(frames, wait):
    begin = frames[0][0]
    return 100 * sum(c is None or c - begin > wait for _, c in frames) / len(frames)


def up_to_140(frames, wait):
    """Never tried with more."""
    return 100 * late(frames, min(140, wait)) / len(frames)


def took(frames):
    return sorted(came - sent for sent, came in frames if came is not None)


def wait(frames, percent, rounded=lambda ms: int(-(-ms // 1))):
    needed = len(frames) - int(len(frames) * percent / 100)
    return None if needed > len(took(frames)) else rounded(took(frames)[needed - 1])


def for_the_slowest(frames, percent):
    return None if wait(frames, percent) is None else int(took(frames)[-1]) + 1


def for_the_quickest(frames, percent):
    """The other end of the sorted list."""
    return int(took(frames)[int(len(frames) * percent / 100)]) + 1


def in_steps_of_a_hundred(frames, percent):
    for ms in range(0, 10_000, 100):
        if 100 * late(frames, ms) / len(frames) <= percent:
            return ms
    return None


def gives_up(frames, percent):
    """None as soon as one frame never came."""
    return None if len(took(frames)) < len(frames) else wait(frames, percent)


def up_to_150(frames, percent):
    found = wait(frames, percent)
    return None if found is None else min(found, 150)


WRONG = [
    made("the name comes first", "order", name_first),
    made("the payload as plain text", "payload", in_plain_text),
    made("the MAC of the text", "of-what", mac_of_the_text),
    made("key and message swapped", "key", key_and_message_swapped),
    made("SHA-1", "sha", with_sha1),
    made("SHA-512", "mac", with_sha512),
    made("the MAC in hexadecimal", "text", in_hexadecimal),
    made("as bytes", "text", as_bytes),
    door(BelievesEverything, "forged", "forged"),
    door(LooksAtTheFirstLetters, "forged", "forged"),
    door(ReadsBeforeItBelieves, "forged", "first"),
    door(NeverExpires, "reads", "until"),
    door(OneSecondLonger, "reads", "until"),
    door(OneSecondLess, "reads", "until"),
    door(CutsAtEveryColon, "reads", "colon"),
    door(GivesThePayload, "reads", "subject"),
    door(GivesNoReason, "reads", "reason"),
    door(ReturnsNone, "forged", "forged"),
    door(ReturnsNone, "malformed", "malformed"),
    door(SplitsAnything, "malformed", "crash"),
    door(CutsAtTheLastDot, "malformed", "malformed"),
    door(ComparesText, "malformed", "crash"),
    door(GivesThePayload, "malformed", "good"),
    same("stops at the first difference", "stops", stops_at_the_first),
    same("the operator for lists", "stops", lambda mine, theirs: mine == theirs),
    same("the length is forgotten", "length", forgets_the_length),
    same("and for or", "equal", collects_with_and),
    same("the last one counts", "equal", keeps_the_last),
    reader(KnowsBindingAlone, "header", "kind"),
    reader(OldTransaction, "header", "transaction"),
    reader(TransactionInHex, "header", "transaction"),
    reader(TellsTwoThings, "header", "three"),
    reader(TellsAnAddressAlways, "header", "none"),
    reader(NoXor, "mapped", "xor"),
    reader(NoXorOfTheAddress, "mapped", "xor-address"),
    reader(NoXorOfThePort, "mapped", "xor-port"),
    reader(WrongHalf, "mapped", "mapped"),
    reader(AsAList, "mapped", "pair"),
    reader(NoPadding, "walks", "padding"),
    reader(TakesAnyAddress, "walks", "number"),
    reader(FindsTheNumber, "walks", "number"),
    reader(TheLastCounts, "walks", "first"),
    reader(CookieOnly, "ipv6", "six"),
    reader(FourBytes, "ipv6", "six"),
    reader(AnyCookie, "refuses", "not-stun"),
    reader(RaisesForOthers, "refuses", "not-stun"),
    reader(AnyLength, "refuses", "length"),
    reader(NoLength, "refuses", "short"),
    reader(BeyondTheEnd, "refuses", "beyond"),
    reader(BelievesTheSize, "refuses", "form"),
    reader(BelievesTheFamily, "refuses", "form"),
    reader(OnlySuccesses, "capture", "capture"),
    reader(EverythingIsStun, "capture", "others"),
    nat(NewEachTime, "independent", "same"),
    nat(KnowsHostsAlone, "independent", "inside"),
    nat(OnePortForAll, "independent", "inside"),
    nat(CountsFromOne, "independent", "count"),
    nat(KeepsThePort, "independent", "count"),
    nat(NeverLooks, "dependent", "remote"),
    nat(LooksAtThePortAlone, "dependent", "remote"),
    nat(AddressForBoth, "dependent", "remote"),
    nat(PortForBoth, "dependent", "remote"),
    reach(never_symmetric, "classic", "cone"),
    reach(one_symmetric_is_no_matter, "classic", "symmetric"),
    reach(only_open_filters, "classic", "cone"),
    reach(says_why, "classic", "bool"),
    reach(classic_alone, "every", "both"),
    reach(both_moving_and_one_open, "every", "both"),
    reach(address_dependent_is_as_good, "every", "one"),
    together("all of a group", "first", all_of_a_group),
    together("how many groups", "groups", groups),
    together("those that never came, too", "never", none_is_an_instant),
    together("all that came", "neighbours", lambda frames: len(instants(frames))),
    together("rounded to milliseconds", "run", whole_milliseconds, "runs"),
    missing("a share", "percent", a_share),
    missing("a number of frames", "percent", a_number),
    missing("of those that came", "gone", of_those_that_came),
    missing("the late ones alone", "gone", late_ones_alone),
    missing("those that are there", "other", those_that_are_there),
    missing("at that time too", "edge", at_that_time_too),
    missing("since the first frame", "since", since_the_beginning),
    missing("never more than 140 ms", "run", up_to_140, "runs"),
    waiting("for the slowest", "slowest", for_the_slowest),
    waiting("for the quickest", "least", for_the_quickest),
    waiting("in steps of a hundred", "least", in_steps_of_a_hundred),
    waiting("rounded down", "whole", lambda f, p: wait(f, p, int)),
    waiting("not rounded", "whole", lambda f, p: wait(f, p, float)),
    waiting("gives up at the first loss", "enough", gives_up),
    waiting("at most 150 ms", "run", up_to_150, "runs"),
]

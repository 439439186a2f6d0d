"""The shipped captures are what their manifest says; a fault in the folder is found."""

import re
import shutil

import pytest

from labkit.core.token import unverified
from labkit.lab import captures
from labkit.lab.captures import describe, manifest, verify
from labkit.lab.recipes import RECIPES, VIRTUAL, take
from labkit.resources import captures_folder
from labkit.wire.pcapreader import CaptureReader
from labkit.words.errors import BadInput

WEEKS = range(1, 13)


@pytest.mark.peer
def test_every_capture_is_what_it_claims(need):
    """Digests, sizes, packets, addresses; and tshark counts what each is to show."""
    need("tshark")
    assert verify() == []


def test_every_week_has_a_capture_and_every_capture_a_question_and_a_recipe():
    known = manifest()
    assert {entry.week for entry in known.values()} == set(WEEKS)
    assert all(entry.questions and entry.claims and entry.taken for entry in known.values())
    assert set(RECIPES) | set(VIRTUAL) == set(known)
    assert not set(RECIPES) & set(VIRTUAL)
    assert all(name.startswith(f"{entry.week:02}_") for name, entry in known.items())


def test_all_of_them_are_small():
    sizes = [entry.path.stat().st_size for entry in manifest().values()]
    assert max(sizes) < captures.SMALL
    assert sum(sizes) < captures.ALL


def test_the_readme_names_every_capture():
    words = (captures_folder() / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(\d\d_\w+)`", words)) == set(manifest())


def test_nothing_in_them_names_the_machine_that_took_them():
    """No folder, no user, no name of a host."""
    for entry in manifest().values():
        data = entry.path.read_bytes()
        assert not re.search(rb"/home/|/root|/work|/tmp/|\.local\b|localhost", data), entry.name


# A folder with a fault ------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A copy of two captures, and of what the manifest says of them."""
    source = captures_folder()
    for name in ("04_fin", "04_rst"):
        shutil.copy(source / f"{name}.pcapng", tmp_path)
    words, marker, taken = (source / "manifest.toml").read_text().partition(captures.MARKER)
    pieces = re.split(r"(?m)^(?=\[\w)", words)
    keep = "".join(p for p in pieces if p.startswith(("[04_fin]", "[04_rst]")))
    tables = re.split(r"(?m)^(?=\[taken)", taken)
    kept = "".join(t for t in tables if t.startswith(("[taken.04_fin]", "[taken.04_rst]")))
    (tmp_path / "manifest.toml").write_text(keep + marker + kept)
    return tmp_path


def edit(folder, before, after):
    path = folder / "manifest.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def test_a_good_folder_is_good(folder):
    assert verify(folder) == []


def test_a_changed_byte_is_found(folder):
    path = folder / "04_fin.pcapng"
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    again = "take it again with labkit capture 04_fin"
    assert verify(folder)[0] == f"04_fin: another file than the manifest's: {again}"


def test_a_file_that_nobody_lists_is_found(folder):
    shutil.copy(folder / "04_fin.pcapng", folder / "04_secret.pcapng")
    assert verify(folder) == ["04_secret.pcapng: the manifest does not list it"]


def test_a_missing_file_is_found(folder):
    (folder / "04_rst.pcapng").unlink()
    assert verify(folder) == ["04_rst: not taken yet: labkit capture 04_rst"]


def test_a_wrong_number_of_packets_is_found(folder):
    edit(folder, "packets = ", "packets = 9")
    assert re.fullmatch(r"04_fin: \d+ packets, not 9\d+", verify(folder)[0])


@pytest.mark.peer
def test_a_false_claim_is_found(need, folder):
    need("tshark")
    edit(folder, '"tcp.flags.fin == 1" = ">= 2"', '"tcp.flags.fin == 1" = ">= 3"')
    assert verify(folder) == ["04_fin: 2 packets are tcp.flags.fin == 1, not >= 3"]


@pytest.mark.peer
def test_a_claim_that_is_no_filter_is_told(need, folder):
    need("tshark")
    edit(folder, '"tcp.flags.fin == 1" = ">= 2"', '"tcp.nonsense" = ">= 3"')
    with pytest.raises(BadInput, match=r"tshark does not take tcp\.nonsense"):
        verify(folder)


def test_a_stranger_is_found(folder):
    """An address that is no lab's: somebody captured at home."""
    from labkit.wire.pcap import PcapngWriter

    with (folder / "04_fin.pcapng").open("wb") as file, PcapngWriter(file) as out:
        out.udp(0, b"hi", ("192.0.2.1", 5), ("10.9.0.1", 6))
    assert "04_fin: packet 1: 192.0.2.1 is no address of a lab" in verify(folder)


def test_the_manifest_keeps_its_words_when_a_capture_is_taken(folder):
    """Only what stands below the marker changes, and what others measured stays."""
    before = (folder / "manifest.toml").read_text()
    taken = manifest(folder)["04_fin"].taken
    captures.write_taken("04_fin", taken, folder)
    after = (folder / "manifest.toml").read_text()
    assert after.partition(captures.MARKER)[0] == before.partition(captures.MARKER)[0]
    assert manifest(folder) == manifest(folder)
    assert manifest(folder)["04_rst"].taken is not None


# Taking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(VIRTUAL) - {"12_dtls_srtp"}))
def test_virtual_time_gives_the_same_capture_to_the_last_bit(tmp_path, name):
    shutil.copy(captures_folder() / "manifest.toml", tmp_path)
    assert take(name, tmp_path) == describe(name).taken


@pytest.mark.peer
def test_openssl_throws_dice_of_its_own_in_virtual_time_too(need, tmp_path):
    """The bytes of a DTLS handshake differ, and what the capture shows is the same."""
    need("tshark")
    shutil.copy(captures_folder() / "manifest.toml", tmp_path)
    name = "12_dtls_srtp"
    taken, before = take(name, tmp_path), describe(name).taken
    assert verify(tmp_path, [name]) == []
    assert (taken.packets, taken.seconds) == (before.packets, before.seconds)
    assert taken.sha256 != before.sha256


# Secrets --------------------------------------------------------------------------------------


def test_the_only_token_in_a_capture_is_good_for_nothing():
    """It has expired, and its secret was never kept."""
    traffic = captures.capture("09_websocket")
    said = [
        part.text
        for packet in traffic
        for _, part in packet.found.parts()
        if part.name == "Authorization"
    ]
    (token,) = (text.removeprefix("Bearer ") for text in said)
    captured = traffic.packets[-1].now // 10**9
    assert captured - 20 < unverified(token).expires < captured + 20
    for entry in manifest().values():
        assert (b"Bearer " in entry.path.read_bytes()) == (entry.name == "09_websocket")


def test_captures_with_keys_say_so():
    """Keys of one connection each, beside what they open; no private key anywhere."""
    keyed = []
    for entry in manifest().values():
        data = entry.path.read_bytes()
        assert b"PRIVATE KEY" not in data
        reader = CaptureReader()
        reader.receive(data)
        if reader.secrets:
            keyed.append(entry.name)
            lines = b"".join(reader.secrets).decode().splitlines()
            randoms = {line.split()[1] for line in lines if not line.startswith("#")}
            assert len(randoms) == 1
            assert "keys" in entry.shows
    assert keyed == ["09_quic", "09_tls"]


@pytest.mark.live
@pytest.mark.net
@pytest.mark.peer
@pytest.mark.parametrize(
    "name",
    ["01_frames", "04_zero_window", "04_fin", "04_rst", "05_fragments", "09_tls"],
)
def test_a_recipe_takes_a_capture_that_shows_the_same(need, tmp_path, name):
    """The short ones; the others verify themselves when `labkit capture` takes them."""
    need("tshark")
    shutil.copy(captures_folder() / "manifest.toml", tmp_path)
    taken = take(name, tmp_path)
    assert verify(tmp_path, [name]) == []
    assert taken.programs == describe(name).taken.programs


def test_a_number_names_one_capture_or_none():
    with pytest.raises(BadInput, match=r"no capture called '04'[\s\S]*04_fin"):
        describe("04")
    assert describe("01").name == "01_frames"

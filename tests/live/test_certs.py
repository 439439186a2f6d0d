"""Certificates and secrets in files, judged by openssl; the commands that make them."""

import io
import re
import ssl
import subprocess

import pytest

from labkit.cli.labkit import main
from labkit.core.token import verify
from labkit.live.certinfo import describe
from labkit.live.certs import (
    Algorithm,
    Authority,
    client_context,
    make_folder,
    pinned_context,
    server_context,
)
from labkit.live.secretfile import make_secret, read_secret, read_token
from labkit.words.errors import BadInput


def openssl(*arguments) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.fixture(scope="module", params=list(Algorithm))
def folder(request, tmp_path_factory, need):
    need("openssl")
    where = tmp_path_factory.mktemp("certs") / request.param.value
    make_folder(where, clients=["alice"], algorithm=request.param)
    return where


def test_openssl_accepts_each_for_its_purpose_and_for_no_other(folder):
    for name, good, bad in [
        ("server", "sslserver", "sslclient"),
        ("alice", "sslclient", "sslserver"),
    ]:
        check = ["verify", "-x509_strict", "-CAfile", folder / "ca.pem", "-purpose"]
        assert openssl(*check, good, folder / f"{name}.pem").endswith(": OK\n")
        assert "unsuitable certificate purpose" in openssl(*check, bad, folder / f"{name}.pem")


def test_a_node_is_both(tmp_path, capsys, need):
    need("openssl")
    assert main(["certs", "node", "--folder", str(tmp_path / "grading")]) == 0
    assert "node-key.pem and ca.pem go to every machine" in capsys.readouterr().out
    check = ["verify", "-x509_strict", "-CAfile", tmp_path / "grading/ca.pem", "-purpose"]
    for purpose in ("sslserver", "sslclient"):
        assert openssl(*check, purpose, tmp_path / "grading/node.pem").endswith(": OK\n")
    assert main(["certs", "node", "second", "--folder", str(tmp_path / "grading")]) == 0
    assert main(["certs", "node", "../eve", "--folder", str(tmp_path)]) == 2
    said = describe((tmp_path / "grading/second.pem").read_bytes())
    assert said.purpose == "a server and a client"


@pytest.mark.parametrize("name", ["-verify_hostname localhost", "-verify_ip ::1"])
def test_openssl_finds_the_names(folder, name):
    check = ["verify", "-CAfile", folder / "ca.pem", *name.split(), folder / "server.pem"]
    assert openssl(*check).endswith(": OK\n")
    check[check.index(name.split()[1])] = "192.0.2.1" if "ip" in name else "example.org"
    assert "mismatch" in openssl(*check)


def test_openssl_prints_the_same_fingerprint(folder):
    said = openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", folder / "server.pem")
    digits = said.split("=")[1].replace(":", "").strip().lower()
    assert digits == describe((folder / "server.pem").read_bytes()).fingerprint


def test_keys_are_for_their_owner_alone(folder):
    for path in folder.glob("*-key.pem"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert len(list(folder.glob("*-key.pem"))) == 3


def test_nothing_is_written_over(folder):
    before = (folder / "ca-key.pem").read_bytes()
    with pytest.raises(BadInput, match="already there"):
        make_folder(folder)
    assert (folder / "ca-key.pem").read_bytes() == before


def test_a_key_is_in_no_repr():
    identity = Authority.make().identity
    assert "PRIVATE" not in repr(identity)
    assert b"PRIVATE" in identity.key


def test_contexts_speak_tls_1_3_and_nothing_older(folder):
    pair = folder / "server.pem", folder / "server-key.pem"
    for context in (server_context(*pair), client_context(folder / "ca.pem"), pinned_context()):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_files_that_are_none_are_said_by_name(folder, tmp_path):
    (tmp_path / "text.pem").write_text("hello")
    for make in [
        lambda: client_context(tmp_path / "none.pem"),
        lambda: client_context(tmp_path / "text.pem"),
        lambda: server_context(folder / "server.pem", folder / "ca-key.pem"),
        lambda: server_context(tmp_path / "text.pem", folder / "server-key.pem"),
        lambda: Authority.load(tmp_path),
        lambda: Authority.make().server([]),
        lambda: Authority.make().client("x" * 100),
    ]:
        with pytest.raises(BadInput):
            make()


# Secrets


def test_a_secret_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "secret.txt"
    make_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(read_secret(path)) == 32
    with pytest.raises(BadInput, match="already there"):
        make_secret(path)
    path.chmod(0o640)
    with pytest.raises(BadInput, match="can be read by others"):
        read_secret(path)


def test_what_is_no_secret_and_no_token_is_not_shown_either(tmp_path):
    path = tmp_path / "file"
    for content in ("swordfish", "beef", "\xff", "x" * 10_000):
        path.write_text(content, encoding="latin-1")
        path.chmod(0o600)
        with pytest.raises(BadInput) as caught:
            read_secret(path)
        assert content not in str(caught.value)
    with pytest.raises(BadInput, match="holds no token"):
        read_token(path)
    with pytest.raises(BadInput, match="No such file"):
        read_token(tmp_path / "none")


# Commands


def test_certs_make_client_and_show(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["certs", "make", "--name", "lab.example.org", "--client", "alice"]) == 0
    said = capsys.readouterr().out
    assert "The server is called lab.example.org; all is good for 30 days." in said
    assert len(re.findall(r"SHA-256 [0-9a-f]{64}", said)) == 3
    assert main(["certs", "client", "bob"]) == 0
    capsys.readouterr()
    assert main(["certs", "show", "certs/server.pem", "certs/bob.pem", "certs/ca.pem"]) == 0
    said = capsys.readouterr().out
    for words in ("CN=lab.example.org, for a server", "CN=bob, for a client", "for an authority"):
        assert words in said
    make_folder(tmp_path / "past", days=-1 / 48)
    assert main(["certs", "show", "past/server.pem"]) == 1
    assert "NOT GOOD NOW" in capsys.readouterr().out
    assert main(["certs", "client", "../eve"]) == 2
    assert main(["certs", "show", "certs/bob-key.pem"]) == 2


def test_a_token_from_the_command_line(tmp_path, capsys, monkeypatch):
    path = str(tmp_path / "secret.txt")
    assert main(["token", "secret", path]) == 0
    capsys.readouterr()
    assert main(["token", "issue", "alice", "--secret", path, "--hours", "1"]) == 0
    token = capsys.readouterr().out.strip()
    assert verify(read_secret(tmp_path / "secret.txt"), token, 0).subject == "alice"
    for given, code, words in [(token, 0, "good"), (token[:-1], 1, "is no token")]:
        monkeypatch.setattr("sys.stdin", io.StringIO(given + "\n"))
        assert main(["token", "show", "--secret", path]) == code
        assert words in capsys.readouterr().out

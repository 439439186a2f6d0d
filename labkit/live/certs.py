"""Certificates for the lab: an authority to throw away, servers and clients (week 9).

    made = make_folder(Path("certs"), names=["localhost", "127.0.0.1"], clients=["alice"])

    certs/ca.pem       the authority: give it to whoever shall trust the server
    certs/ca-key.pem   its key: whoever has it can be anybody
    certs/server.pem, certs/server-key.pem
    certs/alice.pem, certs/alice-key.pem

The certificates follow RFC 5280: the authority may sign (section 4.2.1.9) but make no other
authority; names stand in subjectAltName (4.2.1.6), where browsers and Python look for them, and
nowhere else; each certificate says whether it is a server's or a client's (4.2.1.12). Keys are
P-256, which browsers take, or Ed25519, whose signatures all have one length. Keys are written so
that only their owner can read them, and everything expires within weeks.

`server_context`, `client_context` and `pinned_context` make of these files what
`labkit.endpoints.tls` wants: TLS 1.3 and nothing older, no compression, no session tickets.

This module reads the date of the system. It knows no socket.
"""

import hashlib
import ipaddress
import os
import secrets
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from labkit.words.errors import BadInput

DAYS: Final = 30
"""How long certificates are good, unless somebody says otherwise."""
SKEW: Final = timedelta(hours=1)
"""How far back they are good: clocks differ."""
LOCAL: Final = ("localhost", "127.0.0.1", "::1")
"""Names of this machine, as seen from itself."""

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Algorithm(Enum):
    """What a key is made for."""

    P256 = "p256"
    """ECDSA on the curve P-256 (FIPS 186): browsers take it."""
    ED25519 = "ed25519"
    """RFC 8032: browsers do not take it; every signature has 64 bytes."""


class Purpose(Enum):
    """Which end of a connection a certificate is for."""

    SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
    CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    NODE = (*SERVER, *CLIENT)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, both in PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as 64 hexadecimal digits: what a pin is."""
        return fingerprint(self.certificate)

    def save(self, folder: Path, name: str) -> None:
        """Write `name.pem`, and `name-key.pem` for its owner alone. `BadInput` if one is there."""
        _write(folder / f"{name}.pem", self.certificate, 0o644)
        _write(folder / f"{name}-key.pem", self.key, 0o600)


class Authority:
    """Signs certificates. `make` one, or `load` the one of a folder."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._certificate = x509.load_pem_x509_certificate(identity.certificate)
        key = serialization.load_pem_private_key(identity.key, None)
        assert isinstance(key, Key)
        self._key = key

    @classmethod
    def make(cls, algorithm: Algorithm = Algorithm.P256, *, days: float = DAYS) -> "Authority":
        """A new one, good for `days`."""
        key = _new_key(algorithm)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "labkit throw-away authority")])
        builder = _begin(name, name, key, days).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        return cls(_sign(builder.add_extension(_usage(signs=True), critical=True), key, key))

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """That of a folder that `make_folder` made."""
        try:
            certificate = (folder / "ca.pem").read_bytes()
            return cls(Identity(certificate, (folder / "ca-key.pem").read_bytes()))
        except (OSError, ValueError) as error:
            raise BadInput(
                f"no authority in {folder}: {error}", f"labkit certs make --folder {folder}"
            ) from error

    def server(
        self, names: Iterable[str], algorithm: Algorithm = Algorithm.P256, *, days: float = DAYS
    ) -> Identity:
        """For a server that is called by any of `names`: host names and addresses."""
        names = list(names)
        if not names:
            raise BadInput("a server needs a name", "--name localhost")
        return self._issue(names[0], names, Purpose.SERVER, algorithm, days)

    def client(
        self, name: str, algorithm: Algorithm = Algorithm.P256, *, days: float = DAYS
    ) -> Identity:
        """For a client; the name is for people."""
        return self._issue(name, [], Purpose.CLIENT, algorithm, days)

    def node(
        self, name: str, algorithm: Algorithm = Algorithm.P256, *, days: float = DAYS
    ) -> Identity:
        """For a machine of a cluster, where everybody is server and client."""
        return self._issue(name, [], Purpose.NODE, algorithm, days)

    def _issue(
        self, name: str, names: list[str], purpose: Purpose, algorithm: Algorithm, days: float
    ) -> Identity:
        key = _new_key(algorithm)
        try:
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            alternatives = [_general_name(each) for each in names]
        except ValueError as error:
            raise BadInput(f"{name!r} cannot be named in a certificate: {error}") from error
        issuer = self._certificate.subject
        builder = _begin(subject, issuer, key, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_usage(signs=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purpose.value), critical=False)
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        return _sign(builder, key, self._key)


def make_folder(
    folder: Path,
    *,
    names: Iterable[str] = LOCAL,
    clients: Iterable[str] = (),
    algorithm: Algorithm = Algorithm.P256,
    days: float = DAYS,
) -> dict[str, Identity]:
    """An authority, a server and clients in a folder, made if need be; by the name of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority.make(algorithm, days=days)
    made = {"ca": authority.identity, "server": authority.server(names, algorithm, days=days)}
    for name in clients:
        if name in made or not _is_file_name(name):
            raise BadInput(f"{name!r} cannot be the name of a client", "letters and digits")
        made[name] = authority.client(name, algorithm, days=days)
    for name, identity in made.items():
        identity.save(folder, name)
    return made


def add_client(
    folder: Path, name: str, algorithm: Algorithm = Algorithm.P256, *, days: float = DAYS
) -> Identity:
    """One more client for the authority of a folder."""
    if not _is_file_name(name):
        raise BadInput(f"{name!r} cannot be the name of a client", "letters and digits")
    identity = Authority.load(folder).client(name, algorithm, days=days)
    identity.save(folder, name)
    return identity


def add_node(
    folder: Path, name: str, algorithm: Algorithm = Algorithm.P256, *, days: float = DAYS
) -> Identity:
    """One for the machines of a cluster, from the authority of a folder; it is made if need be."""
    if not _is_file_name(name):
        raise BadInput(f"{name!r} cannot be the name of a machine", "letters and digits")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ca.pem").exists():
        Authority.make(algorithm, days=days).identity.save(folder, "ca")
    identity = Authority.load(folder).node(name, algorithm, days=days)
    identity.save(folder, name)
    return identity


def fingerprint(pem: bytes) -> str:
    """SHA-256 of a certificate in PEM, as 64 hexadecimal digits."""
    certificate = x509.load_pem_x509_certificate(pem)
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


# What TLS wants ----------------------------------------------------------------------------------


def server_context(
    certificate: Path, key: Path, *, clients: Path | None = None, keys_to: Path | None = None
) -> ssl.SSLContext:
    """For a server. With `clients`, an authority's certificate, each client needs one from it.

    `keys_to` is a file that the keys of every connection are written to, so that Wireshark can
    read a capture (its format is that of SSLKEYLOGFILE): for lessons, and for nothing else.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # nobody resumes
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, clients)
    _show(context, certificate, key)
    return _modern(context, keys_to)


def client_context(
    authority: Path | None = None,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    keys_to: Path | None = None,
) -> ssl.SSLContext:
    """For a client that trusts `authority`, or those of the system; with a certificate of its own.

    The server's name is checked too.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        context.load_default_certs()
    else:
        _trust(context, authority)
    if certificate is not None:
        _show(context, certificate, key if key is not None else certificate)
    return _modern(context, keys_to)


def pinned_context(
    *, certificate: Path | None = None, key: Path | None = None, keys_to: Path | None = None
) -> ssl.SSLContext:
    """For a client that knows the server by its fingerprint alone: `Tls` wants `pins` with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        _show(context, certificate, key if key is not None else certificate)
    return _modern(context, keys_to)


def _modern(context: ssl.SSLContext, keys_to: Path | None) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if keys_to is not None:
        context.keylog_filename = str(keys_to)
    return context


def _trust(context: ssl.SSLContext, authority: Path) -> None:
    try:
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise BadInput(
            f"{authority} is no certificate of an authority: {_why(error)}",
            "labkit certs make, then certs/ca.pem",
        ) from error


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        raise BadInput(
            f"{certificate} and {key} are no certificate and its key: {_why(error)}",
            "labkit certs make, then certs/server.pem and certs/server-key.pem",
        ) from error


def _why(error: OSError | ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    return error.strerror or str(error)


# How certificates are made -----------------------------------------------------------------------


def _new_key(algorithm: Algorithm) -> Key:
    if algorithm is Algorithm.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def _begin(subject: x509.Name, issuer: x509.Name, key: Key, days: float) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(microsecond=0)
    return x509.CertificateBuilder(
        issuer,
        subject,
        key.public_key(),
        1 << 126 | secrets.randbits(120),  # 16 bytes, of which 15 by chance: RFC 5280, 4.1.2.2
        now - SKEW,
        now + timedelta(days=days),
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _sign(builder: x509.CertificateBuilder, key: Key, signer: Key) -> Identity:
    of = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(of, critical=False)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = builder.sign(signer, digest)
    return Identity(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_file_name(name: str) -> bool:
    return name.replace("-", "").replace("_", "").isalnum() and not name.startswith("-")


def _write(path: Path, data: bytes, mode: int) -> None:
    """A new file that is never, not for a moment, open to more people than `mode` says."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise BadInput(f"{path} is already there", "another folder, or remove it first") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)

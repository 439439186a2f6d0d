"""What a certificate says: whose it is, what it is for, how long it is good (week 9).

This module reads the date of the system. It trusts nobody: what it tells may be a lie.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from labkit.live.certs import Purpose, fingerprint


@dataclass(frozen=True, slots=True)
class Description:
    """What a certificate says."""

    subject: str
    purpose: str
    names: list[str]
    begins: datetime
    ends: datetime
    fingerprint: str

    @property
    def good(self) -> bool:
        """Whether it is valid now."""
        return self.begins <= datetime.now(UTC) < self.ends


def describe(pem: bytes) -> Description:
    """Read a certificate in PEM. `ValueError` when it is none."""
    certificate = x509.load_pem_x509_certificate(pem)
    return Description(
        certificate.subject.rfc4514_string(),
        _purpose(certificate),
        _names(certificate),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        fingerprint(pem),
    )


def _purpose(certificate: x509.Certificate) -> str:
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return "an authority"
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "anything"
    known = {p.value[0]: p.name.lower() for p in (Purpose.SERVER, Purpose.CLIENT)}
    return " and ".join(f"a {known.get(each, each.dotted_string)}" for each in purposes)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in found.value]

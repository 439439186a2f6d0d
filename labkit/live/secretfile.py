"""Secrets and tokens in files, where no list of processes and no history of a shell shows them.

A file holds one line: a secret as hexadecimal digits, or a token. It is made so that only its
owner can read it; a secret that others can read is none, and is refused, as `ssh` does.

This module does not know what the secret is for.
"""

import os
import secrets
import stat
from pathlib import Path
from typing import Final, TextIO

from labkit.core.token import MAX_TOKEN, MIN_SECRET
from labkit.words.errors import BadInput

SECRET_BYTES: Final = 32
"""As many as SHA-256 has: more would not help (RFC 2104 section 3)."""
MAX_FILE: Final = 4096
"""Bytes that are read of one."""


def make_secret(path: Path) -> None:
    """Write a new secret. `BadInput` when there is a file already: tokens may depend on it."""
    write_private(path, secrets.token_hex(SECRET_BYTES) + "\n")


def read_secret(path: Path) -> bytes:
    """The secret in a file."""
    text = _read(path, "labkit token secret FILE makes one")
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadInput(f"{path} can be read by others", f"chmod 600 {path}")
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) < MIN_SECRET:
        raise BadInput(
            f"{path} holds no secret of {MIN_SECRET} bytes or more in hexadecimal",
            "labkit token secret FILE makes one",
        )
    return secret


def read_token(path: Path) -> str:
    """The token in a file, not checked."""
    remedy = "labkit token issue NAME --secret FILE --out token.txt, where the secret is"
    token = _read(path, remedy)
    if not token or len(token) > MAX_TOKEN:
        raise BadInput(f"{path} holds no token", remedy)
    return token


def open_key_log(path: Path) -> TextIO:
    """A file for the keys of connections, open at its end: NSS key log, as Wireshark reads it.

    Who reads it reads those conversations. `BadInput` when it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", "a folder that is yours") from error
    return os.fdopen(descriptor, "a", encoding="ascii")


def write_private(path: Path, text: str) -> None:
    """A new file for its owner alone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise BadInput(f"{path} is already there", "another name, or remove it first") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def _read(path: Path, remedy: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE).decode("ascii").strip()
    except UnicodeDecodeError:
        return ""
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}", remedy) from error

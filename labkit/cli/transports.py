"""The transports by name: which session speaks `--proto`, and what it shows and asks of its peer.

    tcp    StreamSession                    over TCP
    ws     WebSocket(StreamSession)         over TCP
    wss    Tls(WebSocket(StreamSession))    over TCP
    udp    DatagramSession                  over UDP
    rtp    RtpSession; in Srtp by --srtp    over UDP
    quic   QuicSession                      over UDP

Certificates come from a folder that `labkit certs` has made, secrets and tokens from files: a
command line is seen by everybody on the machine. All files are read before the first packet, so
what is missing is said at once.
"""

import argparse
from pathlib import Path
from random import SystemRandom
from typing import Any, Final

from labkit.cli.protection import protected, protection
from labkit.core.datagramsession import DatagramSession
from labkit.core.flowcontrol import Drop
from labkit.core.ratecontrol import LOOK
from labkit.core.rtpsession import RtpSession
from labkit.core.session import DEFAULT_LIMITS, Limits, Role
from labkit.core.streamsession import StreamSession
from labkit.endpoints.voice import Voice
from labkit.live.clock import wallclock_offset
from labkit.words.errors import AuthenticationError, BadInput
from labkit.words.machine import Address
from labkit.words.units import seconds, to_seconds

STREAMS: Final = ("tcp", "ws", "wss")
DATAGRAMS: Final = ("udp", "rtp", "quic")
PROTOS: Final = (*STREAMS, *DATAGRAMS)
SECURE: Final = ("wss", "quic")
"""Those with certificates."""
ADMITTING: Final = ("wss", "quic", "ws")
"""Those that can ask for a token."""


class ServerSide:
    """Makes the session of each listener; `description` is known when the socket is bound."""

    def __init__(self, options: argparse.Namespace, voice: Voice) -> None:
        self.description = ""
        self.gate = _gate(options)
        self.voice = voice
        self.protection = protection(options)
        self._options = options
        self._limits = _limits(options)
        self._pins: Any = frozenset(options.pin) if options.pin else None
        self._context: Any = _server_context(options) if options.proto == "wss" else None
        self._credentials: Any = self._shown() if options.proto == "quic" else None

    @property
    def advice(self) -> str:
        """What a receiver has to say beyond the address."""
        certs = f" --certs {self._options.certs}" if self._options.proto in SECURE else ""
        reports = self._options.proto == "rtp" and self._options.simulcast
        return "".join(
            [
                certs,
                " --token FILE" if self.gate else "",
                self.protection.advice,
                f" --report-every {to_seconds(LOOK):g}" if reports else "",
            ]
        )

    def make(self, address: Address) -> Any:
        """A session with the listener at `address`."""
        match self._options.proto:
            case "tcp":
                return self._stream()
            case "ws":
                return self._websocket()
            case "wss":
                from labkit.endpoints.tls import Tls

                return Tls(self._websocket(), self._context, pins=self._pins)
            case "udp":
                return DatagramSession(Role.SENDER, self.description, limits=self._limits)
            case "quic":
                return self._quic()
            case _:
                return self.protection.protect(self._rtp(address), address)

    def _stream(self) -> StreamSession:
        return StreamSession(Role.SENDER, self.description, limits=self._limits)

    def _websocket(self) -> Any:
        from labkit.endpoints.websocket import WebSocket

        return WebSocket(self._stream(), gate=self.gate, origins=self._options.origin)

    def _rtp(self, address: Address) -> RtpSession:
        return RtpSession(
            Role.SENDER,
            self.description,
            peer=address if address == self._options.to else None,  # who did not ask is pushed to
            ssrc=self.voice.ssrc,
            clock_rate=self.voice.codec.format.clock_rate,
            rng=SystemRandom(),
            rtcp_interval=LOOK if self._options.simulcast else seconds(self._options.report_every),
            wallclock_offset=wallclock_offset(),
            limits=self._limits,
            group=_is_group(self._options.to),
        )

    def _quic(self) -> Any:
        from labkit.endpoints.quic import QuicSession
        from labkit.endpoints.quicmedia import Carriage

        return QuicSession(
            Role.SENDER,
            self.description,
            credentials=self._credentials,
            carriage=Carriage(self._options.carriage),
            gate=self.gate,
            clock_rate=self.voice.codec.format.clock_rate,
            limits=self._limits,
        )

    def _shown(self) -> Any:
        from labkit.endpoints.quictls import ServerCredentials, pins

        return ServerCredentials(
            *_identity(self._options.certs, "server"),
            pins=None if self._pins is None else pins(self._pins),
        )


def receiver_session(options: argparse.Namespace, description: Any = None) -> Any:
    """A fresh session with the streamer at `options.addr`, as the `description` says if any."""
    match options.proto:
        case "tcp":
            return StreamSession(Role.RECEIVER)
        case "ws" | "wss":
            return _listening_websocket(options)
        case "udp":
            return DatagramSession(Role.RECEIVER, peer=options.addr)
        case "quic":
            return _listening_quic(options)
        case _:
            session = RtpSession(
                Role.RECEIVER,
                peer=options.addr,
                rng=SystemRandom(),
                rtcp_interval=seconds(options.report_every),
                wallclock_offset=wallclock_offset(),
                group=_is_group(options.addr),
            )
            return protected(session, options, description)


def _listening_websocket(options: argparse.Namespace) -> Any:
    from labkit.endpoints.websocket import WebSocket

    host, port = options.addr
    secure = options.proto == "wss"
    layer = WebSocket(
        StreamSession(Role.RECEIVER), host=host, port=port, secure=secure, token=_token(options)
    )
    if not secure:
        return layer
    from labkit.endpoints.tls import Tls
    from labkit.live.certs import client_context, pinned_context
    from labkit.live.secretfile import open_key_log

    ours = _own_files(options)
    if options.keys:
        open_key_log(options.keys).close()  # so that nobody else can read what OpenSSL writes
        ours["keys_to"] = options.keys
    if options.pin:
        context = pinned_context(**ours)
    else:
        context = client_context(options.certs / "ca.pem", **ours)
    name = options.server_name or host
    return Tls(layer, context, server_name=name, pins=options.pin or None)


def _listening_quic(options: argparse.Namespace) -> Any:
    from labkit.endpoints.quic import QuicSession
    from labkit.endpoints.quictls import ClientCredentials
    from labkit.live.secretfile import open_key_log

    certificate = key = None
    if options.client:
        certificate, key = _identity(options.certs, options.client)
    credentials = ClientCredentials(
        _read(options.certs / "ca.pem"), options.server_name or options.called, certificate, key
    )
    return QuicSession(
        Role.RECEIVER,
        credentials=credentials,
        peer=options.addr,
        token=_token(options) or "",
        key_log=open_key_log(options.keys) if options.keys else None,
    )


def _is_group(address: tuple[str, int] | None) -> bool:
    from labkit.live.multicast import is_group

    return address is not None and is_group(address[0])


def refused(options: argparse.Namespace, error: AuthenticationError) -> BadInput:
    """Why we may not listen, or will not, and what to do about it."""
    remedies = {
        "missing": "--token FILE, with a token from whoever runs the streamer",
        "token": "--token FILE, with a good token from whoever runs the streamer",
        "malformed": "the token as `labkit token issue` printed it, and nothing else in the file",
        "wrong": "a token made with the secret of this streamer",
        "expired": "a new token: labkit token issue NAME --secret FILE, where the secret is",
        "certificate": "--certs with its authority, --server-name as it is called, --client NAME",
        "pin": f"labkit certs show {options.certs / 'server.pem'}, where the streamer is",
    }
    return BadInput(error.why, remedies.get(error.reason, "ask whoever runs the streamer"))


# Files -------------------------------------------------------------------------------------------


def _gate(options: argparse.Namespace) -> Any:
    """Who asks for tokens, if tokens are asked for."""
    if options.secret is None:
        return None
    from labkit.core.token import Gate
    from labkit.live.secretfile import read_secret

    return Gate(read_secret(options.secret), wallclock_offset=wallclock_offset())


def _token(options: argparse.Namespace) -> str | None:
    if options.token is None:
        return None
    from labkit.live.secretfile import read_token

    return read_token(options.token)


def _server_context(options: argparse.Namespace) -> Any:
    from labkit.live.certs import server_context

    folder = options.certs
    return server_context(
        folder / "server.pem",
        folder / "server-key.pem",
        clients=folder / "ca.pem" if options.pin else None,
    )


def _own_files(options: argparse.Namespace) -> dict[str, Path]:
    """The certificate that a client shows, and its key."""
    if not options.client:
        return {}
    _identity(options.certs, options.client)  # says what is missing
    folder = options.certs
    return {
        "certificate": folder / f"{options.client}.pem",
        "key": folder / f"{options.client}-key.pem",
    }


def _identity(folder: Path, name: str) -> tuple[bytes, bytes]:
    return _read(folder / f"{name}.pem"), _read(folder / f"{name}-key.pem")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        name = path.stem.removesuffix("-key")
        what = "make" if name in ("ca", "server") else f"client {name}"
        raise BadInput(
            f"{path}: {error.strerror or error}", f"labkit certs {what} --folder {path.parent}"
        ) from error


def _limits(options: argparse.Namespace) -> Limits:
    from dataclasses import replace

    return replace(DEFAULT_LIMITS, queue=options.queue, drop=Drop(options.drop))


# Options -----------------------------------------------------------------------------------------


def add_server_options(sub: argparse.ArgumentParser) -> None:
    """What a server shows, and whom it lets in."""
    group = sub.add_argument_group("who may listen")
    _add_certs(group)
    group.add_argument(
        "--secret",
        type=Path,
        metavar="FILE",
        help="ws, wss, quic: ask for tokens made with this secret",
    )
    group.add_argument(
        "--pin", action="append", default=[], metavar="SHA256",
        help="only clients with this certificate; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--srtp", choices=["dtls", "sdes"], help="rtp: encrypt; where keys come from"
    )
    group.add_argument(
        "--origin", action="append", default=[], metavar="URL",
        help="ws, wss: pages that may listen without a token",
    )  # fmt: skip
    group.add_argument(
        "--carriage", choices=["datagrams", "stream", "streams"], default="datagrams",
        help="quic: how frames travel (datagrams)",
    )  # fmt: skip


def add_client_options(sub: argparse.ArgumentParser) -> None:
    """Whom a client trusts, and what it shows."""
    group = sub.add_argument_group("security")
    _add_certs(group)
    group.add_argument("--token", type=Path, metavar="FILE", help="the token to show")
    group.add_argument("--client", metavar="NAME", help="show the certificate NAME.pem")
    group.add_argument("--server-name", metavar="NAME", help="how its certificate calls the server")
    group.add_argument(
        "--pin", action="append", default=[], metavar="SHA256",
        help="wss: trust this certificate, whoever signed it; rtp: encrypt, with who has it",
    )  # fmt: skip
    group.add_argument(
        "--keys", type=Path, metavar="FILE",
        help="write the keys here, for Wireshark; whoever has them reads everything",
    )  # fmt: skip


def _add_certs(group: Any) -> None:
    group.add_argument(
        "--certs", type=Path, default=Path("certs"), metavar="FOLDER",
        help="where `labkit certs` put them (certs)",
    )  # fmt: skip


def check(options: argparse.Namespace, **belongs: tuple[str, ...]) -> None:
    """`BadInput` for an option that this transport has no use for: silence would be a promise."""
    for name, protos in belongs.items():
        if getattr(options, name) and options.proto not in protos:
            flag = f"--{name.replace('_', '-')}"
            raise BadInput(f"{flag} means nothing to {options.proto}", f"--proto {protos[0]}")

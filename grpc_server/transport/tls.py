"""Encryption of the TCP ports, from a certificate and its key, and of the calls of commands to them."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from foretell_contract.errors import SetupError
from foretell_lifecycle import address

_OF_SERVER = "tls_certificate and tls_key"

_SECONDS = 2.0
"""Longest time for a look whether a port is encrypted."""


def server_credentials(certificate: Path | None, key: Path | None, clients: Path | None = None) -> grpc.ServerCredentials | None:
    """Credentials from PEM files; None where none is given. With `clients`, callers must show a certificate that these have signed.

    Raises SetupError where only one of a pair is given, one cannot be read, or they do not belong together: grpcio would listen all
    the same.
    """
    if certificate is None and key is None:
        return None
    pair = _pair(certificate, key, _OF_SERVER)
    return grpc.ssl_server_credentials([pair], _roots(clients), require_client_auth=clients is not None)


def server_context(certificate: Path | None, key: Path | None, clients: Path | None = None) -> ssl.SSLContext | None:
    """The same for a server of HTTP."""
    if certificate is None and key is None:
        return None
    context = _context(certificate, key, _OF_SERVER)
    if _roots(clients) is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a caller trusts, and who it is."""

    roots: Path | None = None
    """Certificates in PEM to trust."""
    tls: bool = False
    """Whether calls are encrypted where no roots say so: the usual certificates are trusted."""
    certificate: Path | None = None
    """The caller's own, in PEM, for servers that ask for one."""
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None for calls in the clear. Raises SetupError for files that cannot be read, or do not belong together."""
        own = self.certificate is not None or self.key is not None
        if not (self.tls or self.roots or own):
            return None
        key, chain = _pair(self.certificate, self.key, "--certificate and --key") if own else (None, None)
        return grpc.ssl_channel_credentials(_roots(self.roots), key, chain)

    def trouble(self, target: str, error: Any) -> str:
        """Why what listens at HOST:PORT did not answer a call but with this grpc.RpcError, if it is for encryption; else empty."""
        words = str(error.details())
        encrypted = _encrypted(target)
        if self.credentials() is None:
            return f"{target} takes encrypted calls only: add --roots FILE, or --tls" if encrypted else ""
        if "CERTIFICATE_VERIFY_FAILED" in words or "Hostname Verification" in words:
            return f"{target} shows no certificate that is trusted here, or that of another name: add --roots FILE of who signed it"
        if encrypted:
            return f"{target} closed the encrypted connection: does it ask for a certificate (--certificate FILE --key FILE)?"
        return f"{target} takes no encrypted calls: leave out --roots and --tls" if _listens(target) else ""


IN_THE_CLEAR = Trust()


def _pair(certificate: Path | None, key: Path | None, names: str) -> tuple[bytes, bytes]:
    """Key and certificate."""
    _context(certificate, key, names)
    return Path(str(key)).read_bytes(), Path(str(certificate)).read_bytes()


def _context(certificate: Path | None, key: Path | None, names: str) -> ssl.SSLContext:
    """For a server that shows the certificate."""
    if certificate is None or key is None:
        raise SetupError(f"{names} go together: set both, or neither")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError:
        raise SetupError(f"{certificate} and {key} are no certificate and its key in PEM") from None
    except OSError as error:
        raise SetupError(f"cannot read {certificate} and {key}: {error.strerror}") from None
    return context


def _roots(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        return file.read_bytes()
    except ssl.SSLError:
        raise SetupError(f"{file} holds no certificate in PEM") from None
    except OSError as error:
        raise SetupError(f"cannot read {file}: {error.strerror}") from None


def _encrypted(target: str) -> bool:
    """Whether a handshake gets through at HOST:PORT, whoever is there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        place = address.split(target)
        with socket.create_connection(place, _SECONDS) as connection, context.wrap_socket(connection, server_hostname=place[0]):
            return True
    except (OSError, SetupError, ValueError):
        return False


def _listens(target: str) -> bool:
    try:
        with socket.create_connection(address.split(target), _SECONDS):
            return True
    except (OSError, SetupError):
        return False

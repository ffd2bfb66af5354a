"""TLS: credentials of the TCP ports from PEM files, and of the commands that call them."""

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
"""Longest time to find out whether a port is encrypted."""


def server_credentials(certificate: Path | None, key: Path | None, clients: Path | None = None) -> grpc.ServerCredentials | None:
    """Credentials of a gRPC port from PEM files; None without files. `clients` are CA certificates of required client certificates.

    Raises SetupError if a file is missing or unreadable, or key and certificate do not match, which grpcio would not report.
    """
    pair = _key_and_chain(certificate, key, _OF_SERVER)
    if pair is None:
        return None
    return grpc.ssl_server_credentials([pair], _roots(clients), require_client_auth=clients is not None)


def server_context(certificate: Path | None, key: Path | None, clients: Path | None = None) -> ssl.SSLContext | None:
    """The same for an HTTP server."""
    if _key_and_chain(certificate, key, _OF_SERVER) is None or certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if _roots(clients) is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass(frozen=True, slots=True)
class Trust:
    """The certificates of a caller: those it trusts, and its own."""

    roots: Path | None = None
    """CA certificates in PEM to trust."""
    tls: bool = False
    """Whether calls are encrypted without `roots` too; then the usual CA certificates are trusted."""
    certificate: Path | None = None
    """The client certificate in PEM, for servers that require one."""
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None for unencrypted calls. Raises SetupError for files that are unreadable or do not match."""
        pair = _key_and_chain(self.certificate, self.key, "--certificate and --key")
        if not (self.tls or self.roots or pair):
            return None
        return grpc.ssl_channel_credentials(_roots(self.roots), *(pair or (None, None)))

    def problem(self, target: str, error: Any, closed: str = "add --certificate FILE --key FILE if it requires them") -> str:
        """The TLS problem behind the grpc.RpcError of a call to HOST:PORT, and its fix; empty if TLS is not the problem.

        `closed` is the fix if the server closes an encrypted connection.
        """
        details = str(error.details())
        encrypted = is_encrypted(target)
        if self.credentials() is None:
            return f"{target} takes encrypted calls only: add --roots FILE, or --tls" if encrypted else ""
        if "CERTIFICATE_VERIFY_FAILED" in details or "Hostname Verification" in details:
            return f"{target} has an untrusted certificate, or one for another name: add --roots FILE with its issuer"
        if encrypted:
            return f"{target} closed the encrypted connection: {closed}"
        return "" if encrypted is None else f"{target} takes unencrypted calls only: leave out --roots and --tls"


UNENCRYPTED = Trust()


def _key_and_chain(certificate: Path | None, key: Path | None, names: str) -> tuple[bytes, bytes] | None:
    """The bytes of key and certificate, which match; None without both. `names` are the settings in the error."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SetupError(f"{names} go together: set both, or neither")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        return key.read_bytes(), certificate.read_bytes()
    except ssl.SSLError:
        raise SetupError(f"{certificate} and {key} are not a certificate and its key in PEM") from None
    except OSError as error:
        raise SetupError(f"cannot read {certificate} and {key}: {error.strerror}") from None


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


def is_encrypted(target: str) -> bool | None:
    """Whether a TLS handshake at HOST:PORT succeeds, with any certificate; None if nothing listens there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        server = address.split(target)
        connection = socket.create_connection(server, _SECONDS)
    except (OSError, SetupError):
        return None
    try:
        with connection, context.wrap_socket(connection, server_hostname=server[0]):
            return True
    except (OSError, ValueError):
        return False

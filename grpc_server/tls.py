"""Encryption of the TCP port, from a certificate and its key."""

import ssl
from pathlib import Path

import grpc

from contract.errors import SetupError


def server_credentials(certificate: Path | None, key: Path | None) -> grpc.ServerCredentials | None:
    """Credentials from two PEM files; None where neither is given.

    Raises SetupError where only one is given, one cannot be read, or they do not belong together: grpcio would listen all the same.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SetupError("tls_certificate and tls_key go together: set both, or neither")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        pair = key.read_bytes(), certificate.read_bytes()
    except ssl.SSLError:
        raise SetupError(f"{certificate} and {key} are no certificate and its key in PEM") from None
    except OSError as error:
        raise SetupError(f"cannot read {certificate} and {key}: {error.strerror}") from None
    return grpc.ssl_server_credentials([pair])

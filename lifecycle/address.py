"""Addresses of the form HOST:PORT."""

import socket

from contract.errors import SetupError


def split(address: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8000" or "[::1]:8000". Raises SetupError where it is neither."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise SetupError(f"{address!r} is no address: write HOST:PORT, such as 127.0.0.1:8000")
    return host, int(port)


def join(host: str, port: int) -> str:
    """The address of a host and a port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(address: str, setting: str) -> socket.socket:
    """A listening TCP socket on `address`, which `setting` gave. Raises SetupError where it cannot be had."""
    host, port = split(address)
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.bind(target)
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such host"
        raise SetupError(f"cannot listen on {address}: {reason}; free the port or choose another {setting}") from None
    return listener

"""Addresses of the form HOST:PORT."""

import socket
from ipaddress import ip_address

from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import share_port


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


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def listen(address: str, setting: str, *, shared: bool = False) -> socket.socket:
    """A listening TCP socket on `address`, which `setting` gave; `shared` with others of this user that are shared too.

    Raises SetupError where it cannot be had.
    """
    host, port = split(address)
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            share_port(listener, shared=shared)
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


def hold(address: str, setting: str) -> socket.socket:
    """A TCP socket that keeps `address` for listeners that are shared, and takes no connection itself.

    All others are refused, another `hold` too. Raises SetupError where the address cannot be had.
    """
    holder = listen(address, setting)  # It fails unless nobody listens, be it shared or not.
    if not split(address)[1]:  # A port that was not asked for by its number is lost when the socket stops listening.
        address = bound(holder)
        holder.close()
        holder = listen(address, setting)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    holder.shutdown(socket.SHUT_RDWR)
    share_port(holder, shared=True)
    return holder


def bound(listener: socket.socket) -> str:
    """The address that a socket has."""
    return join(*listener.getsockname()[:2])

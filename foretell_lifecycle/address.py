"""Addresses of the form HOST:PORT, and the sockets that listen on them."""

import socket
from ipaddress import ip_address

from foretell_contract.errors import SetupError
from foretell_lifecycle.platform import share_port


def split(address: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8000" or "[::1]:8000". Raises SetupError if it is neither."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise SetupError(f"{address!r} is no address: write HOST:PORT, such as 127.0.0.1:8000")
    return host, int(port)


def join(host: str, port: int) -> str:
    """The address of a host and a port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def listen(address: str, setting: str, *, shared: bool = False) -> socket.socket:
    """A TCP socket on `address`, the value of `setting`; if `shared`, beside other shared ones of this user. Raises SetupError."""
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


def listen_all(address: str, setting: str, *, shared: bool = False) -> list[socket.socket]:
    """The sockets of `listen` for each address of the host. As for gRPC, `localhost` is 127.0.0.1 and, if there is IPv6, ::1."""
    host, port = split(address)
    if host != "localhost":
        return [listen(address, setting, shared=shared)]
    listeners = [listen(join("127.0.0.1", port), setting, shared=shared)]
    if _has_ipv6():
        try:
            listeners.append(listen(join("::1", listeners[0].getsockname()[1]), setting, shared=shared))
        except SetupError:
            listeners[0].close()
            raise
    return listeners


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def reserve(address: str, setting: str) -> socket.socket:
    """A TCP socket that reserves `address` for shared listeners while it is open. Raises SetupError if the address is taken."""
    reservation = listen(address, setting)  # Fails if any socket listens there, shared or not.
    if not split(address)[1]:  # The kernel chose the port, which would be lost when the socket stops listening.
        address = bound_to(reservation)
        reservation.close()
        reservation = listen(address, setting)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    reservation.shutdown(socket.SHUT_RDWR)
    share_port(reservation, shared=True)
    return reservation


def bound_to(listener: socket.socket) -> str:
    """The address that a socket is bound to."""
    return join(*listener.getsockname()[:2])

"""Ports that are reserved for shared listeners."""

import socket

import pytest

from foretell_contract.errors import SetupError
from foretell_lifecycle import address
from tests.support.processes import ANY_PORT


def connect(to: str) -> None:
    socket.create_connection(address.split(to)).close()


def test_reserved_port_takes_shared_listeners_only() -> None:
    with address.reserve(ANY_PORT, "--x") as reservation:
        reserved = address.bound_to(reservation)
        assert not reserved.endswith(":0")
        for listen in (address.listen, address.reserve):
            with pytest.raises(SetupError, match="Address already in use; free the port or choose another --y"):
                listen(reserved, "--y").close()
        with pytest.raises(ConnectionRefusedError):
            connect(reserved)
        with address.listen(reserved, "--x", shared=True), address.listen(reserved, "--x", shared=True):
            for listen in (address.listen, address.reserve):
                with pytest.raises(SetupError):
                    listen(reserved, "--y").close()
            connect(reserved)
        with pytest.raises(SetupError):  # The reservation alone keeps it.
            address.listen(reserved, "--y").close()


def test_port_with_listener_cannot_be_reserved() -> None:
    with address.listen(ANY_PORT, "--x", shared=True) as listener, pytest.raises(SetupError):
        address.reserve(address.bound_to(listener), "--y").close()


def test_port_is_reserved_again_after_connections() -> None:
    with address.reserve(ANY_PORT, "--x") as reservation:
        reserved = address.bound_to(reservation)
        with address.listen(reserved, "--x", shared=True) as listener, socket.create_connection(address.split(reserved)) as caller:
            listener.accept()[0].close()  # The side that closes first stays in TIME_WAIT.
            assert caller.recv(1) == b""
    with address.reserve(reserved, "--x") as reservation, address.listen(reserved, "--x", shared=True):
        assert address.bound_to(reservation) == reserved

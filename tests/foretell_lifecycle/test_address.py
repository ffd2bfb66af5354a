"""A port that is held for listeners that share it."""

import socket

import pytest

from foretell_contract.errors import SetupError
from foretell_lifecycle import address
from tests.support.processes import ANY_PORT


def connect(to: str) -> None:
    socket.create_connection(address.split(to)).close()


def test_a_held_port_is_for_shared_listeners_only() -> None:
    with address.reserve(ANY_PORT, "--x") as holder:
        held = address.bound_to(holder)
        assert not held.endswith(":0")
        for take in (address.listen, address.reserve):
            with pytest.raises(SetupError, match="Address already in use; free the port or choose another --y"):
                take(held, "--y").close()
        with pytest.raises(ConnectionRefusedError):
            connect(held)
        with address.listen(held, "--x", shared=True), address.listen(held, "--x", shared=True):
            for take in (address.listen, address.reserve):
                with pytest.raises(SetupError):
                    take(held, "--y").close()
            connect(held)
        with pytest.raises(SetupError):  # All that shared it are gone.
            address.listen(held, "--y").close()


def test_a_port_on_which_someone_listens_cannot_be_held() -> None:
    with address.listen(ANY_PORT, "--x", shared=True) as listener, pytest.raises(SetupError):
        address.reserve(address.bound_to(listener), "--y").close()


def test_a_port_can_be_held_again_though_connections_linger() -> None:
    with address.reserve(ANY_PORT, "--x") as holder:
        held = address.bound_to(holder)
        with address.listen(held, "--x", shared=True) as listener, socket.create_connection(address.split(held)) as caller:
            listener.accept()[0].close()  # Who closes first keeps the connection's memory for a minute.
            assert caller.recv(1) == b""
    with address.reserve(held, "--x") as holder, address.listen(held, "--x", shared=True):
        assert address.bound_to(holder) == held

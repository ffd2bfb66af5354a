"""The check of our Connection on the installed uvicorn, and uvicorn's own protocol in its place."""

import asyncio
import json
import logging

import pytest

from foretell_contract.contract import Contract
from rest_bridge.http.connection import Connection
from rest_bridge.http.protocol_check import usable_protocol
from tests.support.servers.endpoint import answered
from tests.support.servers.fake_channel import FakeChannel
from tests.support.servers.http_connections import LAST_GET, POST, check_prediction, exchange, read_response, serving


class Broken(Connection):
    """As on a uvicorn without one of the methods that Connection calls."""

    def _unset_keepalive_if_required(self) -> None:
        raise AttributeError("no such method")


class Wrong(Connection):
    """As on a uvicorn that ignores our bound on heads."""

    def _head_so_far(self) -> int:
        return 0


async def test_installed_uvicorn_fits(caplog: pytest.LogCaptureFixture) -> None:
    assert await usable_protocol() is Connection
    assert caplog.records == []


@pytest.mark.parametrize(
    ("protocol", "cause"), [(Broken, "AttributeError: no such method"), (Wrong, "RuntimeError: a request is answered wrongly")]
)
async def test_failure_is_logged_in_one_line(
    caplog: pytest.LogCaptureFixture, protocol: type[asyncio.Protocol], cause: str
) -> None:
    assert await usable_protocol(protocol) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert record.getMessage().endswith(f", so uvicorn's own serves, which bounds no request's head: {cause}")


async def test_uvicorns_own_protocol_serves(contract: Contract, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(contract, FakeChannel(lambda _: answered(contract)), protocol=Broken) as (_, address):
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(2):
            writer.write(POST)
            check_prediction(await read_response(reader))
        writer.close()
        assert json.loads((await exchange(address, LAST_GET)).partition(b"\r\n\r\n")[2]) == {"status": "live"}
    assert len(caplog.records) == 1


async def test_uvicorns_own_protocol_drains(contract: Contract) -> None:
    channel, called, go = FakeChannel(lambda _: answered(contract)), asyncio.Event(), asyncio.Event()
    channel.hold = called, go
    async with serving(contract, channel, protocol=Broken) as (server, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(POST)
        await called.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        go.set()
        check_prediction(await read_response(reader))
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await stopping

"""Limits of a request body: its type, its size, its time."""

import asyncio
from typing import Any

import pytest

from foretell_contract.contract import Contract
from tests.support.servers.endpoint import answered, called, post


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity"])
async def test_compressed_body_is_refused(contract: Contract, encoding: str) -> None:
    response = await post(contract, lambda _: answered(contract), headers={"content-encoding": encoding})
    assert response.status_code == 415
    assert response.json()["detail"][0]["loc"] == ["header", "content-encoding"]


async def test_declared_size_is_refused_at_once(contract: Contract) -> None:
    headers = {"content-length": "5000000000"}
    assert (await post(contract, lambda _: answered(contract), headers=headers)).status_code == 413


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json; charset=utf-16", "application/jsonp", "application/x-www-form-urlencoded"]
)
async def test_other_content_types_are_refused(contract: Contract, kind: str) -> None:
    response, calls = await called(contract, headers={"content-type": kind})
    assert response.status_code == 415
    assert response.headers["accept-post"] == "application/json"
    assert calls == []


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"']
)
async def test_content_type_may_be_spelt_differently(contract: Contract, kind: str) -> None:
    response, _ = await called(contract, headers={"content-type": kind})
    assert response.status_code == 200


async def test_large_body_is_refused_while_it_arrives(contract: Contract) -> None:
    sent = 0

    async def body() -> Any:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 100

    response, _ = await called(contract, content=body(), max_body_bytes=1000)
    assert response.status_code == 413
    assert response.json()["detail"][0]["msg"] == "must be at most 1000 bytes"
    assert sent == 11


async def test_slow_body_is_refused(contract: Contract) -> None:
    async def body() -> Any:
        yield b"{"
        await asyncio.Event().wait()

    response, _ = await called(contract, content=body(), body_seconds=0.05)
    assert response.status_code == 408

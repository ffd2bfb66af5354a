"""The deadline of a request: from its headers, bounded, and running while the body arrives."""

import asyncio
import json
from typing import Any

import pytest

from foretell_contract.contract import Contract
from tests.support.iris import EXAMPLE
from tests.support.servers.endpoint import called


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 30.0),
        ({"x-request-timeout": "2.5"}, 2.5),
        ({"x-request-timeout": "1e-2"}, 0.01),
        ({"x-request-timeout": "999999"}, 60.0),
        ({"grpc-timeout": "250m"}, 0.25),
        ({"grpc-timeout": "2H"}, 60.0),
        ({"grpc-timeout": "250m", "x-request-timeout": "0.1"}, 0.1),
    ],
)
async def test_headers_set_the_deadline(contract: Contract, headers: dict[str, str], seconds: float) -> None:
    response, calls = await called(contract, headers=headers)
    assert response.status_code == 200
    assert seconds - 5 < calls[0]["timeout"] <= seconds


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-request-timeout", value) for value in ("", "0", "-1", "nan", "inf", "1_0", "5s", "٣", "0x1", " ", "1,5", "1" * 40)]
    + [("grpc-timeout", value) for value in ("", "0S", "5", "S", "5s", "123456789S", "-1S", "1.5S", "٣S")],
)
async def test_malformed_deadline_is_refused(contract: Contract, name: str, value: str) -> None:
    response, calls = await called(contract, headers={name: value.encode()})
    assert response.status_code == 400
    (problem,) = response.json()["detail"]
    assert problem["loc"] == ["header", name]
    assert calls == []


async def test_deadline_runs_while_the_body_arrives(contract: Contract) -> None:
    async def body() -> Any:
        yield json.dumps(EXAMPLE).encode()
        await asyncio.sleep(0.05)

    _, calls = await called(contract, headers={"x-request-timeout": "0.5"}, content=body())
    assert calls[0]["timeout"] <= 0.45

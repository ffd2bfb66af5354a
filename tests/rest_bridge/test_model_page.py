"""The page that lists the models: its JSON to the byte, and the schema that documents it."""

import json
from typing import Any

import httpx2
import pytest
from google.protobuf import json_format
from jsonschema import Draft202012Validator

from foretell_contract.contract import LIST_MODELS_RESPONSE, Contract
from tests.support.servers.endpoint import client

MODEL = (
    '{"name":"iris","version":"3","format":"skops","digest":"ab","created":"2026-01-31T12:00:00Z","services":["iris.v1.IrisService"],'
    '"columns":["a","b"],"classes":["x"],"aliases":["production"],"generation":9007199254740993,"canary_share":0.05,'
    '"placement":"PLACEMENT_PROCESS","workers":2,"source":"models:/iris/3","cost":{"one_row_seconds":0.00001,"batch_seconds":null}}'
)
EMPTY_MODEL = (
    '{"name":"bare","version":"","format":"","digest":"","created":"2026-01-31T12:00:00Z","services":[],"columns":[],"classes":[],'
    '"aliases":[],"generation":0,"canary_share":0.0,"placement":"PLACEMENT_UNSPECIFIED","workers":0,"source":"","cost":null}'
)
FOLLOWING = (
    '{"name":"iris","generation":7,"loading":"4","gate":"golden",'
    '"refused":{"version":"2","gate":"load","reason":"é","refused":"2026-01-31T12:00:00Z","generation":5},'
    '"shadow":{"version":"4","compared":10,"agreeing":9,"largest_shift":0.5,"mean_shift":0.125,"mean_seconds":0.5,'
    '"failed":1,"left_out":2,"labelled":10},'
    '"followed":{"address":"models:/iris@champion","source":"models:/iris/3","version":"3","reason":"",'
    '"done":"2026-01-31T12:00:00Z"},"trouble":"t"}'
)
EMPTY_FOLLOWING = '{"name":"bare","generation":0,"loading":"","gate":"","refused":null,"shadow":null,"followed":null,"trouble":""}'
SERVED = f'{{"models":[{MODEL},{EMPTY_MODEL}],"following":[{FOLLOWING},{EMPTY_FOLLOWING}]}}'
"""Every field of every message set, and every one absent."""


def listing(contract: Contract, document: str) -> bytes:
    """The serialised ListModelsResponse that the JSON text describes."""
    return json_format.ParseDict(json.loads(document), contract.message(LIST_MODELS_RESPONSE)()).SerializeToString()


async def page(contract: Contract, path: str, reply: bytes) -> httpx2.Response:
    http, _ = client(contract, lambda _: reply)
    async with http:
        return (await http.get(path)).raise_for_status()


@pytest.mark.parametrize("document", [SERVED, '{"models":[],"following":[]}'], ids=["full", "empty"])
async def test_models_are_listed_with_every_key(contract: Contract, document: str) -> None:
    response = await page(contract, "/models", listing(contract, document))
    assert response.headers["content-type"] == "application/json"
    assert response.text == document


@pytest.fixture
async def validator(contract: Contract) -> Draft202012Validator:
    """Of the body of `/models`, as the OpenAPI document describes it."""
    document = (await page(contract, "/openapi.json", b"")).json()
    schema = document["paths"]["/models"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return Draft202012Validator(schema | {"components": document["components"]})


async def test_schema_accepts_what_is_served(validator: Draft202012Validator) -> None:
    validator.validate(json.loads(SERVED))


@pytest.mark.parametrize(
    ("key", "value"),
    [("generation", "7"), ("placement", "NOWHERE"), ("created", 5), ("workers", None), ("cost", {"unknown": 1})],
)
async def test_schema_refuses_another_type(validator: Draft202012Validator, key: str, value: Any) -> None:
    document = json.loads(SERVED)
    document["models"][0][key] = value
    assert not validator.is_valid(document)


@pytest.mark.parametrize("key", ["cost", "source", "generation"])
async def test_schema_requires_every_key(validator: Draft202012Validator, key: str) -> None:
    document = json.loads(SERVED)
    del document["models"][0][key]
    assert not validator.is_valid(document)


async def test_schemas_carry_the_contracts_comments(contract: Contract) -> None:
    schemas = (await page(contract, "/openapi.json", b"")).json()["components"]["schemas"]
    message: Any = contract.message(LIST_MODELS_RESPONSE).DESCRIPTOR
    names = {name for name in schemas if name.startswith("foretell.v1.")}
    assert names == {f"foretell.v1.{name}" for name in SHOWN}
    assert all(schemas[name]["description"] == contract.comment(name) for name in names)
    assert schemas[message.full_name]["properties"]["models"]["description"] == contract.comment(f"{message.full_name}.models")


SHOWN = ("ListModelsResponse", "Model", "Cost", "Following", "RefusedVersion", "Shadow", "Followed")

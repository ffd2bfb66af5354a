"""Operation ids of the document, from which generators name the functions of clients."""

import re

import pytest

from foretell_contract.contract import load
from tests.conftest import PROTOS
from tests.support.servers.endpoint import client


# fastapi#442, nx-plugin-for-aws#77, overfast-api#52
@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/healthz", "healthz"),
        ("/readyz", "readyz"),
        ("/models", "models"),
        ("/contract", "contract_files"),
        ("/contract.binpb", "descriptor_set"),
        ("/contract/parcel/v1/parcel.proto", "parcel_v1_parcel_proto"),
        ("/predict", "iris.v1.IrisService.Predict"),
        ("/models/iris.v2/aliases/{alias}/v2/predict", "iris.v2.IrisService.Predict.alias"),
    ],
)
async def test_operation_has_a_short_name(path: str, identity: str) -> None:
    http, _ = client(load(PROTOS), lambda _: b"")
    async with http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    (operation,) = paths[path].values()
    assert operation["operationId"] == identity
    identities = [operation["operationId"] for page in paths.values() for operation in page.values()]
    assert len(set(identities)) == len(identities)
    assert [identity for identity in identities if not re.fullmatch(r"[A-Za-z][\w.]*", identity)] == []

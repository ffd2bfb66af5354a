"""gRPC and REST clients of a running Foretell that take and return the same Python values."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
import httpx2

from foretell_contract.contract import Contract
from tests.support.processes import Foretell
from tests.support.servers.grpc_in_process import violations

Row = dict[str, float | None]


class Clients:
    """One gRPC channel and one HTTP connection to a running Foretell."""

    def __init__(self, running: Foretell, contract: Contract) -> None:
        self.channel = grpc.insecure_channel(running.grpc)
        self.http = httpx2.Client(base_url=running.http, timeout=30)
        self.methods = {method.name: method for method in contract.services[0].methods}

    def close(self) -> None:
        self.channel.close()
        self.http.close()

    def _call(self, kind: str, name: str) -> Any:
        method = self.methods[name]
        return getattr(self.channel, kind)(
            method.path, request_serializer=method.request.SerializeToString, response_deserializer=method.response.FromString
        )

    def features(self, row: Row) -> Any:
        return self.methods["Predict"].request(**row)

    def grpc_rows(self, rows: Iterable[Row]) -> list[list[float]]:
        predict = self._call("unary_unary", "Predict")
        return [probabilities(predict(self.features(row), timeout=30)) for row in rows]

    def grpc_batch(self, rows: Sequence[Row]) -> list[list[float]]:
        response = self._call("unary_unary", "PredictBatch")(self.methods["PredictBatch"].request(rows=rows), timeout=30)
        return [probabilities(answer) for answer in response.rows]

    def grpc_stream(self, rows: Iterable[Row]) -> list[list[float]]:
        stream = self._call("stream_stream", "PredictStream")(map(self.features, rows), timeout=60)
        return [probabilities(answer) for answer in stream]

    def rest_rows(self, rows: Iterable[Row]) -> list[list[float]]:
        return [list(self.http.post("/predict", json=row).raise_for_status().json().values()) for row in rows]

    def rest_batch(self, rows: Sequence[Row]) -> list[list[float]]:
        response = self.http.post("/predict/batch", json={"rows": rows}).raise_for_status().json()
        return [list(row.values()) for row in response["rows"]]

    def grpc_result(self, row: Row) -> Any:
        """The probabilities, or the field, rule and message of each violation."""
        future = self._call("unary_unary", "Predict").future(self.features(row), timeout=30)
        error = future.exception()
        if error is None:
            return probabilities(future.result())
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        return violations(error)

    def rest_result(self, row: Row) -> Any:
        """The same over REST."""
        response = self.http.post("/predict", content=json.dumps(row), headers={"content-type": "application/json"})
        if response.status_code == 200:
            return list(response.json().values())
        assert response.status_code == 422
        return [(problem["loc"][1], problem["type"], problem["msg"]) for problem in response.json()["detail"]]


def probabilities(answer: Any) -> list[float]:
    """The fields of an answer in the order of the contract."""
    return [getattr(answer, field.name) for field in answer.DESCRIPTOR.fields]

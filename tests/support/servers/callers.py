"""The doors of a running Foretell, each asked the same thing in the same words."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import grpc
import httpx

from foretell_contract.contract import Contract
from tests.support.processes import Foretell
from tests.support.servers.grpc_in_process import violations

Row = dict[str, float | None]


class Doors:
    """One channel and one HTTP connection to a running Foretell."""

    def __init__(self, running: Foretell, contract: Contract) -> None:
        self.channel = grpc.insecure_channel(running.grpc)
        self.http = httpx.Client(base_url=running.http, timeout=30)
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
        return [numbers(predict(self.features(row), timeout=30)) for row in rows]

    def grpc_batch(self, rows: Sequence[Row]) -> list[list[float]]:
        response = self._call("unary_unary", "PredictBatch")(self.methods["PredictBatch"].request(rows=rows), timeout=30)
        return [numbers(answer) for answer in response.rows]

    def grpc_stream(self, rows: Iterable[Row]) -> list[list[float]]:
        stream = self._call("stream_stream", "PredictStream")(map(self.features, rows), timeout=60)
        return [numbers(answer) for answer in stream]

    def rest_rows(self, rows: Iterable[Row]) -> list[list[float]]:
        return [list(self.http.post("/predict", json=row).raise_for_status().json().values()) for row in rows]

    def rest_batch(self, rows: Sequence[Row]) -> list[list[float]]:
        answer = self.http.post("/predict/batch", json={"rows": rows}).raise_for_status().json()
        return [list(row.values()) for row in answer["rows"]]

    def grpc_verdict(self, row: Row) -> Any:
        """The probabilities, or the place, rule and text of each violation."""
        future = self._call("unary_unary", "Predict").future(self.features(row), timeout=30)
        error = future.exception()
        if error is None:
            return numbers(future.result())
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        return violations(error)

    def rest_verdict(self, row: Row) -> Any:
        """The same, from the other door."""
        response = self.http.post("/predict", content=json.dumps(row), headers={"content-type": "application/json"})
        if response.status_code == 200:
            return list(response.json().values())
        assert response.status_code == 422
        return [(problem["loc"][1], problem["type"], problem["msg"]) for problem in response.json()["detail"]]


def numbers(answer: Any) -> list[float]:
    """The probabilities of an answer, in the order of the contract."""
    return [getattr(answer, field.name) for field in answer.DESCRIPTOR.fields]

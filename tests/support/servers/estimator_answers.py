"""Compares the answers over gRPC and REST with those of an estimator."""

import math
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format

from foretell_contract.service import Method
from tests.support.servers.many_models import BridgedServer, as_document


def assert_answers(server: BridgedServer, method: Method, rows: Sequence[Any], answers: Sequence[Any]) -> None:
    """Asserts that the server answers each row over gRPC and over REST as the estimator does."""
    messages = [json_format.ParseDict(row, method.request()) for row in rows]
    for number, (answer, expected) in enumerate(zip(server.grpc(method, messages), answers, strict=True)):
        assert not isinstance(answer, Exception), answer
        assert_close(as_document(answer), expected, f"gRPC row {number}")
    for number, (response, expected) in enumerate(zip(server.rest(method, rows), answers, strict=True)):
        assert response.status_code == 200, response.text
        assert_close(response.json(), expected, f"REST row {number}")


def assert_close(answer: Any, expected: Any, place: str = "", within: float = 1e-9) -> None:
    """Asserts that two documents are equal, floats within the relative or absolute tolerance `within`."""
    if isinstance(expected, dict):
        assert set(answer) == set(expected), place
        for name, part in expected.items():
            assert_close(answer[name], part, f"{place}.{name}", within)
    elif isinstance(expected, list):
        assert len(answer) == len(expected), place
        for index, part in enumerate(expected):
            assert_close(answer[index], part, f"{place}[{index}]", within)
    elif isinstance(expected, float):
        assert math.isclose(answer, expected, rel_tol=within, abs_tol=within), place
    else:
        assert answer == expected, place

"""Whether both doors give an estimator's own answers."""

import math
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format

from foretell_contract.service import Method
from tests.support.servers.many_models import Served, as_document


def held_to(doors: Served, method: Method, rows: Sequence[Any], answers: Sequence[Any]) -> None:
    """Each row is answered with its answer, over gRPC and over REST."""
    messages = [json_format.ParseDict(row, method.request()) for row in rows]
    for number, (answer, expected) in enumerate(zip(doors.grpc(method, messages), answers, strict=True)):
        assert not isinstance(answer, Exception), answer
        near(as_document(answer), expected, f"gRPC row {number}")
    for number, (response, expected) in enumerate(zip(doors.rest(method, rows), answers, strict=True)):
        assert response.status_code == 200, response.text
        near(response.json(), expected, f"REST row {number}")


def near(answer: Any, expected: Any, place: str = "", within: float = 1e-9) -> None:
    """Equal, numbers as near as that, of themselves or as they are."""
    if isinstance(expected, dict):
        assert set(answer) == set(expected), place
        for name, part in expected.items():
            near(answer[name], part, f"{place}.{name}", within)
    elif isinstance(expected, list):
        assert len(answer) == len(expected), place
        for index, part in enumerate(expected):
            near(answer[index], part, f"{place}[{index}]", within)
    elif isinstance(expected, float):
        assert math.isclose(answer, expected, rel_tol=within, abs_tol=within), place
    else:
        assert answer == expected, place

"""Requests, answers and errors of the sync client, on the channel of grpcio-testing."""

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import grpc_testing
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status

from foretell_client import (
    DeadlineExceeded,
    Features,
    InvalidAnswer,
    InvalidFeatures,
    IrisClient,
    PredictionError,
    ServerUnavailable,
    Violation,
)
from foretell_client.stubs.iris.v1 import iris_pb2
from tests.clients.conftest import ANSWER, BAD, FLOWER

SERVICE = iris_pb2.DESCRIPTOR.services_by_name["IrisService"]
PREDICT, BATCH, STREAM = (SERVICE.methods_by_name[name] for name in ("Predict", "PredictBatch", "PredictStream"))

Start = Callable[..., "Future[Any]"]


@pytest.fixture
def channel() -> grpc_testing.Channel:
    return grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())


@pytest.fixture
def iris(channel: grpc_testing.Channel) -> IrisClient:
    return IrisClient(channel)


@pytest.fixture
def start() -> Iterator[Start]:
    """Runs a call on another thread, since it waits for the test to answer."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit


def details(*parts: Any) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata of an error."""
    status = Status()
    for part in parts:
        packed = Packed()
        packed.Pack(part)
        status.details.append(packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)


def refused(channel: grpc_testing.Channel, call: "Future[Any]", code: grpc.StatusCode, *parts: Any) -> PredictionError:
    """The exception of a Predict that the server refuses with these details."""
    _, _, rpc = channel.take_unary_unary(PREDICT)
    rpc.send_initial_metadata((("x-request-id", "abc"), ("model-name", "iris")))
    rpc.terminate(None, details(*parts) if parts else (), code, "the text")
    with pytest.raises(PredictionError) as raised:
        call.result(30)
    return raised.value


def test_predict_returns_the_answer(channel, iris, start) -> None:
    call = start(iris.predict, FLOWER)
    _, request, rpc = channel.take_unary_unary(PREDICT)
    rpc.terminate(ANSWER, (), grpc.StatusCode.OK, "")
    assert request == FLOWER
    assert call.result(30) == ANSWER


def test_predict_batch_sends_one_request(channel, iris, start) -> None:
    call = start(iris.predict_batch, (flower for flower in [FLOWER, FLOWER]))
    _, request, rpc = channel.take_unary_unary(BATCH)
    rpc.terminate(iris_pb2.ResponseBatch(rows=[ANSWER, ANSWER]), (), grpc.StatusCode.OK, "")
    assert list(request.rows) == [FLOWER, FLOWER]
    assert call.result(30) == [ANSWER, ANSWER]


def test_predict_stream_yields_answers_at_once(channel, iris, start) -> None:
    answers = iris.predict_stream([FLOWER, BAD])
    first = start(next, answers)
    _, rpc = channel.take_stream_stream(STREAM)
    assert (rpc.take_request(), rpc.take_request()) == (FLOWER, BAD)
    rpc.requests_closed()
    rpc.send_response(ANSWER)
    assert first.result(30) == ANSWER
    rest = start(list, answers)
    rpc.terminate((), grpc.StatusCode.OK, "")
    assert rest.result(30) == []


def test_closing_the_iterator_cancels_the_stream(channel, iris, start) -> None:
    answers = iris.predict_stream([FLOWER])
    first = start(next, answers)
    _, rpc = channel.take_stream_stream(STREAM)
    rpc.send_response(ANSWER)
    first.result(30)
    answers.close()
    rpc.cancelled()


def test_invalid_features_carry_the_violations(channel, iris, start) -> None:
    request = BadRequest()
    request.field_violations.add(field="petal_width", reason="double.gte_lte", description="must be at most 1")
    request.field_violations.add(field="", reason="features.units", description="check the units")
    info = ErrorInfo(reason="INVALID_FEATURES", domain="foretell", metadata={"violations": "5"})
    error = refused(channel, start(iris.predict, BAD), grpc.StatusCode.INVALID_ARGUMENT, info, request)
    assert isinstance(error, InvalidFeatures)
    assert error.violations == (
        Violation("petal_width", "double.gte_lte", "must be at most 1"),
        Violation("", "features.units", "check the units"),
    )
    assert error.omitted == 3
    assert (error.code, error.message, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "the text", "INVALID_FEATURES")
    assert error.request_id == "abc"
    assert str(error) == "INVALID_ARGUMENT: the text"
    assert isinstance(error.__cause__, grpc.RpcError)


def test_invalid_answer_names_fields_of_the_response(channel, iris, start) -> None:
    text = "must be finite; the model gave nan"
    broken = PreconditionFailure.Violation(subject="setosa_probability", type="double.finite", description=text)
    info = ErrorInfo(reason="INVALID_ANSWER", metadata={"violations": "1"})
    answer = PreconditionFailure(violations=[broken])
    error = refused(channel, start(iris.predict, FLOWER), grpc.StatusCode.FAILED_PRECONDITION, info, answer)
    assert type(error) is InvalidAnswer
    assert (error.violations, error.omitted) == ((Violation("setosa_probability", "double.finite", text),), 0)


def test_error_of_stream_has_the_index(channel, iris, start) -> None:
    call = start(list, iris.predict_stream([BAD]))
    _, rpc = channel.take_stream_stream(STREAM)
    info = ErrorInfo(reason="INVALID_FEATURES", metadata={"index": "7"})
    rpc.terminate(details(info), grpc.StatusCode.INVALID_ARGUMENT, "message 7: the text")
    with pytest.raises(InvalidFeatures) as raised:
        call.result(30)
    assert raised.value.index == 7


def test_internal_error_has_the_incident(channel, iris, start) -> None:
    info = ErrorInfo(reason="INTERNAL", metadata={"incident": "0a1b2c"})
    error = refused(channel, start(iris.predict, FLOWER), grpc.StatusCode.INTERNAL, info)
    assert (error.incident, error.reason, error.index, error.violations) == ("0a1b2c", "INTERNAL", None, ())


def test_request_id_in_trailing_metadata(channel, iris, start) -> None:
    """A server that refuses a call before accepting it sends no initial metadata."""
    call = start(iris.predict, FLOWER)
    _, _, rpc = channel.take_unary_unary(PREDICT)
    rpc.terminate(None, (("x-request-id", "late"),), grpc.StatusCode.UNAVAILABLE, "")
    with pytest.raises(ServerUnavailable) as raised:
        call.result(30)
    assert raised.value.request_id == "late"


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK], ids=lambda code: code.name)
def test_status_maps_to_exception(channel, iris, start, code) -> None:
    classes = {
        grpc.StatusCode.INVALID_ARGUMENT: InvalidFeatures,
        grpc.StatusCode.FAILED_PRECONDITION: InvalidAnswer,
        grpc.StatusCode.UNAVAILABLE: ServerUnavailable,
        grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    }
    error = refused(channel, start(iris.predict, FLOWER), code)
    assert type(error) is classes.get(code, PredictionError)
    assert (error.code, error.reason, error.incident, error.index, error.violations, error.omitted) == (code, "", "", None, (), 0)


def test_other_details_are_ignored(channel, iris, start) -> None:
    error = refused(
        channel, start(iris.predict, FLOWER), grpc.StatusCode.RESOURCE_EXHAUSTED, RetryInfo(), ErrorInfo(reason="OVERLOADED")
    )
    assert error.reason == "OVERLOADED"


def test_error_survives_pickling(channel, iris, start) -> None:
    """As a process pool pickles it."""
    error = refused(channel, start(iris.predict, FLOWER), grpc.StatusCode.INVALID_ARGUMENT, ErrorInfo(reason="INVALID_FEATURES"))
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.reason, copy.request_id) == (InvalidFeatures, str(error), "INVALID_FEATURES", "abc")


def test_misspelt_feature_raises_value_error() -> None:
    with pytest.raises(ValueError, match="petal_widht"):
        Features(petal_widht=1.0)

"""Translates gRPC errors to HTTP refusals with the same texts."""

import base64
import re
from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status

from foretell_contract.contract import Contract
from foretell_contract.fields import is_map, map_entry
from foretell_contract.rules.rules import FieldRules, Violation
from foretell_contract.service import Method
from rest_bridge.json.request_problems import Loc, RequestProblem, RequestRefused

HTTP_STATUS = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}
"""google.rpc.Code's table. Violations are 422 instead, as FastAPI's clients expect."""

_TEXTS = {
    grpc.StatusCode.UNAVAILABLE: "the model server cannot be reached; retry with backoff",
    grpc.StatusCode.DEADLINE_EXCEEDED: "no answer within the deadline",
    grpc.StatusCode.CANCELLED: "the call was cancelled",
    grpc.StatusCode.UNIMPLEMENTED: "the model server does not serve this method",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "the model server refused the size or the number of the calls",
}
"""Texts for errors without our server's ErrorInfo: the text of a library is never passed on."""

_RETRY_AFTER = {429: "1", 503: "1"}
_STATUS_DETAILS = "grpc-status-details-bin"
_STEP = re.compile(r"([^.\[\]]+)|\[\"(.*?)\"\](?=[.\[]|$)|\[(-?\w+)\]", re.DOTALL)


def failed_call(error: grpc.aio.AioRpcError) -> RequestRefused:
    """The refusal for a call that failed, whatever its request was."""
    status = status_details(error)
    info, retry = detail(status, ErrorInfo), detail(status, RetryInfo)
    code = error.code()
    http = HTTP_STATUS.get(code, 500)
    unknown = "internal error" if http == 500 else "the model server refused the call"
    text = status.message if info is not None else _TEXTS.get(code, unknown)
    headers = {"retry-after": _RETRY_AFTER[http]} if http in _RETRY_AFTER else {}
    if retry is not None:
        headers["retry-after"] = str(max(1, retry.retry_delay.seconds))
    ctx = dict(info.metadata) if info is not None else {}
    return RequestRefused(http, [RequestProblem(code.name.lower(), (), text, ctx=ctx)], headers=headers)


def refused_call(error: grpc.aio.AioRpcError, contract: Contract, method: Method, document: Any) -> RequestRefused:
    """The refusal for a call that failed with `document` as its request: broken rules of request or answer, if any."""
    status = status_details(error)
    info, bad, failed = (detail(status, kind) for kind in (ErrorInfo, BadRequest, PreconditionFailure))
    if info is None or (bad is None and failed is None):
        return failed_call(error)
    if bad is not None:
        broken = [Violation(v.field, v.reason, v.description) for v in bad.field_violations]
        problems = locate(broken, contract, method.input, document)
    else:
        broken = [Violation(v.subject, v.type, v.description) for v in failed.violations]
        problems = locate(broken, contract, method.output, None, root="response")
    count, unjudged = (int(info.metadata.get(name, "0")) for name in ("violations", "unjudged_rows"))
    return RequestRefused(422, problems, count=count, unjudged_rows=unjudged)


def locate(
    violations: Iterable[Violation], contract: Contract, message: Descriptor, document: Any, root: str = "body"
) -> list[RequestProblem]:
    """The violations as problems, with place and value from the document and bounds from the contract."""
    problems = []
    for violation in violations:
        steps, rules = _place(violation.field, contract, message)
        ctx = _bounds(violation.rule, rules)
        problems.append(RequestProblem(violation.rule, (root, *steps), violation.message, _value(document, steps), ctx))
    return problems


def status_details(error: Any) -> Status:
    """The google.rpc.Status of a failed call, an AioRpcError or a grpc.Call; empty if it has none."""
    for key, value in error.trailing_metadata() or ():
        if key == _STATUS_DETAILS:
            try:
                return Status.FromString(value)
            except DecodeError:
                break
    return Status()


def detail(status: Status, kind: Any) -> Any:
    """The first detail of this type, or None."""
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):  # False for another type.
            return found
    return None


def _place(path: str, contract: Contract, message: Descriptor) -> tuple[Loc, FieldRules | None]:
    """The keys and indices from the body to a value, and the rules for that value."""
    steps: list[str | int] = []
    rules: FieldRules | None = None
    field: FieldDescriptor | None = None
    within: Descriptor | None = message
    for name, key, index in _STEP.findall(path):
        if name:
            field = within.fields_by_name.get(name) if within is not None else None
            rules = contract.rules.of(field) if field is not None else None
            within = field.message_type if field is not None else None
            steps.append(name)
            continue
        if rules is not None:
            rules = rules.values.get("values" if field is not None and is_map(field) else "items", rules)
        if field is not None and is_map(field):
            within = map_entry(field)[1].message_type
            steps.append((key or index).lower() if index in ("True", "False") else key or index)
        else:
            steps.append(int(index) if index.lstrip("-").isdecimal() else key or index)
    return tuple(steps), rules


def _value(document: Any, steps: Loc) -> Any:
    for step in steps:
        try:
            document = document[step]
        except (LookupError, TypeError):
            return None
    return document


def _bounds(rule: str, rules: FieldRules | None) -> dict[str, Any]:
    """The bounds that `rule` names, such as {"gte": 0.0, "lte": 1.0} for `double.gte_lte`."""
    if rules is None:
        return {}
    parts = f"_{rule.partition('.')[2]}_"
    bounds = {name: value for name, value in sorted(rules.values.items()) if not isinstance(value, FieldRules)}
    return {name: _plain(value) for name, value in bounds.items() if f"_{name}_" in parts}


def _plain(value: Any) -> Any:
    """A bound as JSON."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.ToJsonString() if isinstance(value, Message) else value  # type: ignore[attr-defined]  # a Timestamp or Duration

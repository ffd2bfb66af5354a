"""The refusals in the OpenAPI document: their schema, and for each status a description and an example.

Without examples, Swagger UI invents some.
"""

from typing import Any

from foretell_contract.contract import Contract
from foretell_contract.examples.example import example
from foretell_contract.service import Method
from rest_bridge.http.head_bounds import HEAD_TOO_LARGE, HEAD_TOO_SLOW, MALFORMED
from rest_bridge.json.codec import request_example
from rest_bridge.json.request_problems import RequestRefused
from rest_bridge.json.strict_reader import strict_reader

Part = dict[str, Any]

_COUNT: Part = {"type": "integer", "format": "int64", "minimum": 1}

REFUSAL: Part = {
    "type": "object",
    "title": "Refusal",
    "description": "Why a request is refused: all problems in one list.",
    "required": ["detail"],
    "properties": {
        "detail": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
        "omitted": _COUNT | {"description": "Number of further problems that `detail` does not list."},
        "unjudged_rows": _COUNT | {"description": "Number of rows of a batch that were not checked."},
    },
    "additionalProperties": False,
}
PROBLEM: Part = {
    "type": "object",
    "title": "Problem",
    "required": ["type", "loc", "msg"],
    "properties": {
        "type": {"type": "string", "description": "Identifier for programs, such as `double.gte_lte`; the same as over gRPC."},
        "loc": {
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, {"type": "integer", "format": "int64"}]},
            "description": "Place of the problem in the request, or after `response` in the answer; empty if neither caused it.",
        },
        "msg": {"type": "string", "description": "What is wrong and what is allowed."},
        "input": {"description": "The refused value, if it is a short scalar."},
        "ctx": {"type": "object", "description": "More for programs, such as the bounds of the broken rule."},
    },
    "additionalProperties": False,
}
REFUSALS = {
    400: "A header is malformed.",
    404: "There is no such page, version or alias; the message lists the versions and aliases that exist.",
    405: "The path has another method.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The body is not declared as application/json.",
    417: "The request expects something other than 100-continue.",
    431: "The line and the headers of the request are too large.",
    422: "The body is not JSON or breaks the contract, or the model's answer to it does. `detail` lists every problem.",
    429: "Too many rows are queued. Retry after the time in `retry-after`.",
    500: "An internal error. Quote the incident in the message to the operator.",
    501: "The model server does not serve this method, or the HTTP method is unknown.",
    503: "The model server is starting, stopping or unreachable. Retry after the time in `retry-after`.",
    504: "No answer within the deadline.",
}
CHANGE_REFUSALS = {
    400: "A header is malformed, the change is impossible in the current state, or the version failed the `gate` in `ctx`.",
    403: "The `Host` is not this machine, or the request comes from a page of another site.",
    404: "There is no such page, model or version.",
    409: "The route table has another generation than the expected one.",
    429: "Too many calls are queued. Retry after the time in `retry-after`.",
}
"""Descriptions for the control API, where they differ from those of predictions."""
PAGE_REFUSALS = (400, 405, 408, 417, 431, 500)


def text_header(description: str) -> Part:
    """The entry of `headers` for a header with a text."""
    return {"description": description, "schema": {"type": "string"}}


def _one(kind: str, msg: str, *loc: str, **ctx: str) -> Part:
    entry: Part = {"type": kind, "loc": list(loc), "msg": msg}
    return {"detail": [entry | ({"ctx": ctx} if ctx else {})]}


USUAL: dict[int, Part] = {
    400: _one("timeout", "must be a number of seconds above 0, such as 2.5", "header", "x-request-timeout"),
    404: _one("not_found", "there is no such page; /docs lists them"),
    408: _one("body_too_slow", "must arrive within 10 s", "body"),
    413: _one("body_too_large", "must be at most 4194304 bytes", "body"),
    415: _one("content_type", "must be application/json", "header", "content-type"),
    417: _one("expectation", "must be 100-continue: no other expectation can be met", "header", "expect"),
    422: _one("json_invalid", "the body is not JSON: it is malformed or cut off at character 1", "body"),
    429: _one("resource_exhausted", "1024 rows are waiting for the model already; retry with backoff"),
    431: _one(*HEAD_TOO_LARGE[1:]),
    500: _one("internal", "internal error; quote incident 5f1c09a7be42 to the operator"),
    501: _one("unimplemented", "the model server does not serve this method"),
    503: _one("unavailable", "the model server cannot be reached; retry with backoff"),
    504: _one("deadline_exceeded", "the deadline passed before the model ran"),
}
"""Examples for endpoints, by status."""

PAGES = {status: _one(*words) for status, *words in (MALFORMED, HEAD_TOO_SLOW, HEAD_TOO_LARGE)}
"""Examples for pages, where they differ: a request without a body is refused for its head."""

CONTROL: dict[int, Part] = {
    400: _one("failed_precondition", "version 2 is production: it answers all calls already"),
    403: _one("origin", "must be this host: pages of other sites may not call it", "header", "origin"),
    404: _one("not_found", "no version 9 of model 'iris' in models; there are 1, 2"),
    409: _one("aborted", "the route table of iris is at generation 3, not 2: see `foretell history iris`"),
}
"""Examples for the control API, where they differ."""

OTHER_REFUSAL = _one("unauthenticated", "the model server refused the call")

REQUEST_ID = text_header("Id of the request, as sent or generated.")
_RETRY: Part = {"retry-after": {"description": "Seconds to wait before a retry.", "schema": {"type": "integer", "format": "int64"}}}
ANY_REFUSAL: Part = {
    "description": "A refusal of another model server or of a proxy, in the same form.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}, "example": OTHER_REFUSAL}},
}


def refusal_response(status: int, text: str = "", shown: Part | None = None) -> Part:
    """The entry of `responses` for a refusal; `text` and `shown` replace the usual description and example."""
    headers = {"x-request-id": REQUEST_ID} | (_RETRY if status in (429, 503) else {})
    example = shown or USUAL[status]
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}, "example": example}}
    return {"description": text or REFUSALS[status], "headers": headers, "content": content}


def wrong_method(method: str) -> Part:
    """The refusal of this HTTP method."""
    return _one("method_not_allowed", f"{method} is not allowed here")


def no_version(model: str) -> Part:
    """The refusal of a version that does not exist."""
    return _one("not_found", f"no version '9' of {model} answers; there is 1", **{"model-version": "1"})


def broken_contract(contract: Contract, method: Method) -> Part | None:
    """The refusal of the method's example with one name misspelt and one number out of bounds; None without an example."""
    message = example(method.input, contract.rules)
    document = request_example(message) if message is not None else {}
    row = document[method.rows.name][0] if method.rows and document else document
    name = next(iter(row), "")
    if not name:
        return None
    misspelt = f"{name[:-2]}{name[:-3:-1]}" if name[-2:] != name[:-3:-1] else f"{name}x"
    changed = {misspelt if each == name else each: value for each, value in row.items()}
    changed |= _out_of_bounds(contract, method, [each for each in row if each != name])
    try:
        strict_reader(contract, method)({method.rows.name: [changed]} if method.rows else changed)
    except RequestRefused as refused:
        return refused.body
    return None


def _out_of_bounds(contract: Contract, method: Method, names: list[str]) -> Part:
    """The first of these fields with an upper bound, and a number above the bound."""
    for name in names:
        bounds = contract.rules.of(method.features.fields_by_name[name]).values
        upper = bounds.get("lte", bounds.get("lt"))
        if isinstance(upper, int | float) and abs(upper) < 1e15:
            return {name: 2 * upper if upper > 0 else upper + 1}
    return {}

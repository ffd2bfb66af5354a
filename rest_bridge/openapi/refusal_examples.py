"""Bodies of refusals as callers get them, as examples in the OpenAPI document: without them, Swagger UI invents some."""

from typing import Any

from foretell_contract.contract import Contract
from foretell_contract.examples.example import example
from foretell_contract.service import Method
from rest_bridge.http.head_bounds import HEAD_TOO_LARGE, HEAD_TOO_SLOW, MALFORMED
from rest_bridge.json.codec import request_example
from rest_bridge.json.request_problems import RequestRefused
from rest_bridge.json.strict_message import StrictReader

Body = dict[str, Any]


def _one(kind: str, msg: str, *loc: str, **ctx: str) -> Body:
    entry: Body = {"type": kind, "loc": list(loc), "msg": msg}
    return {"detail": [entry | ({"ctx": ctx} if ctx else {})]}


USUAL: dict[int, Body] = {
    400: _one("timeout", "must be a number of seconds above 0, such as 2.5", "header", "x-request-timeout"),
    404: _one("not_found", "there is no such page; /docs lists them"),
    408: _one("body_too_slow", "must arrive within 10 s", "body"),
    413: _one("body_too_large", "must be at most 4194304 bytes", "body"),
    415: _one("content_type", "must be application/json", "header", "content-type"),
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

CONTROL: dict[int, Body] = {
    400: _one("failed_precondition", "version 2 is production: it answers all calls already"),
    403: _one("origin", "must be this host: pages of other sites may not call it", "header", "origin"),
    404: _one("not_found", "no version 9 of model 'iris' in models; there are 1, 2"),
    409: _one("aborted", "the route table of iris is at generation 3, not 2: see `foretell history iris`"),
    429: USUAL[429],
}
"""Examples for the control API, where they differ."""

OTHER_REFUSAL = _one("unauthenticated", "the model server refused the call")


def wrong_method(method: str) -> Body:
    """The refusal of this HTTP method."""
    return _one("method_not_allowed", f"{method} is not allowed here")


def no_version(model: str) -> Body:
    """The refusal of a version that does not exist."""
    return _one("not_found", f"no version '9' of {model} answers; there is 1", **{"model-version": "1"})


def broken_contract(contract: Contract, method: Method) -> Body | None:
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
        StrictReader(contract, method).read({method.rows.name: [changed]} if method.rows else changed)
    except RequestRefused as refused:
        return refused.body
    return None


def _out_of_bounds(contract: Contract, method: Method, names: list[str]) -> Body:
    """The first of these fields with an upper bound, and a number above the bound."""
    for name in names:
        bounds = contract.rules.of(method.features.fields_by_name[name]).values
        upper = bounds.get("lte", bounds.get("lt"))
        if isinstance(upper, int | float) and abs(upper) < 1e15:
            return {name: 2 * upper if upper > 0 else upper + 1}
    return {}

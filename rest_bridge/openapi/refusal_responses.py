"""The refusals in the OpenAPI document: their schema, and a description for each status."""

from typing import Any

from rest_bridge.openapi.refusal_examples import CONTROL, OTHER_REFUSAL, USUAL

Part = dict[str, Any]

REFUSAL: Part = {
    "type": "object",
    "title": "Refusal",
    "description": "Why a request is refused: all problems in one list.",
    "required": ["detail"],
    "properties": {
        "detail": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
        "omitted": {"type": "integer", "minimum": 1, "description": "Number of further problems that `detail` does not list."},
        "unjudged_rows": {"type": "integer", "minimum": 1, "description": "Number of rows of a batch that were not checked."},
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
            "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "description": "Place of the problem in the request; empty if no part of it caused the problem.",
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
    431: "The line and the headers of the request are too large.",
    422: "The body is not JSON, or breaks the contract. `detail` lists every problem.",
    429: "Too many rows are queued. Retry after the time in `retry-after`.",
    500: "An internal error. Quote the incident in the message to the operator.",
    501: "The model server does not serve this method.",
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
PREDICTION_REFUSALS = (400, 404, 405, 408, 413, 415, 422, 429, 431, 500, 501, 503, 504)
PAGE_REFUSALS = (400, 405, 408, 431, 500)

REQUEST_ID: Part = {"description": "Id of the request, as sent or generated.", "schema": {"type": "string"}}
_RETRY: Part = {"retry-after": {"description": "Seconds to wait before a retry.", "schema": {"type": "integer"}}}
ANY_REFUSAL: Part = {
    "description": "A refusal of another model server or of a proxy, in the same form.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}, "example": OTHER_REFUSAL}},
}


def refusal_response(status: int, text: str = "", shown: Part | None = None) -> Part:
    """The entry of `responses` for a refusal; `text` and `shown` replace the usual description and example."""
    headers = {"x-request-id": REQUEST_ID} | (_RETRY if status in (429, 503) else {})
    example = shown or (CONTROL if text else USUAL)[status]
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}, "example": example}}
    return {"description": text or REFUSALS[status], "headers": headers, "content": content}

"""Refusals as the OpenAPI document shows them."""

from typing import Any

from rest_bridge.openapi.refusal_examples import OF_ANOTHER, OF_ANY, OF_CHANGES

Part = dict[str, Any]

REFUSAL: Part = {
    "type": "object",
    "title": "Refusal",
    "description": "Why a request got no answer: every problem that was found, in one list.",
    "required": ["detail"],
    "properties": {
        "detail": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
        "omitted": {"type": "integer", "minimum": 1, "description": "How many more problems were found than `detail` lists."},
        "unjudged_rows": {"type": "integer", "minimum": 1, "description": "How many rows of a batch were not looked at any more."},
    },
    "additionalProperties": False,
}
PROBLEM: Part = {
    "type": "object",
    "title": "Problem",
    "required": ["type", "loc", "msg"],
    "properties": {
        "type": {"type": "string", "description": "Identifier for programs, such as `double.gte_lte`; the same word as over gRPC."},
        "loc": {
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "description": "Where in the request; empty where no part of it is to blame.",
        },
        "msg": {"type": "string", "description": "What is wrong and what is allowed."},
        "input": {"description": "The refused value, where it is a short scalar."},
        "ctx": {"type": "object", "description": "More for programs, such as the bounds of the broken rule."},
    },
    "additionalProperties": False,
}
REFUSALS = {
    400: "A header is malformed.",
    404: "There is no such page, or no such version or alias answers; the message lists those that do.",
    405: "The path takes another method.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The body is not declared as application/json.",
    431: "The head of the request is too large.",
    422: "The body is not JSON, or breaks the contract. `detail` lists every problem.",
    429: "Too many rows are waiting. Retry after the time in `retry-after`.",
    500: "Our fault. Quote the incident in the message to the operator.",
    501: "The model server does not serve this method.",
    503: "The model server is starting, stopping or away. Retry after the time in `retry-after`.",
    504: "No answer within the deadline.",
}
CHANGE_REFUSALS = {
    400: "A header is malformed, or the change cannot be: it makes no sense, or the version did not pass the `gate` in `ctx`.",
    403: "The request names another host than this machine, or comes from a page of another site.",
    404: "There is no such page, or the repository has no such model or version.",
    409: "The record is at another generation than the one asked for.",
    429: "Too many calls are waiting. Retry after the time in `retry-after`.",
}
"""What refusals of the control service mean, where predictions have others."""
PREDICTION_REFUSALS = (400, 404, 405, 408, 413, 415, 422, 429, 431, 500, 501, 503, 504)
PAGE_REFUSALS = (400, 405, 408, 431, 500)

REQUEST_ID: Part = {"description": "Identity of the request, as given or made.", "schema": {"type": "string"}}
_RETRY: Part = {"retry-after": {"description": "Seconds to wait before a retry.", "schema": {"type": "integer"}}}
ANY_REFUSAL: Part = {
    "description": "A refusal of another model server or of a proxy on the way, in the same form.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}, "example": OF_ANOTHER}},
}


def refusal_response(status: int, text: str = "", shown: Part | None = None) -> Part:
    """The entry of `responses` for a refusal; `text` where it means something else than usual, `shown` is an example of it."""
    headers = {"x-request-id": REQUEST_ID} | (_RETRY if status in (429, 503) else {})
    example = shown or (OF_CHANGES if text else OF_ANY)[status]
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}, "example": example}}
    return {"description": text or REFUSALS[status], "headers": headers, "content": content}

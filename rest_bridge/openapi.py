"""The OpenAPI document: FastAPI's for the fixed pages, the contract's for the rest."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from contract.contract import Contract
from contract.example import example
from contract.service import Method
from rest_bridge.choice import chosen_paths
from rest_bridge.codec import request_example
from rest_bridge.json_schema import Schemas, messages_within

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
        "ctx": {"type": "object", "description": "The bounds of the broken rule."},
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
PREDICTION_REFUSALS = (400, 404, 405, 408, 413, 415, 422, 429, 431, 500, 501, 503, 504)
PAGE_REFUSALS = (400, 405, 408, 431, 500)

_REQUEST_ID: Part = {"description": "Identity of the request, as given or made.", "schema": {"type": "string"}}
_HEADERS: Part = {
    "x-request-id": _REQUEST_ID,
    "model-name": {"description": "Name of the model that answered.", "schema": {"type": "string"}},
    "model-version": {"description": "Version of the model that answered.", "schema": {"type": "string"}},
    "model-generation": {
        "description": "Generation of the record by which that version answers; 0 where there is no record.",
        "schema": {"type": "string"},
    },
}
_CHOICES: dict[str, Part] = {
    "version": {
        "description": "Version to answer: one that an alias names, or that is kept warm. `/models` lists them.",
        "schema": {"type": "string", "pattern": r"^[1-9][0-9]{0,17}$", "examples": ["1"]},
    },
    "alias": {
        "description": "Alias whose version is to answer.",
        "schema": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]{0,63}$", "examples": ["production"]},
    },
}
_CHOOSING: list[Part] = [{"name": f"model-{kind}", "in": "header"} | part for kind, part in _CHOICES.items()]
_RETRY: Part = {"retry-after": {"description": "Seconds to wait before a retry.", "schema": {"type": "integer"}}}
_PARAMETERS: list[Part] = [
    {
        "name": "x-request-id",
        "in": "header",
        "description": "Identity of the request in answers and logs, 1 to 128 printable ASCII characters; made if missing.",
        "schema": {"type": "string"},
    },
    {
        "name": "x-request-timeout",
        "in": "header",
        "description": "Seconds after which the caller stops caring. `grpc-timeout` (such as `2500m`) is understood as well.",
        "schema": {"type": "number", "exclusiveMinimum": 0, "examples": [2.5]},
    },
]


_DEFAULT: Part = {
    "description": "A refusal of another model server or of a proxy on the way, in the same form.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
}


def refusal_response(status: int) -> Part:
    """The entry of `responses` for a refusal."""
    headers = {"x-request-id": _REQUEST_ID} | (_RETRY if status in (429, 503) else {})
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    return {"description": REFUSALS[status], "headers": headers, "content": content}


def openapi(app: FastAPI, contract: Contract) -> Part:
    """The document of the services of `contract`, OpenAPI 3.1."""
    api = contract.api
    tags = [{"name": service.full_name, "description": contract.comment(service.full_name)} for service in contract.services]
    document = get_openapi(
        title=api.title,
        version=api.version or "0",
        openapi_version="3.1.0",
        description=api.description,
        routes=app.routes,
        tags=[*tags, {"name": "server", "description": "What runs, and what it serves."}],
    )
    if api.contact:
        document["info"]["contact"] = api.contact
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= {"Refusal": REFUSAL, "Problem": PROBLEM}
    paths = {}
    shown = Schemas(contract)
    for owner, method in ((service, method) for service in contract.services for method in service.methods):
        for number, path in enumerate(method.paths):
            operation = _operation(contract, shown, method, number)
            paths[path] = {"post": operation | {"parameters": _PARAMETERS + _CHOOSING}}
            for kind, chosen in chosen_paths(owner.model, path).items():
                paths[chosen] = {"post": _choosing(operation, kind)}
        if method.paths:
            _add_schemas(schemas, shown, method)
    pages = {path: page for path, page in document.get("paths", {}).items() if _is_shown(path, contract)}
    for page in pages.values():
        for operation in page.values():
            operation["responses"] |= {str(status): refusal_response(status) for status in PAGE_REFUSALS}
            operation["responses"]["default"] = _DEFAULT
    document["paths"] = paths | pages
    return document


def _is_shown(path: str, contract: Contract) -> bool:
    """Whether the page is not the text of a contract that is left out."""
    return not path.startswith("/contract/") or path.removeprefix("/contract/") in contract.sources


def _operation(contract: Contract, schemas: Schemas, method: Method, number: int) -> Part:
    comment = contract.comment(method.full_name)
    shown = example(method.input, contract.rules)
    answer = {"schema": schemas.reference(method.output, answer=True)}
    return {
        "tags": [method.service],
        "summary": comment.partition(". ")[0].partition(".\n")[0].replace("\n", " ").removesuffix("."),
        "description": comment,
        "operationId": f"{method.full_name}{number or ''}",
        "parameters": _PARAMETERS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": schemas.reference(method.input, answer=False)}
                | ({"example": request_example(shown)} if shown is not None else {})
            },
        },
        "responses": {"200": {"description": "The prediction.", "headers": _HEADERS, "content": {"application/json": answer}}}
        | {str(status): refusal_response(status) for status in PREDICTION_REFUSALS}
        | {"default": _DEFAULT},
    }


def _choosing(operation: Part, kind: str) -> Part:
    """The operation by whose path a version or an alias is chosen."""
    return operation | {
        "summary": f"{operation['summary']}, by {kind}",
        "operationId": f"{operation['operationId']}.{kind}",
        "parameters": [*_PARAMETERS, {"name": kind, "in": "path", "required": True} | _CHOICES[kind]],
    }


def _add_schemas(schemas: Part, shown: Schemas, method: Method) -> None:
    for answer, top in ((True, method.output), (False, method.input)):
        for message in messages_within(top):
            name = shown.name(message, answer=answer)
            if name not in schemas:
                schemas[name] = shown.of(message, answer=answer)

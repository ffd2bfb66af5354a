"""The OpenAPI document: FastAPI's for the fixed pages, the contract's for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from google.protobuf.descriptor import Descriptor

from foretell_contract.contract import LIST_MODELS_RESPONSE, Contract
from foretell_contract.examples.example import example
from foretell_contract.service import Method, Service
from rest_bridge.http.version_selector import chosen_paths
from rest_bridge.json.codec import request_example
from rest_bridge.openapi.message_schema import Schemas, messages_within
from rest_bridge.openapi.refusal_examples import OF_PAGES, broken_contract, no_version, wrong_method
from rest_bridge.openapi.refusal_responses import (
    ANY_REFUSAL,
    CHANGE_REFUSALS,
    PAGE_REFUSALS,
    PREDICTION_REFUSALS,
    PROBLEM,
    REFUSAL,
    REQUEST_ID,
    Part,
    refusal_response,
)
from rest_bridge.openapi.value_schema import Form

_HEADERS: Part = {
    "x-request-id": REQUEST_ID,
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


@dataclass(frozen=True, slots=True)
class Subject:
    """What the methods of a contract are about, as far as documents differ by it."""

    answer: str
    headers: Part
    """Of an answer."""
    refusals: Mapping[int, str]
    """The statuses of refusals, with what they mean where that is not the usual."""
    of_models: bool
    """Whether a model answers, of which a request may choose the version."""

    @property
    def parameters(self) -> list[Part]:
        """Of every request."""
        return _PARAMETERS + (_CHOOSING if self.of_models else [])

    def chosen_paths(self, service: Service, path: str) -> dict[str, str]:
        """See choice.chosen_paths."""
        return chosen_paths(service.model, path) if self.of_models else {}

    def refusal(self, status: int, shown: Part | None = None) -> Part:
        """The entry of `responses`; `shown` is an example of it, where it is not the usual."""
        return refusal_response(status, self.refusals.get(status, ""), shown)


PREDICTIONS = Subject("The prediction.", _HEADERS, dict.fromkeys(PREDICTION_REFUSALS, ""), of_models=True)
CHANGES = Subject(
    "What has become of it.",
    {"x-request-id": REQUEST_ID},
    dict.fromkeys(PREDICTION_REFUSALS, "") | CHANGE_REFUSALS,
    of_models=False,
)


def openapi(app: FastAPI, contract: Contract, subject: Subject = PREDICTIONS) -> Part:
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
    for service in contract.services:
        rarer = {}
        for method in service.methods:
            for number, path in enumerate(method.paths):
                operation = _operation(contract, shown, service, method, number, subject)
                paths[path] = {"post": operation}
                for kind, chosen in subject.chosen_paths(service, path).items():
                    rarer[chosen] = {"post": _choosing(operation, kind)}
            if method.paths:
                _add_schemas(schemas, shown, method.output, Form.RESPONSE)
                _add_schemas(schemas, shown, method.input, Form.REQUEST)
        paths |= rarer
    _add_schemas(schemas, shown, contract.message(LIST_MODELS_RESPONSE).DESCRIPTOR, Form.PAGE)  # type: ignore[arg-type]
    pages = {path: page for path, page in document.get("paths", {}).items() if _is_shown(path, contract)}
    for page in pages.values():
        for operation in page.values():
            statuses = PAGE_REFUSALS + ((403,) if 403 in subject.refusals else ())
            examples = OF_PAGES | {405: wrong_method("POST")}
            operation["responses"] |= {str(status): subject.refusal(status, examples.get(status)) for status in statuses}
            operation["responses"]["default"] = ANY_REFUSAL
    document["paths"] = paths | pages
    return document


def _is_shown(path: str, contract: Contract) -> bool:
    """Whether the page is not the text of a contract that is left out."""
    return not path.startswith("/contract/") or path.removeprefix("/contract/") in contract.sources


def _operation(contract: Contract, schemas: Schemas, service: Service, method: Method, number: int, subject: Subject) -> Part:
    comment = contract.comment(method.full_name)
    shown = example(method.input, contract.rules)
    answer = {"schema": schemas.reference(method.output, Form.RESPONSE)}
    refusals = {405: wrong_method("GET"), 422: broken_contract(contract, method)}
    refusals |= {404: no_version(service.model)} if subject.of_models else {}
    summary = comment.partition(". ")[0].partition(".\n")[0].replace("\n", " ").removesuffix(".")
    return {
        "tags": [method.service],
        "summary": summary,
        "description": comment if comment.replace("\n", " ").removesuffix(".") != summary else "",
        "operationId": f"{method.full_name}{number or ''}",
        "parameters": subject.parameters,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": schemas.reference(method.input, Form.REQUEST)}
                | ({"example": request_example(shown)} if shown is not None else {})
            },
        },
        "responses": {"200": {"description": subject.answer, "headers": subject.headers, "content": {"application/json": answer}}}
        | {str(status): subject.refusal(status, refusals.get(status)) for status in sorted(subject.refusals)}
        | {"default": ANY_REFUSAL},
    }


def _choosing(operation: Part, kind: str) -> Part:
    """The operation by whose path a version or an alias is chosen."""
    return operation | {
        "summary": f"{operation['summary']}, by {kind}",
        "operationId": f"{operation['operationId']}.{kind}",
        "parameters": [*_PARAMETERS, {"name": kind, "in": "path", "required": True} | _CHOICES[kind]],
    }


def _add_schemas(components: Part, schemas: Schemas, top: Descriptor, form: Form) -> None:
    for message in messages_within(top):
        name = schemas.name(message, form)
        if name not in components:
            components[name] = schemas.of(message, form)

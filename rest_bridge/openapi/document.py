"""The OpenAPI document: FastAPI describes the fixed pages, the contract describes the endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from foretell_contract.contract import LIST_MODELS_RESPONSE, Contract
from foretell_contract.examples.example import example
from foretell_contract.service import Method, Service
from rest_bridge.http.request_headers import selector_paths
from rest_bridge.json.codec import request_example
from rest_bridge.json.column_form import has_columns
from rest_bridge.json.scalars import Form
from rest_bridge.openapi import refusals
from rest_bridge.openapi.message_schema import Schemas, messages_within
from rest_bridge.openapi.refusals import Part

_HEADERS: Part = {
    "x-request-id": refusals.REQUEST_ID,
    "model-name": refusals.text_header("Name of the model that answered."),
    "model-version": refusals.text_header("Version of the model that answered."),
    "model-generation": refusals.text_header(
        "Generation of the route table by which that version answers; 0 if there is no route table."
    ),
}
_SELECTORS: dict[str, Part] = {
    "version": {
        "description": "Version to answer: one that an alias names, or a warm one. `/models` lists them.",
        "schema": {"type": "string", "pattern": r"^[1-9][0-9]{0,17}$", "examples": ["1"]},
    },
    "alias": {
        "description": "Alias of the version to answer.",
        "schema": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9._-]{0,63}$", "examples": ["production"]},
    },
}
_SELECTOR_HEADERS: list[Part] = [{"name": f"model-{kind}", "in": "header"} | part for kind, part in _SELECTORS.items()]
_PARAMETERS: list[Part] = [
    {
        "name": "x-request-id",
        "in": "header",
        "description": "Id of the request in responses and logs: 1 to 128 printable ASCII characters. Generated if missing.",
        "schema": {"type": "string"},
    },
    {
        "name": "x-request-timeout",
        "in": "header",
        "description": "Timeout in seconds. `grpc-timeout` (such as `2500m`) is accepted as well.",
        "schema": {"type": "number", "format": "double", "exclusiveMinimum": 0, "examples": [2.5]},
    },
]


@dataclass(frozen=True, slots=True)
class ApiKind:
    """What differs between the document of a prediction API and that of the control API."""

    success: str
    """Description of the response with status 200."""
    headers: Part
    """Headers of that response."""
    descriptions: Mapping[int, str]
    """A description for each status."""
    examples: Mapping[int, Part]
    """An example for most statuses."""
    selects_version: bool
    """Whether a request may select the version of the model."""

    def selector_paths(self, service: Service, path: str) -> dict[str, str]:
        """See request_headers.selector_paths."""
        return selector_paths(service.model, path) if self.selects_version else {}

    def refusal(self, status: int, shown: Part | None = None) -> Part:
        """The entry of `responses`; `shown` replaces the example of this kind."""
        return refusals.refusal_response(status, self.descriptions[status], shown or self.examples[status])


PREDICTIONS = ApiKind("The prediction.", _HEADERS, refusals.REFUSALS, refusals.USUAL, selects_version=True)
CHANGES = ApiKind(
    "The outcome of the change, or the history.",
    {"x-request-id": refusals.REQUEST_ID},
    refusals.REFUSALS | refusals.CHANGE_REFUSALS,
    refusals.USUAL | refusals.CONTROL,
    selects_version=False,
)


def openapi(app: FastAPI, contract: Contract, api_kind: ApiKind = PREDICTIONS) -> Part:
    """The OpenAPI 3.1 document of the contract's services and the fixed pages."""
    api = contract.api
    tags = [{"name": service.full_name, "description": contract.comment(service.full_name)} for service in contract.services]
    document = get_openapi(
        title=api.title,
        version=api.version or "0",
        openapi_version="3.1.0",
        description=api.description,
        routes=app.routes,
        tags=[*tags, {"name": "server", "description": "Health, the models and the contract."}],
    )
    if api.contact:
        document["info"]["contact"] = api.contact
    schemas = Schemas(contract)
    document["components"]["schemas"] |= _components(contract, schemas)
    document["paths"] = _endpoints(contract, schemas, api_kind) | _pages(document["paths"], contract, api_kind)
    return document


def _components(contract: Contract, schemas: Schemas) -> Part:
    listing: Any = contract.message(LIST_MODELS_RESPONSE).DESCRIPTOR
    methods = [method for service in contract.services for method in service.methods if method.paths]
    tops = [top for method in methods for top in ((method.output, Form.RESPONSE), (method.input, Form.REQUEST))]
    components = {"Refusal": refusals.REFUSAL, "Problem": refusals.PROBLEM}
    for top, form in (*tops, (listing, Form.PAGE)):
        for message in messages_within(top):
            name = schemas.name(message, form)
            if name not in components:
                components[name] = schemas.of(message, form)
    return components | {each["title"]: each for method in methods if has_columns(method) for each in schemas.columns(method)}


def _body(schemas: Schemas, method: Method, form: Form) -> Part:
    """The schema of a body: that of the message, or of columns instead."""
    plain = schemas.reference(method.input if form is Form.REQUEST else method.output, form)
    return {"oneOf": [plain, {"$ref": f"{plain['$ref']}.Columns"}]} if has_columns(method) else plain


def _endpoints(contract: Contract, schemas: Schemas, api_kind: ApiKind) -> Part:
    """The paths of the contract; for each service, those that select a version come last."""
    paths = {}
    for service in contract.services:
        selecting = {}
        for method in service.methods:
            for number, path in enumerate(method.paths):
                operation = _operation(contract, schemas, service, method, number, api_kind)
                paths[path] = {"post": operation}
                for kind, longer in api_kind.selector_paths(service, path).items():
                    selecting[longer] = {"post": _with_selector(operation, kind)}
        paths |= selecting
    return paths


def _pages(paths: Part, contract: Contract, api_kind: ApiKind) -> Part:
    """The paths that FastAPI describes, with the bridge's refusals; not the sources of contracts whose services are left out."""
    statuses = refusals.PAGE_REFUSALS + ((403,) if 403 in api_kind.descriptions else ())
    examples = refusals.PAGES | {405: refusals.wrong_method("POST")}
    sources = {f"/contract/{name}" for name in contract.sources}
    pages = {path: page for path, page in paths.items() if path in sources or not path.endswith(".proto")}
    for operation in (operation for page in pages.values() for operation in page.values()):
        operation["responses"] |= {str(status): api_kind.refusal(status, examples.get(status)) for status in statuses}
        operation["responses"]["default"] = refusals.ANY_REFUSAL
    return pages


def _operation(contract: Contract, schemas: Schemas, service: Service, method: Method, number: int, api_kind: ApiKind) -> Part:
    comment = contract.comment(method.full_name)
    shown = example(method.input, contract.rules)
    answer = {"schema": _body(schemas, method, Form.RESPONSE)}
    examples = {405: refusals.wrong_method("GET"), 422: refusals.broken_contract(contract, method)}
    examples |= {404: refusals.no_version(service.model)} if api_kind.selects_version else {}
    summary = comment.partition(". ")[0].partition(".\n")[0].replace("\n", " ").removesuffix(".")
    return {
        "tags": [method.service],
        "summary": summary,
        "description": comment if comment.replace("\n", " ").removesuffix(".") != summary else "",
        "operationId": f"{method.full_name}{number or ''}",
        "parameters": _PARAMETERS + (_SELECTOR_HEADERS if api_kind.selects_version else []),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _body(schemas, method, Form.REQUEST)}
                | ({"example": request_example(shown)} if shown is not None else {})
            },
        },
        "responses": {
            "200": {"description": api_kind.success, "headers": api_kind.headers, "content": {"application/json": answer}}
        }
        | {str(status): api_kind.refusal(status, examples.get(status)) for status in sorted(api_kind.descriptions)}
        | {"default": refusals.ANY_REFUSAL},
    }


def _with_selector(operation: Part, kind: str) -> Part:
    """The same operation on the longer path, which selects a version or an alias."""
    return operation | {
        "summary": f"{operation['summary']}, by {kind}",
        "operationId": f"{operation['operationId']}.{kind}",
        "parameters": [*_PARAMETERS, {"name": kind, "in": "path", "required": True} | _SELECTORS[kind]],
    }

"""Compares requests and replies over REST with the server's OpenAPI document."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from foretell.testing.case import Case, Reply
from foretell_contract.service import Method

_TYPES = r"double|float|bool|enum|repeated|map|[su]?int(32|64)|s?fixed(32|64)"
_TEXTS = r"(string|bytes)\.(min_len|max_len|len|in|not_in|const|prefix|suffix|contains|not_contains)"
_JSON_RULES = (
    r"float_type|finite_number|int_type|int_range|bool_type|string_type|enum_value|list_type|object_type|unknown_field|null_item"
)
_IN_SCHEMA = re.compile(rf"required|({_TYPES})\..*|{_TEXTS}|{_JSON_RULES}|message\.oneof")
"""Rules that a JSON Schema can express: not those on times, and not those in CEL."""


class OpenApiConformance:
    """Compares with one OpenAPI document; yields each contradiction as a sentence."""

    def __init__(self, document: Any) -> None:
        self._document = document if isinstance(document, dict) else {}
        self._components = self._document.get("components", {})

    def of_document(self, methods: Sequence[Method]) -> Iterator[str]:
        """Problems of the document itself: not OpenAPI 3.1, a method without its path, or an invalid JSON Schema."""
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        if not str(self._document.get("openapi", "")).startswith("3.1"):
            yield "/openapi.json is not an OpenAPI 3.1 document"
            return
        for path in (path for method in methods for path in method.paths):
            if "post" not in self._document.get("paths", {}).get(path, {}):
                yield f"/openapi.json has no POST {path}"
        for name, schema in self._components.get("schemas", {}).items():
            try:
                Draft202012Validator.check_schema(schema)
            except SchemaError as error:
                yield f"/openapi.json: {name} is not a valid JSON Schema: {error.message}"

    def of_case(self, case: Case, reply: Reply) -> Iterator[str]:
        """Contradictions between the document and a request with its reply."""
        operation = self._document.get("paths", {}).get(case.method.paths[0], {}).get("post")
        if operation is None:
            return  # `of_document` reports it once.
        yield from self._of_response(operation.get("responses", {}).get(reply.status), reply)
        yield from self._of_request(operation["requestBody"]["content"], case, reply)

    def _of_response(self, response: Any, reply: Reply) -> Iterator[str]:
        if response is None:
            yield f"OpenAPI does not describe the status {reply.status}"
            return
        for problem in self._problems(response.get("content"), reply.document):
            yield f"OpenAPI: the body of the {reply.status} does not fit its schema: {problem}"

    def _of_request(self, content: Any, case: Case, reply: Reply) -> Iterator[str]:
        sent = _strict_document(case.body)
        if sent is None:
            return
        problem = next(self._problems(content, sent), None)
        if reply.answered and problem is not None:
            yield f"OpenAPI: the schema refuses a request that is answered: {problem}"
        rules = [broken.rule for broken, _ in reply.problems]
        if problem is None and any(map(_IN_SCHEMA.fullmatch, rules)):
            yield f"OpenAPI: the schema accepts a request that is refused with {', '.join(rules)}"

    def _problems(self, content: Any, document: Any) -> Iterator[str]:
        """Where a document does not fit the JSON schema of `content`."""
        from jsonschema import Draft202012Validator

        schema = ((content or {}).get("application/json") or {}).get("schema")
        if schema is None:
            return
        for error in Draft202012Validator(schema | {"components": self._components}).iter_errors(document):
            yield f"{error.message[:200]} at {'/'.join(map(str, error.absolute_path)) or 'the top'}"


def _strict_document(body: bytes | None) -> Any:
    """The document in a body that is JSON without NaN and duplicate names; else None."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name occurs twice")
        return dict(pairs)

    try:
        return json.loads(body or b"", object_pairs_hook=unique, parse_constant=int)  # int raises for "NaN".
    except ValueError:
        return None

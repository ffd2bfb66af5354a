"""Whether what comes and goes over REST is what the server's own OpenAPI document says."""

import importlib.util
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from foretell.testing.case import Came, Case
from foretell_contract.service import Method

WITHOUT = "jsonschema is not installed: pip install 'foretell[test]'"

_KINDS = r"double|float|bool|enum|repeated|map|[su]?int(32|64)|s?fixed(32|64)"
_TEXTS = r"(string|bytes)\.(min_len|max_len|len|in|not_in|const|prefix|suffix|contains|not_contains)"
_OURS = (
    r"float_type|finite_number|int_type|int_range|bool_type|string_type|enum_value|list_type|object_type|unknown_field|null_item"
)
_SAYABLE = re.compile(rf"required|({_KINDS})\..*|{_TEXTS}|{_OURS}|message\.oneof")
"""Rules that a JSON Schema can say. It cannot say those on times and those in CEL."""


def available() -> bool:
    """Whether schemas can be tried here."""
    return importlib.util.find_spec("jsonschema") is not None


class Conformance:
    """The OpenAPI document of a server."""

    def __init__(self, document: Any) -> None:
        self._document = document if isinstance(document, dict) else {}
        self._validators: dict[str, Any] = {}

    def of_contract(self, methods: Sequence[Method]) -> Iterator[str]:
        """What is wrong with the document as a whole: not of version 3.1, no schema, or a method without its path."""
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        if not str(self._document.get("openapi", "")).startswith("3.1"):
            yield "/openapi.json is no OpenAPI 3.1 document"
            return
        for path in (path for method in methods for path in method.paths):
            if "post" not in self._document.get("paths", {}).get(path, {}):
                yield f"/openapi.json has no POST {path}"
        for name, schema in self._schemas().items():
            try:
                Draft202012Validator.check_schema(schema)
            except SchemaError as error:
                yield f"/openapi.json: {name} is no JSON Schema: {error.message}"

    def of_case(self, case: Case, came: Came) -> Iterator[str]:
        """Where a request and what came to it contradict the document."""
        operation = self._document.get("paths", {}).get(case.method.paths[0], {}).get("post")
        if operation is None:
            return  # It is missed once, for the whole document.
        described = operation.get("responses", {}).get(came.status)
        if described is None:
            yield f"OpenAPI does not describe the status {came.status}"
        else:
            for problem in self._problems(described.get("content"), came.document):
                yield f"OpenAPI: what came with {came.status} does not fit its schema: {problem}"
        sent = _plain(case.text)
        if sent is None:
            return
        refused = next(self._problems(operation["requestBody"]["content"], sent), None)
        if came.answered and refused is not None:
            yield f"OpenAPI: the schema refuses what is answered: {refused}"
        rules = [told.broken.rule for told in came.problems]
        if refused is None and any(map(_SAYABLE.fullmatch, rules)):
            yield f"OpenAPI: the schema accepts what is refused with {', '.join(rules)}"

    def _schemas(self) -> dict[str, Any]:
        return self._document.get("components", {}).get("schemas", {})  # type: ignore[no-any-return]

    def _problems(self, content: Any, document: Any) -> Iterator[str]:
        from jsonschema import Draft202012Validator

        schema = ((content or {}).get("application/json") or {}).get("schema")
        if schema is None:
            return
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator(schema | {"components": self._document.get("components", {})})
        for error in self._validators[key].iter_errors(document):
            yield f"{error.message[:200]} at {'/'.join(map(str, error.absolute_path)) or 'the top'}"


def _plain(text: bytes | None) -> Any:
    """The document of a body that is JSON without NaN and doubled names; None for all others."""
    doubled = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        doubled = doubled or len(dict(found)) < len(found)
        return dict(found)

    def constant(name: str) -> Any:
        raise ValueError(name)

    try:
        document = json.loads(text or b"", object_pairs_hook=pairs, parse_constant=constant)
    except ValueError:
        return None
    return None if doubled else document

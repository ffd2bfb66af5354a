"""Reads requests strictly: refuses JSON that RFC 8259 leaves to the implementation, and reports every problem of a document."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from foretell_contract.contract import Contract
from foretell_contract.rules.rules import VALID
from foretell_contract.service import Method
from rest_bridge.json.codec import Codec, RepeatedNames
from rest_bridge.json.grpc_to_http import locate
from rest_bridge.json.request_problems import MAX_PROBLEMS, RequestProblem, RequestProblems, RequestRefused, refusal


def strict_reader(contract: Contract, method: Method) -> Callable[[Any], Message]:
    """Reads the requests of a method; thread-safe. Raises ContractError for a field that cannot travel as JSON.

    The reader raises RequestRefused for a document that does not fit, with all problems, broken rules included.
    """
    codec = Codec(method.input, contract.rules)

    def read(document: Any) -> Message:
        problems = RequestProblems()
        message = codec.read(document, problems)
        if not problems.count:
            return message
        unreadable = {problem.loc for problem in problems.found}
        left = MAX_PROBLEMS - problems.count
        verdict = VALID if problems.full else contract.rules.validate(message, method.rows, left)
        for problem in locate(verdict.violations, contract, method.input, document):
            if not _follows(problem, unreadable):
                problems.add(problem)
        unjudged = max(problems.unjudged_rows, verdict.unjudged_rows)
        raise RequestRefused(422, problems.found, count=problems.count, unjudged_rows=unjudged)

    return read


def _follows(problem: RequestProblem, unreadable: set[tuple[str | int, ...]]) -> bool:
    """Whether the violation may follow from an unreadable value: one around it, or any if the rule is on the whole message."""
    parts = problem.loc
    return parts == ("body",) or any(parts[:length] in unreadable for length in range(1, len(parts) + 1))


def read_document(body: bytes) -> Any:
    """The document in the body; an object with repeated names becomes a RepeatedNames.

    Raises RequestRefused if the body is not UTF-8, not JSON, nested too deeply, or contains NaN or Infinity.
    """
    try:
        text = body.decode("utf-8-sig")  # Without the byte order mark that .NET and PowerShell write, as RFC 8259 allows.
    except UnicodeDecodeError as error:
        raise _invalid(f"the body is not UTF-8: byte {error.start}") from None
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise _invalid(f"it is malformed or cut off at character {error.pos}") from None
    except RecursionError:
        raise _invalid("nested too deeply") from None
    except ValueError:  # The integer has more digits than sys.get_int_max_str_digits().
        raise _invalid("a number has too many digits") from None


def _invalid(why: str) -> RequestRefused:
    return refusal(422, "json_invalid", f"the body is not JSON: {why}", ["body"])


def _refuse_constant(name: str) -> Any:
    raise _invalid(f"{name} is not a JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    repeated = RepeatedNames(document)
    repeated.names = tuple(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return repeated

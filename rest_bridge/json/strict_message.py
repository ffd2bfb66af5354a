"""JSON documents to messages, with every problem of a document reported at once, broken rules included."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from foretell_contract.contract import Contract
from foretell_contract.rules.rules import VALID
from foretell_contract.service import Method
from rest_bridge.json.codec import Codec
from rest_bridge.json.grpc_to_http import locate
from rest_bridge.json.request_problems import MAX_PROBLEMS, RequestProblem, RequestProblems, RequestRefused


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

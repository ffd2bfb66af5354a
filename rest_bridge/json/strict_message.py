"""JSON documents to messages, with every problem of a document reported at once, broken rules included."""

from typing import Any

from google.protobuf.message import Message

from foretell_contract.contract import Contract
from foretell_contract.rules.rules import VALID
from foretell_contract.service import Method
from rest_bridge.json.codec import Codec
from rest_bridge.json.grpc_to_http import locate
from rest_bridge.json.request_problems import MAX_PROBLEMS, RequestProblem, RequestProblems, RequestRefused


class StrictReader:
    """Reads the requests of one method. Thread-safe."""

    def __init__(self, contract: Contract, method: Method) -> None:
        """Raises ContractError for a field that cannot travel as JSON."""
        self._contract = contract
        self._method = method
        self._codec = Codec(method.input, contract.rules)

    def read(self, document: Any) -> Message:
        """The message. Raises RequestRefused for a document that does not fit, with all problems, broken rules included."""
        problems = RequestProblems()
        message = self._codec.read(document, problems)
        if problems.count:
            unreadable = {problem.loc for problem in problems.found}
            verdict = (
                VALID if problems.full else self._contract.rules.validate(message, self._method.rows, MAX_PROBLEMS - problems.count)
            )
            for problem in locate(verdict.violations, self._contract, self._method.input, document):
                if not _follows(problem, unreadable):
                    problems.add(problem)
            unjudged = max(problems.unjudged_rows, verdict.unjudged_rows)
            raise RequestRefused(422, problems.found, count=problems.count, unjudged_rows=unjudged)
        return message


def _follows(problem: RequestProblem, unreadable: set[tuple[str | int, ...]]) -> bool:
    """Whether the violation may follow from an unreadable value: one around it, or any if the rule is on the whole message."""
    parts = problem.loc
    return parts == ("body",) or any(parts[:length] in unreadable for length in range(1, len(parts) + 1))

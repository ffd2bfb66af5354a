"""Documents to messages with everything that is wrong with one told at once, broken rules included."""

from typing import Any

from google.protobuf.message import Message

from foretell_contract.contract import Contract
from foretell_contract.rules.rules import VALID
from foretell_contract.service import Method
from rest_bridge.json.codec import Codec
from rest_bridge.json.grpc_to_http import located
from rest_bridge.json.request_problems import MOST, RequestProblem, RequestProblems, RequestRefused


class StrictReader:
    """Reads the requests of one method."""

    def __init__(self, contract: Contract, method: Method) -> None:
        """Raises ContractError for a field that cannot travel as JSON."""
        self._contract = contract
        self._method = method
        self._codec = Codec(method.input, contract.rules)

    def read(self, document: Any) -> Message:
        """The message. Raises Refused with every problem of a document that is none, broken rules of its sound parts included."""
        problems = RequestProblems()
        message = self._codec.read(document, problems)
        if problems.count:
            seen = {problem.loc for problem in problems.found}
            verdict = VALID if problems.full else self._contract.rules.validate(message, self._method.rows, MOST - problems.count)
            for problem in located(verdict.violations, self._contract, self._method.input, document):
                if not _within(problem, seen):
                    problems.add(problem)
            unjudged = max(problems.unjudged_rows, verdict.unjudged_rows)
            raise RequestRefused(422, problems.found, count=problems.count, unjudged_rows=unjudged)
        return message


def _within(problem: RequestProblem, seen: set[tuple[str | int, ...]]) -> bool:
    """Whether a value around the broken one did not fit already; a rule on a whole message may follow from any that did not."""
    parts = problem.loc
    return parts == ("body",) or any(parts[:length] in seen for length in range(1, len(parts) + 1))

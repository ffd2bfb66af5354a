"""A refusal as messages of google.rpc: Status, ErrorInfo, BadRequest, RetryInfo (https://google.aip.dev/193)."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status

from foretell_contract.rules.rules import Violation
from grpc_server.calls.refusal import MOST_VIOLATIONS, InvalidAnswer, InvalidFeatures, Refusal

MOST_BYTES = 4_500
"""Size of the listed violations. grpcio's clients refuse metadata above 8 kB at random, above 16 kB always; base64 adds a third."""


def details_metadata(refusal: Refusal) -> tuple[str, bytes]:
    """Name and value of the trailing metadata with the Status of a refusal.

    It holds an ErrorInfo, a BadRequest or PreconditionFailure if request or answer break rules, a RetryInfo if a retry may succeed.
    As many violations are listed as fit; `violations` in the ErrorInfo's metadata counts all that were found.
    """
    details: list[Message] = [ErrorInfo(reason=refusal.reason, domain="foretell", metadata=refusal.facts)]
    if isinstance(refusal, InvalidFeatures):
        details.append(_broken_rules(BadRequest, "field_violations", ("field", "reason", "description"), refusal.violations))
    if isinstance(refusal, InvalidAnswer):
        details.append(_broken_rules(PreconditionFailure, "violations", ("subject", "type", "description"), refusal.violations))
    if refusal.retry_after is not None:
        details.append(RetryInfo(retry_delay=Duration(seconds=int(refusal.retry_after))))
    status = Status(code=refusal.code.value[0], message=refusal.message)
    for detail in details:
        status.details.add().Pack(detail)
    return "grpc-status-details-bin", status.SerializeToString()


def _broken_rules(kind: Any, field: str, names: Sequence[str], violations: Sequence[Violation]) -> Message:
    detail = kind()
    listed = getattr(detail, field)
    for violation in violations[:MOST_VIOLATIONS]:
        listed.add(**dict(zip(names, (violation.field, violation.rule, violation.message), strict=True)))
        if detail.ByteSize() > MOST_BYTES and len(listed) > 1:
            del listed[-1]
            break
    return detail  # type: ignore[no-any-return]

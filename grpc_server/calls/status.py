"""A refusal as messages of google.rpc: Status, ErrorInfo, BadRequest, RetryInfo (https://google.aip.dev/193)."""

from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from foretell_contract.rules.rules import Violation
from grpc_server.calls.refusal import MOST_VIOLATIONS, InvalidFeatures, Refusal

MOST_BYTES = 4_500
"""Size of a BadRequest. grpcio's clients refuse metadata above 8 kB at random, above 16 kB always; base64 adds a third."""


def details_metadata(refusal: Refusal) -> tuple[str, bytes]:
    """Name and value of the trailing metadata with the Status of a refusal.

    It holds an ErrorInfo, a BadRequest if there are violations, a RetryInfo if a retry may succeed. The BadRequest lists as many
    violations as fit; `violations` in the ErrorInfo's metadata counts all that were found.
    """
    details: list[Message] = [ErrorInfo(reason=refusal.reason, domain="foretell", metadata=refusal.facts)]
    if isinstance(refusal, InvalidFeatures):
        details.append(_bad_request(refusal.violations))
    if refusal.retry_after is not None:
        details.append(RetryInfo(retry_delay=Duration(seconds=int(refusal.retry_after))))
    status = Status(code=refusal.code.value[0], message=refusal.message)
    for detail in details:
        status.details.add().Pack(detail)
    return "grpc-status-details-bin", status.SerializeToString()


def _bad_request(violations: Sequence[Violation]) -> BadRequest:
    request = BadRequest()
    for violation in violations[:MOST_VIOLATIONS]:
        request.field_violations.add(field=violation.field, reason=violation.rule, description=violation.message)
        if request.ByteSize() > MOST_BYTES and len(request.field_violations) > 1:
            del request.field_violations[-1]
            break
    return request

"""Unexpected errors: the log gets the trace under an incident id, the caller gets the id."""

import logging
import secrets

from grpc_server.calls.call import Call
from grpc_server.calls.refusal import Failure


def failure(logger: logging.Logger, what: str, call: Call, error: BaseException) -> Failure:
    """Log `error` with its trace; the refusal that names the incident. `what` begins the log line."""
    incident = secrets.token_hex(6)
    logger.error("incident %s: %s (request %s)", incident, what, call.request_id, exc_info=error)
    return Failure(incident)

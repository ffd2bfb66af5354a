"""The caller of `foretell test` for a bridge in this process."""

from typing import Any

from foretell.testing.callers import rest_reply
from foretell.testing.case import Reply
from foretell_contract.service import Method
from tests.support.servers.many_models import BridgedServer


class BridgeCaller:
    """Sends requests to a bridge in this process, without a port."""

    def __init__(self, server: BridgedServer) -> None:
        self._server = server

    def call(self, method: Method, request: Any) -> Reply:
        (response,) = self._server.rest(method, [request])
        return rest_reply(response.status_code, response.content, response.headers.get("model-version", ""))

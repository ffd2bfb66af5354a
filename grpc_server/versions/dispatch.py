"""One method of a service, whichever version of the model answers it."""

from typing import Protocol

from grpc_server.calls.batcher import Job
from grpc_server.calls.call import Call
from grpc_server.calls.handler import Reply
from grpc_server.calls.predictor import Retired
from grpc_server.calls.refusal import Draining, Refusal
from grpc_server.versions.routing import RoutingTable, RoutingTarget


class RoutingSource(Protocol):
    """Where a door finds who answers."""

    lineup: RoutingTable


class Dispatcher:
    """Each call keeps the version that it is admitted with, whatever takes its place meanwhile."""

    def __init__(self, host: RoutingSource, path: str) -> None:
        self._host = host
        self._path = path

    def answer(self, request: bytes, call: Call, reply: Reply) -> Job | None:
        """See Handler."""
        lineup = self._host.lineup
        seen = None
        if call.choice is None and lineup.plain:
            member = lineup.production
        else:
            try:
                member = lineup.member(call)
            except Refusal as refusal:
                reply(refusal)
                return None
            if lineup.shadow is not None and member is lineup.production:
                seen = lineup.shadow.watch(self._path, request, call, member.version)
        call.model = member.facts
        try:
            return member.predict[self._path](request, call, reply, seen)
        except Retired:
            return self.answer(request, call, reply)  # It went between the two looks: another is in its place.


class StreamDispatcher:
    """All messages of a call are answered by the version that answers the first; it stays until the call is over."""

    def __init__(self, host: RoutingSource, path: str) -> None:
        self._host = host
        self._path = path

    def answer(self, request: bytes, call: Call, reply: Reply) -> Job | None:
        """See Handler."""
        try:
            member: RoutingTarget = call.pinned or self._pin(call)
            return member.predict[self._path](request, call, reply)
        except Refusal as refusal:
            reply(refusal)
        except Retired:  # Versions with streams go when the server does.
            reply(Draining("the server is stopping; retry elsewhere"))
        return None

    def _pin(self, call: Call) -> RoutingTarget:
        member = self._host.lineup.member(call)
        while not member.version.pin(call):
            member = self._host.lineup.member(call)
        call.pinned = member
        call.model = member.facts
        if call.ended:
            member.unpin(call)
        return member

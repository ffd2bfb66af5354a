"""The services that the model server has models for."""

from typing import Any

import grpc
from google.protobuf.message import DecodeError

from foretell_contract.contract import LIST_MODELS_RESPONSE, MODEL_SERVICE, Contract
from rest_bridge.channel import Channel

_SECONDS = 2.0


class ServedContract:
    """The contract without the services that have no model, for the docs pages. Use it on one event loop."""

    def __init__(self, contract: Contract, channel: Channel) -> None:
        self._contract = self._last_served = contract
        self._list_models = channel.unary_unary(f"/{MODEL_SERVICE}/ListModels")
        self._response = contract.message(LIST_MODELS_RESPONSE)

    async def listed(self) -> Any:
        """The server's models, a foretell.v1.ListModelsResponse. Raises grpc.aio.AioRpcError, or DecodeError."""
        return self._response.FromString(await self._list_models(b"", timeout=_SECONDS))

    async def contract(self) -> Contract:
        """The services that the server lists now, else those of its last list that had any, else all."""
        try:
            listed = await self.listed()
        except (grpc.aio.AioRpcError, DecodeError):
            return self._last_served
        served = self._contract.restricted_to({model.name for model in listed.models})
        if served.services:
            self._last_served = served
        return self._last_served

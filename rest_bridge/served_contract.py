"""What of the contract the model server answers, as it last said."""

from typing import Any

import grpc
from google.protobuf.message import DecodeError

from foretell_contract.contract import LIST_MODELS_RESPONSE, MODEL_SERVICE, Contract
from rest_bridge.channel import Channel

_SECONDS = 2.0


class ServedContract:
    """The contract without the services whose model was never added, for the pages that tell callers what to call."""

    def __init__(self, contract: Contract, channel: Channel) -> None:
        self._contract = self._last = contract
        self._list_models = channel.unary_unary(f"/{MODEL_SERVICE}/ListModels")
        self._listing = contract.message(LIST_MODELS_RESPONSE)

    async def listed(self) -> Any:
        """Which models the server has: a foretell.v1.ListModelsResponse. Raises grpc.aio.AioRpcError, or DecodeError."""
        return self._listing.FromString(await self._list_models(b"", timeout=_SECONDS))

    async def contract(self) -> Contract:
        """As the server says now; as it last said while it is away; and the whole where it never said anything of use."""
        try:
            listed = await self.listed()
        except (grpc.aio.AioRpcError, DecodeError):
            return self._last
        shown = self._contract.restricted_to({model.name for model in listed.models})
        if shown.services:
            self._last = shown
        return self._last

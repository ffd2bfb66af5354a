"""Version selection, canaries, shadows and streams over a real channel, while versions are promoted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpc_server.server import Server
from grpc_server.settings import ServerSettings
from grpc_server.versions.registry import load_registry
from tests.conftest import PROTOS
from tests.support.iris import EXAMPLE
from tests.support.models import candidates
from tests.support.models.candidates import add, add_steady, promote, until
from tests.support.servers.grpc_in_process import Stub, failure, info, iris

pytestmark = pytest.mark.slow

EACH_SHELL = pytest.mark.usefixtures("each_transport")
"""For tests that depend on the transport: metadata of a call, life of a stream."""


@asynccontextmanager
async def serving(root: Path, **settings: Any) -> AsyncIterator[Stub]:
    """A server of the repository `root` that follows its route tables."""
    server = Server(ServerSettings(**{"grpc_address": "127.0.0.1:0", "models": root, "protos": PROTOS} | settings))
    address = server.bind()
    registry = await asyncio.to_thread(load_registry, iris(), server._settings)
    handlers = await server.start(registry)
    try:
        async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            yield Stub(registry, channel, server, address, handlers)
    finally:
        await server.stop()


async def predict(stub: Stub, **choice: str) -> tuple[float, str, str]:
    """The answer, and its version and generation."""
    metadata = tuple((name.replace("_", "-"), value) for name, value in choice.items())
    call = stub.predict(stub.features(**EXAMPLE), metadata=metadata)
    answer = await call
    labels = dict(await call.trailing_metadata())
    return round(answer.setosa_probability, 6), labels["model-version"], labels["model-generation"]


async def wait_for_generation(stub: Stub, generation: int) -> None:
    """Waits until the server is at this generation and no rollout runs."""
    (served,) = stub.registry.served_models

    def settled() -> bool:
        with served.lock:
            return served.routes.generation == generation and served.rollout is None

    await asyncio.to_thread(until, served, settled)


UNKNOWN = (
    ((("model-version", "3"),), "no version '3' of iris answers; there is 1, 2"),
    ((("model-version", "x y"),), "no version 'x y' of iris answers; there is 1, 2"),
    ((("model-alias", "canary"),), "no alias 'canary' of iris answers; there is production, staging"),
    ((("model-alias", "staging"), ("model-version", "1")), "alias staging of iris is version 2, not 1: send one"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Versions 1 and 2; production is 1."""
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    return tmp_path


@pytest.fixture
def staged(root: Path) -> Path:
    """The same, with alias staging on 2."""
    promote(root, "2", "staging")
    return root


@EACH_SHELL
async def test_calls_select_version_by_number_or_alias(staged: Path) -> None:
    async with serving(staged) as stub:
        await wait_for_generation(stub, 2)
        assert await predict(stub) == (0.01, "1", "2")
        assert await predict(stub, model_alias="production") == (0.01, "1", "2")
        assert await predict(stub, model_alias="staging") == (0.02, "2", "2")
        assert await predict(stub, model_version="2") == (0.02, "2", "2")
        assert await predict(stub, model_version="2", model_alias="staging", routing_key="kim") == (0.02, "2", "2")
        for choice, says in UNKNOWN:
            error = await failure(stub.predict(stub.features(**EXAMPLE), metadata=choice))
            assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, says)
            assert info(error).reason == "UNKNOWN_VERSION"
            stream = stub.predict_stream(iter([stub.features(**EXAMPLE)]), metadata=choice)
            assert (await failure(stream.read())).code() is grpc.StatusCode.NOT_FOUND


async def test_canary_answers_its_share(staged: Path) -> None:
    async with serving(staged) as stub:
        candidates.change(staged, lambda routes: routes.with_canary("2", 0.5, candidates.AUTHOR))
        await wait_for_generation(stub, 3)
        answers = {key: await predict(stub, routing_key=key) for key in map(str, range(60))}
        assert set(answers.values()) == {(0.01, "1", "3"), (0.02, "2", "3")}
        assert {key: await predict(stub, routing_key=key) for key in answers} == answers
        assert {await predict(stub) for _ in range(60)} == set(answers.values())
        assert {await predict(stub, model_alias="production") for _ in range(20)} == {(0.01, "1", "3")}
        candidates.change(staged, lambda routes: routes.without_canary(candidates.AUTHOR))
        await wait_for_generation(stub, 4)
        assert {await predict(stub, routing_key=key) for key in answers} == {(0.01, "1", "4")}


@pytest.mark.timeout(300)  # It stands back behind all others, on a busy machine for long.
async def test_shadow_gets_copies_and_is_compared(root: Path) -> None:
    other, slow = add(root, candidates.Steady(0.9)), add(root, candidates.Slow(0.01))
    async with serving(root, workers=1) as stub:
        (served,) = stub.registry.served_models
        for generation, version in enumerate((other, slow), 2):
            candidates.change(root, lambda routes, v=version: routes.with_shadow(v, candidates.AUTHOR))
            await wait_for_generation(stub, generation)
            shadow = served.routing.shadow
            assert shadow is not None
            assert shadow.version.version == version
            assert (await failure(predict(stub, model_version=version))).code() is grpc.StatusCode.NOT_FOUND
            for _ in range(80 if version == slow else 1):  # More than may wait for a slow one.
                assert (await predict(stub))[:2] == (0.01, "1")
            while not shadow.comparison.compared:  # noqa: ASYNC110  # Counted in a thread without a signal.
                await asyncio.sleep(0.02)
            await stub.predict_batch(stub.batch([EXAMPLE] * 3))
            comparison = shadow.comparison
            if version == other:
                assert (comparison.agreeing, comparison.failed, round(comparison.largest_shift, 6)) == (0, 0, 0.89)
            else:
                assert (comparison.agreeing, comparison.failed, comparison.largest_shift) == (comparison.compared, 0, 0)
                assert comparison.left_out > 0
        candidates.change(root, lambda routes: routes.without_shadow(candidates.AUTHOR))
        await wait_for_generation(stub, 4)
        assert served.routing.canary is None
        assert served.routing.shadow is None
        await asyncio.to_thread(until, served, lambda: len(served.versions) == 1)


async def test_loading_version_is_unavailable(root: Path) -> None:
    async with serving(root) as stub:
        await wait_for_generation(stub, 1)
        promote(root, add(root, candidates.Hanging(0.5)), "next")
        (served,) = stub.registry.served_models
        await asyncio.to_thread(until, served, lambda: served.rollout is not None)
        for choice in ({"model_version": "3"}, {"model_alias": "next"}):
            error = await failure(predict(stub, **choice))
            assert (error.code(), info(error).reason) == (grpc.StatusCode.UNAVAILABLE, "VERSION_LOADING")


@EACH_SHELL
async def test_stream_keeps_its_version_loaded(root: Path) -> None:
    async with serving(root, keep_warm=0) as stub:
        await wait_for_generation(stub, 1)
        (served,) = stub.registry.served_models
        stream = stub.predict_stream()
        await stream.write(stub.features(**EXAMPLE))
        assert (await stream.read()).setosa_probability == 0.01
        promote(root, "2")
        await wait_for_generation(stub, 2)
        assert await predict(stub) == (0.02, "2", "2")
        assert (await failure(predict(stub, model_version="1"))).code() is grpc.StatusCode.NOT_FOUND
        await stream.write(stub.features(**EXAMPLE))
        assert (await stream.read()).setosa_probability == 0.01
        assert "1" in {version.version for version in served.versions}
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        await asyncio.to_thread(until, served, lambda: len(served.versions) == 1)
        assert (await stream.code()) is grpc.StatusCode.OK
        assert dict(await stream.trailing_metadata())["model-version"] == "1"


@EACH_SHELL
async def test_cancelled_stream_releases_its_version(root: Path) -> None:
    async with serving(root, keep_warm=0) as stub:
        await wait_for_generation(stub, 1)
        (served,) = stub.registry.served_models
        stream = stub.predict_stream()
        await stream.write(stub.features(**EXAMPLE))
        await stream.read()
        promote(root, "2")
        await wait_for_generation(stub, 2)
        assert len(served.versions) == 2
        stream.cancel()
        await asyncio.to_thread(until, served, lambda: len(served.versions) == 1)


async def test_worker_model_replaces_inline_model(root: Path) -> None:
    async with serving(root, workers=1) as stub:
        await wait_for_generation(stub, 1)
        slow = add(root, candidates.Slow(0.05))
        promote(root, slow)
        await wait_for_generation(stub, 2)
        assert await predict(stub) == (0.05, slow, "2")
        assert [str(model.placement) for model in stub.registry.models] == ["process"]
        promote(root, "1")
        await wait_for_generation(stub, 3)
        assert await predict(stub) == (0.01, "1", "3")
        assert await predict(stub, model_version=slow) == (0.05, slow, "3")

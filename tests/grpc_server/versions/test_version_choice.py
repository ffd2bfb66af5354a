"""Choosing a version over a real channel, and keeping it while others are promoted."""

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
"""Where a shell has a part: the metadata of a call, and the life of a stream."""


@asynccontextmanager
async def serving(root: Path, **settings: Any) -> AsyncIterator[Stub]:
    """A server of the repository `root` that follows its records."""
    server = Server(ServerSettings(**{"grpc_address": "127.0.0.1:0", "models": root, "protos": PROTOS} | settings))
    address = server.bind()
    registry = await asyncio.to_thread(load_registry, iris(), server._settings)
    handlers = await server.start(registry)
    try:
        async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            yield Stub(registry, channel, server, address, handlers)
    finally:
        await server.stop()


async def asked(stub: Stub, **choice: str) -> tuple[float, str, str]:
    """The answer, and the version and the generation that it names."""
    metadata = tuple((name.replace("_", "-"), value) for name, value in choice.items())
    call = stub.predict(stub.features(**EXAMPLE), metadata=metadata)
    answer = await call
    labels = dict(await call.trailing_metadata())
    return round(answer.setosa_probability, 6), labels["model-version"], labels["model-generation"]


async def follows(stub: Stub, generation: int) -> None:
    """Until the server is at this generation, and nothing is being loaded."""
    (served,) = stub.registry.served_models

    def settled() -> bool:
        with served.locked():
            return served.routes.generation == generation and served.rollout is None

    await asyncio.to_thread(until, served, settled)


NOBODY = (
    ((("model-version", "3"),), "no version '3' of iris answers; there is 1, 2"),
    ((("model-version", "x y"),), "no version 'x y' of iris answers; there is 1, 2"),
    ((("model-alias", "canary"),), "no alias 'canary' of iris answers; there is production, staging"),
    ((("model-alias", "staging"), ("model-version", "1")), "alias staging of iris is version 2, not 1: send one"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Versions 1 and 2, of which 1 is production."""
    add_steady(tmp_path, 2)
    promote(tmp_path, "1")
    return tmp_path


@pytest.fixture
def staged(root: Path) -> Path:
    """The same, with 2 as staging."""
    promote(root, "2", "staging")
    return root


@EACH_SHELL
async def test_a_version_is_chosen_by_its_number_or_by_an_alias_and_else_the_refusal_lists_them(staged: Path) -> None:
    async with serving(staged) as stub:
        await follows(stub, 2)
        assert await asked(stub) == (0.01, "1", "2")
        assert await asked(stub, model_alias="production") == (0.01, "1", "2")
        assert await asked(stub, model_alias="staging") == (0.02, "2", "2")
        assert await asked(stub, model_version="2") == (0.02, "2", "2")
        assert await asked(stub, model_version="2", model_alias="staging", routing_key="kim") == (0.02, "2", "2")
        for choice, says in NOBODY:
            error = await failure(stub.predict(stub.features(**EXAMPLE), metadata=choice))
            assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, says)
            assert info(error).reason == "UNKNOWN_VERSION"
            stream = stub.predict_stream(iter([stub.features(**EXAMPLE)]), metadata=choice)
            assert (await failure(stream.read())).code() is grpc.StatusCode.NOT_FOUND


async def test_a_canary_answers_its_share_of_the_calls_that_choose_nothing(staged: Path) -> None:
    async with serving(staged) as stub:
        candidates.change(staged, lambda routes: routes.with_canary("2", 0.5, candidates.AUTHOR))
        await follows(stub, 3)
        answers = {key: await asked(stub, routing_key=key) for key in map(str, range(60))}
        assert set(answers.values()) == {(0.01, "1", "3"), (0.02, "2", "3")}
        assert {key: await asked(stub, routing_key=key) for key in answers} == answers
        assert {await asked(stub) for _ in range(60)} == set(answers.values())
        assert {await asked(stub, model_alias="production") for _ in range(20)} == {(0.01, "1", "3")}
        candidates.change(staged, lambda routes: routes.without_canary(candidates.AUTHOR))
        await follows(stub, 4)
        assert {await asked(stub, routing_key=key) for key in answers} == {(0.01, "1", "4")}


@pytest.mark.timeout(300)  # It stands back behind all others, on a busy machine for long.
async def test_a_shadow_is_asked_what_production_was_and_answers_nobody(root: Path) -> None:
    other, slow = add(root, candidates.Steady(0.9)), add(root, candidates.Slow(0.01))
    async with serving(root, workers=1) as stub:
        (served,) = stub.registry.served_models
        for generation, version in enumerate((other, slow), 2):
            candidates.change(root, lambda routes, v=version: routes.with_shadow(v, candidates.AUTHOR))
            await follows(stub, generation)
            shadow = served.routing.shadow
            assert shadow is not None
            assert shadow.version.version == version
            assert (await failure(asked(stub, model_version=version))).code() is grpc.StatusCode.NOT_FOUND
            for _ in range(80 if version == slow else 1):  # More than may wait for a slow one.
                assert (await asked(stub))[:2] == (0.01, "1")
            while not shadow.comparison.compared:  # noqa: ASYNC110  # a thread of its own counts, and tells nobody
                await asyncio.sleep(0.02)
            await stub.predict_batch(stub.batch([EXAMPLE] * 3))
            seen = shadow.comparison
            if version == other:
                assert (seen.agreeing, seen.failed, round(seen.largest_shift, 6)) == (0, 0, 0.89)
            else:
                assert (seen.agreeing, seen.failed, seen.largest_shift) == (seen.compared, 0, 0)
                assert seen.left_out > 0
        candidates.change(root, lambda routes: routes.without_shadow(candidates.AUTHOR))
        await follows(stub, 4)
        assert served.routing.production_only
        await asyncio.to_thread(until, served, lambda: len(served.versions) == 1)


async def test_a_version_that_is_on_its_way_is_unavailable_and_not_unknown(root: Path) -> None:
    async with serving(root) as stub:
        await follows(stub, 1)
        promote(root, add(root, candidates.Hanging(0.5)), "next")
        (served,) = stub.registry.served_models
        await asyncio.to_thread(until, served, lambda: served.rollout is not None)
        for choice in ({"model_version": "3"}, {"model_alias": "next"}):
            error = await failure(asked(stub, **choice))
            assert (error.code(), info(error).reason) == (grpc.StatusCode.UNAVAILABLE, "VERSION_LOADING")


@EACH_SHELL
async def test_a_stream_keeps_its_version_and_the_version_stays_for_it(root: Path) -> None:
    async with serving(root, keep_warm=0) as stub:
        await follows(stub, 1)
        (served,) = stub.registry.served_models
        stream = stub.predict_stream()
        await stream.write(stub.features(**EXAMPLE))
        assert (await stream.read()).setosa_probability == 0.01
        promote(root, "2")
        await follows(stub, 2)
        assert await asked(stub) == (0.02, "2", "2")
        assert (await failure(asked(stub, model_version="1"))).code() is grpc.StatusCode.NOT_FOUND
        await stream.write(stub.features(**EXAMPLE))
        assert (await stream.read()).setosa_probability == 0.01
        assert "1" in {version.version for version in served.versions}
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        await asyncio.to_thread(until, served, lambda: len(served.versions) == 1)
        assert (await stream.code()) is grpc.StatusCode.OK
        assert dict(await stream.trailing_metadata())["model-version"] == "1"


@EACH_SHELL
async def test_a_stream_that_is_cancelled_lets_its_version_go(root: Path) -> None:
    async with serving(root, keep_warm=0) as stub:
        await follows(stub, 1)
        (served,) = stub.registry.served_models
        stream = stub.predict_stream()
        await stream.write(stub.features(**EXAMPLE))
        await stream.read()
        promote(root, "2")
        await follows(stub, 2)
        assert len(served.versions) == 2
        stream.cancel()
        await asyncio.to_thread(until, served, lambda: len(served.versions) == 1)


async def test_a_model_that_runs_in_processes_takes_the_place_of_one_in_line(root: Path) -> None:
    async with serving(root, workers=1) as stub:
        await follows(stub, 1)
        slow = add(root, candidates.Slow(0.05))
        promote(root, slow)
        await follows(stub, 2)
        assert await asked(stub) == (0.05, slow, "2")
        assert [str(model.placement) for model in stub.registry.models] == ["process"]
        promote(root, "1")
        await follows(stub, 3)
        assert await asked(stub) == (0.01, "1", "3")
        assert await asked(stub, model_version=slow) == (0.05, slow, "3")

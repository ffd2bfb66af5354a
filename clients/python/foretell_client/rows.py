"""Feeds rows into a stream.

If the iterable of rows raises, grpcio cancels the call and hides the exception. Here the rows end instead, and `failed` keeps the
exception, to be raised after the answers.
"""

import asyncio
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any

from foretell_client.stubs.iris.v1.iris_pb2 import Features


def until_failed(rows: Iterable[Features], failed: list[Exception]) -> Iterator[Features]:
    """Yield the rows; an exception ends them and is appended to `failed`."""
    try:
        yield from rows
    except Exception as error:
        failed.append(error)


def feed(call: Any, rows: AsyncIterable[Features] | Iterable[Features], failed: list[Exception]) -> None:
    """Start to write the rows into a stream of grpc.aio; an exception ends them and is appended to `failed`.

    Writing stops when the call ends: if a write fails after that, grpcio replaces the status of the call by INTERNAL
    (grpc/grpc#36066), which would hide nearly every error of a long stream.
    """
    writing = asyncio.create_task(_write(call, rows, failed))

    def stop(_: Any) -> None:
        writing.cancel()

    call.add_done_callback(stop)


async def _write(call: Any, rows: AsyncIterable[Features] | Iterable[Features], failed: list[Exception]) -> None:
    try:
        if isinstance(rows, AsyncIterable):
            async for row in rows:
                await call.write(row)
        else:
            for row in rows:
                await call.write(row)
    except Exception as error:
        if not call.done():  # After the end of the call, its status is the error.
            failed.append(error)
    await call.done_writing()

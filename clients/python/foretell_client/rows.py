"""Rows on their way into a stream.

Where rows raise, grpcio would cancel the call and at best log why. Here they end, and `failed` keeps the exception for after the
answers.
"""

import asyncio
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any

from foretell_client.stubs.iris.v1.iris_pb2 import Features


def until_failed(rows: Iterable[Features], failed: list[Exception]) -> Iterator[Features]:
    """The rows up to an exception."""
    try:
        yield from rows
    except Exception as error:
        failed.append(error)


def feed(call: Any, rows: AsyncIterable[Features] | Iterable[Features], failed: list[Exception]) -> None:
    """Begin to write the rows up to an exception into a stream of grpc.aio.

    Writing stops as soon as the call ends: grpcio replaces a call's status with INTERNAL where a write fails after it
    (grpc/grpc#36066), and would hide nearly every refusal of a long stream.
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
        if not call.done():  # Else the call has ended, and its reader hears why.
            failed.append(error)
    await call.done_writing()

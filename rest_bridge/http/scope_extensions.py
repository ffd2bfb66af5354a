"""Keys that our Connection adds to an ASGI scope: the whole body, and a way to send the whole response."""

from collections.abc import Callable, Iterable

WHOLE_BODY = "foretell.body"
"""The body, if all of it had arrived before the application was called."""

WHOLE_ANSWER = "foretell.answer"
"""A SendWhole, under the same condition."""

SendWhole = Callable[[Iterable[tuple[bytes, bytes]], bytes], bool]
"""Sends status 200 with these headers and this body in one write. False if the application must send it by ASGI instead."""

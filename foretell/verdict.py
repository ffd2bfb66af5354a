"""What a running server makes of a change of a record."""

import time
from dataclasses import dataclass
from typing import Any

import typer

from foretell.listing import ask, response_type

_EVERY = 0.1
"""Seconds between two questions."""

_SECONDS = 5.0
"""Longest time in which a server that follows a record has read a change of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of the wait."""

    outcome: str
    """`served`, `refused`, `unfollowed` where the server reads another repository, or `no server`."""
    text: str
    """The same, for people."""


def verdict(target: str, name: str, generation: int, version: str | None, *, quiet: bool) -> Verdict:
    """Wait until the server at `target` has done what the record asks for since `generation`; unless `quiet`, tell of its gates.

    `version` is what the change asks for, if it asks for one. Raises SetupError where something answers that is no Foretell.
    """
    response, told = response_type()(), ""
    end = time.monotonic() + _SECONDS
    while True:
        if not ask(target, response):
            return Verdict("no server", f"no server answers at {target}: the next one to start serves this")
        following = next((following for following in response.following if following.name == name), None)
        if following is not None and following.generation >= generation:
            if not version or following.loading != version:
                return _settled(target, following, generation, version)
            if following.gate != told and not quiet:
                typer.echo(f"  the server is at the gate {following.gate}")
                told = following.gate
        elif time.monotonic() > end:
            seen = f"is at generation {following.generation}" if following is not None else "hosts no such model"
            return Verdict("unfollowed", f"the server at {target} {seen}: does it read another repository?")
        time.sleep(_EVERY)


def _settled(target: str, following: Any, generation: int, version: str | None) -> Verdict:
    refused = following.refused
    if version and refused.version == version and refused.generation >= generation:
        text = f"the server at {target} refused version {version} at the gate {refused.gate}: {refused.reason}"
        return Verdict("refused", text)
    return Verdict("served", f"the server at {target} follows generation {following.generation}")

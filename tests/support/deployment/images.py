"""The images of the Dockerfile, and the containers that docker-compose.yml makes of them."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.support.processes import ROOT

DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "docker-compose.yml"
SERVICES = ("grpc_server", "rest_bridge")

Instruction = tuple[str, str]
"""A keyword such as RUN, and its arguments as one line."""


@dataclass(frozen=True)
class Container:
    """One service: its image with the additions of the compose file."""

    name: str
    user: str
    folder: str
    """Working folder."""
    command: tuple[str, ...]
    healthcheck: tuple[str, ...]
    stop_signal: str
    environment: dict[str, str]
    mounts: dict[str, str]
    """Path in the container to path in the repository."""
    tmpfs: dict[str, str]
    """Path in the container to mount options: the only writable paths."""
    stop_seconds: float


def services() -> dict[str, Any]:
    """The services of the compose file."""
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def container(name: str) -> Container:
    """The container of a service."""
    service, image = services()[name], stage(services()[name]["build"]["target"])
    return Container(
        name=name,
        user=service["user"],
        folder=_last(image, "WORKDIR"),
        command=tuple(service.get("command") or json.loads(_last(image, "CMD"))),
        healthcheck=exec_form(service["healthcheck"]["test"]),
        stop_signal=_last(image, "STOPSIGNAL"),
        environment=environment(image) | service.get("environment", {}),
        mounts={volume["target"]: volume["source"] for volume in service["volumes"]},
        tmpfs=dict(entry.split(":") for entry in service["tmpfs"]),
        stop_seconds=float(service["stop_grace_period"].removesuffix("s")),
    )


def image_healthcheck(name: str) -> tuple[str, ...]:
    """The health check of an image."""
    return exec_form(["CMD", *json.loads(_last(stage(name), "HEALTHCHECK").partition(" CMD ")[2])])


def exec_form(test: list[str]) -> tuple[str, ...]:
    """The arguments of a health check, with white space normalized."""
    assert test[0] == "CMD", "a health check runs without a shell"
    return tuple(" ".join(word.split()) for word in test[1:])


def environment(instructions: list[Instruction], path: str = "/usr/bin:/bin") -> dict[str, str]:
    """Variables that ENV sets, on a base image with the PATH `path`."""
    words = [word for name, text in instructions if name == "ENV" for word in shlex.split(text)]
    return {key: value.replace("$PATH", path) for key, value in (word.split("=", 1) for word in words)}


def stage(name: str) -> list[Instruction]:
    """The instructions of a stage and, before them, of the stages below it, without FROM."""
    stages = dict(_stages())
    (_, base), *own = stages[name]
    return (stage(base) if base in stages else []) + own


def labels(name: str) -> dict[str, str]:
    """The labels of an image."""
    words = [word for instruction, text in stage(name) if instruction == "LABEL" for word in shlex.split(text)]
    return dict(word.split("=", 1) for word in words)


def _stages() -> Iterator[tuple[str, list[Instruction]]]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", "", "\n".join(lines))
    found: list[tuple[str, list[Instruction]]] = []
    for line in filter(str.strip, joined.splitlines()):
        name, _, text = line.partition(" ")
        if name == "FROM":
            base, _, stage_name = text.partition(" AS ")
            found.append((stage_name, [("FROM", base)]))
        elif found:
            found[-1][1].append((name, text))
    yield from found


def _last(instructions: list[Instruction], name: str) -> str:
    return [text for instruction, text in instructions if instruction == name][-1]

"""Describes machine and versions of a measurement."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.process import CORES

LIBRARIES = (
    *("grpcio", "protobuf", "protovalidate", "fastapi", "uvicorn", "uvloop", "pydantic", "scikit-learn", "numpy", "pandas"),
    *("onnxruntime", "skl2onnx", "treelite", "xgboost-cpu"),
)


def machine(command: str, rounds: str) -> str:
    """A Markdown list of command, date, machine, load and versions."""
    lines = [
        ("Command", f"`{command}`, {rounds}"),
        ("Date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("Machine", f"{_cpu()}, {len(CORES)} cores; Linux {platform.release().partition('-')[0]}"),
        ("Load average", f"{os.getloadavg()[1]:.1f} at the end; other work ran beside it if this is above {min(2, len(CORES))}"),
        ("Versions", ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in LIBRARIES)])),
    ]
    return "\n".join(f"- {name}: {text}" for name, text in lines)


def _cpu() -> str:
    names = [
        line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    return names[0] if names else platform.machine()

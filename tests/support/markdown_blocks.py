"""Runs the blocks of a Markdown page as a reader would, and compares what they print with what the page shows.

A `console` block holds commands and their output, standard error included. A command starts with `$ ` and continues after a
backslash at the end of a line, and on lines that start with `> `. Each command runs in a bash of its own.

    ```console
    $ echo one; \\
        echo two
    one
    two
    ```

A `python` block is a program. The `text` block right after it, across empty lines only, is its output; without one
it prints nothing.

    ```python
    print(1 + 1)
    ```
    ```text
    2
    ```

Programs can import `foretell_client`; commands find the scripts beside the tests' interpreter. Output is
compared character by character, without white space (grpcurl varies it, and pages break long lines), without factors such as
31x (timings vary), and with fractions to six digits or decimals (processors differ beyond). A command without shown output must
succeed.

    @pytest.mark.parametrize("block", blocks(ROOT / "README.md"), ids=str)
    def test_block(block, running):
        run(block, ROOT, addresses(running))

`blocks` returns every block in any language; `run` raises for a language without a runner, so that no block is skipped silently.
"""

import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Foretell

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FACTOR = re.compile(r"\d+(?:\.\d+)?x")
_FRACTION = re.compile(r"\d+\.\d+(?:[eE][+-]?\d+)?")
_SECONDS = 60


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str
    output: str = ""
    """Expected output of a program."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.language}"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in order; a program and its output are one block."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else page.name
    found: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(text):
        language, body = fence.groups()
        adjacent = found and not text[end : fence.start()].strip()
        if language == "text" and adjacent and found[-1].language == "python" and not found[-1].output:
            program = found.pop()
            found.append(Block(name, program.line, "python", program.text, body))
        else:
            found.append(Block(name, text.count("\n", 0, fence.start()) + 1, language, body))
        end = fence.end()
    return found


def addresses(running: Foretell) -> dict[str, str]:
    """The addresses on the pages, mapped to those of a running Foretell."""
    return {"127.0.0.1:50051": running.grpc, "127.0.0.1:8000": running.http.removeprefix("http://")}


def run(block: Block, folder: Path, replace: Mapping[str, str] | None = None) -> None:
    """Run a block in `folder`, with `replace` applied to its commands and its expected output.

    Fails on a difference, skips without a tool. Raises ValueError for a language without a runner.
    """
    if block.language == "python":
        steps = [((sys.executable, "-c", replaced(block.text, replace)), replaced(block.output, replace))]
    elif block.language == "console":
        listed = list(commands(replaced(block.text, replace)))
        _skip_without_tools(block, [command for command, _ in listed])
        steps = [(("bash", "-c", command), shown) for command, shown in listed]
    else:
        raise ValueError(f"{block}: only console and python blocks run")
    for command, shown in steps:
        done = subprocess.run(
            command, cwd=folder, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS
        )
        if not same(shown, done.stdout):
            pytest.fail(f"{block}: {command[-1]}\n--- the page shows\n{shown}\n--- it prints\n{done.stdout}", pytrace=False)
        if not shown.strip() or block.language == "python":
            assert done.returncode == 0, f"{block}: {command[-1]}\nends with {done.returncode}"


def same(shown: str, printed: str) -> bool:
    """Whether two outputs are equal apart from white space, factors and digits of fractions beyond the sixth."""
    one, other = (_FACTOR.sub("x", "".join(text.split())) for text in (shown, printed))
    numbers = zip(_FRACTION.findall(one), _FRACTION.findall(other), strict=False)
    return _FRACTION.split(one) == _FRACTION.split(other) and all(
        math.isclose(float(a), float(b), rel_tol=1e-6, abs_tol=1e-6) for a, b in numbers
    )


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command with its expected output."""
    command, shown = "", ""
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line.removeprefix("$ "), ""
        elif not command:
            raise ValueError(f"output without a command: {line!r}")
        elif not shown and (line.startswith("> ") or command.endswith("\\")):
            command += "\n" + line.removeprefix("> ")
        else:
            shown += line + "\n"
    if command:
        yield command, shown


def _skip_without_tools(block: Block, commands: list[str]) -> None:
    for tool in (command.split()[0] for command in commands):
        if not shutil.which(tool, path=_environment()["PATH"]):
            pytest.skip(f"{tool} is not installed: {block} is not run")


def _environment() -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FORETELL_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | {"PATH": path, "PYTHONPATH": str(ROOT / "clients/python")}


def replaced(text: str, replace: Mapping[str, str] | None) -> str:
    for old, new in (replace or {}).items():
        text = text.replace(old, new)
    return text

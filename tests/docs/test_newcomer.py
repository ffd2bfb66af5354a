"""The README as a newcomer follows it: a fresh clone, a shell without `.venv` on its PATH, every block in order."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.markdown_blocks import Block, blocks, commands, replaced, same
from tests.support.processes import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(400), pytest.mark.xdist_group("newcomer")]

_INHERITED = re.compile(r"PIP_|SSL_CERT_|\w*_proxy$", re.IGNORECASE)
"""Variables without which pip may not reach its index."""

_END = "--- ended"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a login shell: a new home, the system's Python and pip's cache."""
    own = {str(Path(sys.executable).parent), str(ROOT / ".venv/bin")}
    path = [f"{sys.base_prefix}/bin", *(each for each in os.environ["PATH"].split(os.pathsep) if each not in own)]
    variables = {name: value for name, value in os.environ.items() if _INHERITED.match(name)}
    variables["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    variables["PIP_COMPILE"] = "0"  # Of what pip installs, a tenth is imported.
    return variables | {"HOME": str(tmp_path_factory.mktemp("home")), "PATH": os.pathsep.join(path)}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, shell: dict[str, str]) -> Iterator[Path]:
    """A clone of the last commit, without changes since then. Skips where pip cannot install."""
    folder = tmp_path_factory.mktemp("newcomer")
    probe = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder / "probe", "hatchling==1.33.0"]
    probed = subprocess.run(probe, env=shell, capture_output=True, text=True, check=False)
    if probed.returncode:
        pytest.skip(f"pip cannot install here: {probed.stderr.strip().splitlines()[-1]}")
    subprocess.run(["git", "clone", "--quiet", ROOT, folder / "foretell"], check=True)
    yield folder / "foretell"
    shutil.rmtree(folder)  # The environment has 500 MB.


@pytest.fixture(scope="module")
def served(clone: Path, shell: dict[str, str]) -> Iterator[str]:
    """What `make serve` prints until it is ready, on free ports. Ctrl-C stops it."""
    command = ["make", "serve", "ARGS=--grpc-address 127.0.0.1:0 --http-address 127.0.0.1:0"]
    with subprocess.Popen(
        command, cwd=clone, env=shell, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if "Ctrl-C stops it." in line:
                break
        yield printed
        os.killpg(process.pid, signal.SIGINT)
        assert "Traceback" not in process.stdout.read()


def test_readme_works_in_a_new_shell(clone: Path, shell: dict[str, str], served: str) -> None:
    """One shell runs all blocks after `make serve`, so that it is activated where the page says so."""
    make, *others = [block for block in blocks(clone / "README.md") if block.language in ("sh", "console", "python")]
    assert make.text == "make serve\n"
    found = {label: re.search(rf"^  {label} +(?:http://)?(\S+)$", served, re.MULTILINE) for label in ("gRPC", "REST")}
    assert all(found.values()), served
    addresses = {page: found[label][1] for label, page in (("gRPC", "127.0.0.1:50051"), ("REST", "127.0.0.1:8000"))}  # type: ignore[index]
    steps = [step for block in others for step in _steps(block, addresses)]
    assert len(steps) > 6
    steps = [
        (command, shown)
        for command, shown in steps
        if command.split()[0] != "grpcurl" or shutil.which("grpcurl", path=shell["PATH"])
    ]
    script = "\n".join(f"{command}\necho; echo '{_END}' $?" for command, _ in steps)
    done = subprocess.run(
        ["bash", "--noprofile", "--norc"],
        input=script,
        cwd=clone,
        env=shell,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    printed = re.split(rf"{_END} \d+\n", done.stdout)
    assert [(command, output) for (command, shown), output in zip(steps, printed, strict=False) if not same(shown, output)] == []
    assert re.findall(rf"{_END} (\d+)\n", done.stdout) == ["0"] * len(steps)


def test_start_names_what_is_missing_once(served: str) -> None:
    assert "in another terminal, first: source .venv/bin/activate\n" in served
    assert len(re.findall("parcel", served)) == 1
    assert not re.search(r"warning|error|not served", served, re.IGNORECASE)


def _steps(block: Block, addresses: dict[str, str]) -> list[tuple[str, str]]:
    text, output = replaced(block.text, addresses), replaced(block.output, addresses)
    if block.language == "console":
        return list(commands(text))
    return [(f"python - <<'EOF'\n{text}EOF" if block.language == "python" else text.strip(), output)]

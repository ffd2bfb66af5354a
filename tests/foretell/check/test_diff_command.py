"""`foretell diff`: kinds of sides, output formats, and refusals."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from foretell.check.diff_sides import sides
from foretell.cli import app
from foretell_contract.contract import Contract
from foretell_contract.errors import SetupError
from tests.conftest import PROTOS
from tests.support.contract_files import RESPONSE, SERVICE, features, write_contract
from tests.support.processes import ROOT, refused

pytestmark = pytest.mark.slow

STRICTER = (
    "iris/v1/iris.proto:78: breaking: Features.sepal_length: double.lte 1 -> 0.5. Values that were accepted are now refused. "
    "Instead: serve the new contract as iris.v2 beside iris.v1."
)
MANY = ("optional double x [(buf.validate.field).double.lte = 1]", "optional double y", "optional double z")
FEWER = (
    "optional double x [(buf.validate.field).double.lte = 2]",
    "optional double y [(buf.validate.field).required = true]",
    "int64 z",
)


def diff(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["diff", *map(str, arguments)])


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def tighten(root: Path) -> None:
    file = root / "iris/v1/iris.proto"
    file.write_text(file.read_text().replace("double.lte = 1,", "double.lte = 0.5,", 1))


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    shutil.copytree(PROTOS, tmp_path / "stricter")
    tighten(tmp_path / "stricter")
    return tmp_path / "stricter"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three commits on `main`: no contract, the iris contract, and a tighter one."""
    top = tmp_path_factory.mktemp("repository")
    git(top, "init")
    (top / "README").write_text("Nothing yet.")
    git(top, "add", ".")
    git(top, "commit", "-m", "Begin")
    shutil.copytree(PROTOS / "iris", top / "protos/iris")
    git(top, "add", ".")
    git(top, "commit", "-m", "Write a contract")
    tighten(top / "protos")
    git(top, "commit", "-a", "-m", "Tighten it")
    return top


def test_folders_are_compared(stricter: Path) -> None:
    done = diff(PROTOS, stricter)
    assert (done.exit_code, done.stdout) == (1, f"{STRICTER}\n1 difference: 1 breaking\n")
    done = diff(stricter, PROTOS)
    assert done.exit_code == 0
    assert done.stdout.endswith("1 difference: 1 safe\n")
    done = diff(PROTOS, PROTOS)
    assert (done.exit_code, done.stdout) == (0, "No difference that callers could notice.\n")


def test_files_are_compared(stricter: Path) -> None:
    done = diff(PROTOS / "iris/v1/iris.proto", stricter / "iris/v1/iris.proto")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (1, STRICTER.removeprefix("iris/v1/"))


def test_descriptor_sets_are_compared(contract: Contract, stricter: Path, tmp_path: Path) -> None:
    served, built = tmp_path / "contract.binpb", tmp_path / "image.binpb"
    served.write_bytes(contract.descriptor_set)
    subprocess.run([Path(sys.executable).parent / "buf", "build", "-o", built], cwd=ROOT, check=True)
    for old in (served, built):
        assert diff(old, stricter).stdout.splitlines()[0] == STRICTER
        assert diff(old, PROTOS).exit_code == 0
        assert diff(PROTOS, old).exit_code == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HEAD~1", "protos"),
        ("HEAD~1", "HEAD"),
        ("HEAD~1:protos", "main:protos"),
        ("main~1:protos/iris/v1/iris.proto", "protos/iris/v1/iris.proto"),
        ("HEAD~1", "protos/iris/v1/iris.proto"),
    ],
)
def test_git_revisions_are_compared(repository: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    monkeypatch.chdir(repository)
    done = diff(old, new)
    whole = "iris.proto" not in new
    assert (done.exit_code, done.stdout.splitlines()[0]) == (1, STRICTER if whole else STRICTER.removeprefix("iris/v1/"))


def test_revision_beside_a_descriptor_set_is_of_protos(
    repository: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(repository)
    (tmp_path / "contract.binpb").write_bytes(contract.descriptor_set)
    assert diff(tmp_path / "contract.binpb", "HEAD").stdout.splitlines()[0] == STRICTER
    assert diff("HEAD~1", tmp_path / "contract.binpb").exit_code == 0


def test_git_revisions_are_compared_from_any_folder(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "protos")
    assert diff("HEAD~1", ".").exit_code == 1
    assert diff("HEAD~1:iris", "HEAD:iris").exit_code == 1
    monkeypatch.chdir("/")
    assert diff("HEAD~1", repository / "protos").exit_code == 1


def without_git(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PATH", "")


def inside(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.chdir(repository)


def outside(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.chdir("/")


@pytest.mark.parametrize(
    ("where", "old", "message"),
    [
        pytest.param(
            inside, "v9", "cannot compare v9: 'v9' is neither a file, a folder nor a revision of git", id="unknown-revision"
        ),
        pytest.param(
            inside, "--help", "cannot compare --help: '--help' is neither a file, a folder nor a revision of git", id="an-option"
        ),
        pytest.param(inside, "HEAD:no/where", "cannot compare HEAD:no/where: no/where is not in HEAD", id="path"),
        pytest.param(inside, "HEAD~2", "cannot compare HEAD~2: HEAD~2 holds no .proto file", id="no-contract-yet"),
        pytest.param(outside, "HEAD:protos", "cannot compare HEAD:protos: / is not in a git repository", id="no-repository"),
        pytest.param(
            without_git,
            "HEAD",
            "cannot compare HEAD: reading a revision needs git: install it, or pass files or folders",
            id="no-git",
        ),
        pytest.param(
            inside,
            "README",
            "cannot compare README: the data is not a FileDescriptorSet: build one with `buf build -o contract.binpb`, "
            "or take /contract.binpb of a running bridge",
            id="bytes",
        ),
    ],
)
def test_refusal_names_the_side(
    monkeypatch: pytest.MonkeyPatch,
    repository: Path,
    where: Callable[[pytest.MonkeyPatch, Path], None],
    old: str,
    message: str,
) -> None:
    where(monkeypatch, repository)
    with pytest.raises(SetupError) as refusal:
        sides(old, str(PROTOS) if where is not inside else "protos")
    assert str(refusal.value) == message


def test_refusal_exits_with_2(tmp_path: Path) -> None:
    broken = write_contract(tmp_path, "message Features {")
    code, stderr = refused("foretell", "diff", str(PROTOS), str(broken))
    assert code == 2
    assert stderr.startswith(f"foretell: cannot compare {broken}: the contract does not compile: {broken}/test/v1/test.proto:7:")
    assert len(stderr.splitlines()) == 1


@pytest.fixture
def changed(tmp_path: Path) -> tuple[Path, Path]:
    """Two contracts with a finding of each impact."""
    one = write_contract(tmp_path / "old", SERVICE, features(*MANY), RESPONSE)
    two = write_contract(tmp_path / "new", SERVICE.replace("  rpc", "  // Now 2.\n  rpc"), features(*FEWER), RESPONSE)
    text = (one / "test/v1/test.proto").read_text()
    (one / "test/v1/test.proto").write_text(text.replace("  rpc", "  // Now 1.\n  rpc"))
    return one, two


def test_json_format_lists_findings(changed: tuple[Path, Path]) -> None:
    done = diff(*changed, "--format", "json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report["breaking"]
    assert [(found["rule"], found["verdict"]) for found in report["findings"]] == [
        ("comment.quantities", "warning"),
        ("values.wider", "safe"),
        ("presence.optional.required", "breaking"),
        ("field.type", "new_version"),
    ]
    assert report["findings"][1] == {
        "file": "test/v1/test.proto",
        "line": 14,
        "package": "test.v1",
        "name": "test.v1.Features.x",
        "rule": "values.wider",
        "change": "double.lte 1 -> 2",
        "verdict": "safe",
        "reason": "every request that was accepted still is",
        "way_out": "",
    }
    assert json.loads(diff(PROTOS, PROTOS, "--format", "json").stdout) == {"breaking": False, "findings": []}


def test_github_format_annotates_new_files(changed: tuple[Path, Path]) -> None:
    done = diff(*changed, "--format", "github")
    assert done.exit_code == 1
    file = f"file={changed[1]}/test/v1/test.proto"
    assert done.stdout.splitlines() == [
        f"::warning {file},line=10,title=warning::TestService.Predict: numbers or units in the comment: 1 -> 2. "
        "It may mean another unit or range; only the author can tell.",
        f"::notice {file},line=14,title=safe::Features.x: double.lte 1 -> 2. Every request that was accepted still is.",
        f"::error {file},line=15,title=breaking::Features.y: may be missing -> required. "
        "Callers that omit it are now refused. Instead: serve the new contract as test.v2 beside test.v1.",
        f"::error {file},line=16,title=needs a new package version::Features.z: type double -> int64. "
        "Old callers encode the old type. Instead: add a field beside it; or serve the new contract as test.v2 beside test.v1.",
    ]


def test_annotation_is_escaped(tmp_path: Path) -> None:
    rule = 'optional double x [(buf.validate.field).cel = {{id: "a" message: "m" expression: "{}"}}]'
    old, new = (
        write_contract(tmp_path / side, SERVICE, features(rule.format(text)), RESPONSE)
        for side, text in (("old", "this > 1.0"), ("new,newer", "this >\\n 100.0 || 5 % 3 == 2"))
    )
    (line,) = diff(old, new, "--format", "github").stdout.splitlines()
    assert line.startswith(f"::error file={tmp_path}/new%2Cnewer/test/v1/test.proto,line=13,")
    assert "`this >%0A 100.0 || 5 %25 3 == 2`" in line


def test_markdown_format_is_a_changelog(changed: tuple[Path, Path]) -> None:
    done = diff(*changed, "--format", "markdown")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "## test.v1",
        "",
        "### Incompatible",
        "",
        "- `Features.z`: `type double -> int64`; old callers encode the old type. "
        "Instead: add a field beside it; or serve the new contract as test.v2 beside test.v1.",
        "",
        "### Breaking",
        "",
        "- `Features.y`: `may be missing -> required`; callers that omit it are now refused. "
        "Instead: serve the new contract as test.v2 beside test.v1.",
        "",
        "### Please check",
        "",
        "- `TestService.Predict`: `numbers or units in the comment: 1 -> 2`; "
        "it may mean another unit or range; only the author can tell.",
        "",
        "### Compatible",
        "",
        "- `Features.x`: `double.lte 1 -> 2`; every request that was accepted still is.",
    ]
    assert diff(PROTOS, PROTOS, "--format", "markdown").stdout == "No difference that callers could notice.\n"

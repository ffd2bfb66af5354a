"""`foretell shadow-report`: figures from the logs of servers, the page, and errors without logs."""

import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from foretell.cli import app
from foretell.shadow.drift import Shift, population_stability_index, psi_size
from foretell.versions.target import response_type
from foretell_contract.errors import SetupError
from grpc_server.changes.convergence import Servers
from grpc_server.shadow.shadow_log import Compared, Failed, Head, ShadowLog
from tests.support.iris import COLUMNS, EXAMPLE
from tests.support.models import candidates
from tests.support.models.candidates import AUTHOR, add, add_steady, change, promote
from tests.support.processes import ROOT, foretell

HEAD = Head("1", "2", COLUMNS, ("label", "probability.setosa"))
NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


def report(root: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["shadow-report", "iris", *arguments, "--models", str(root)])
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(root: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["shadow-report", "iris", *arguments, "--models", str(root)])
    assert isinstance(result.exception, SetupError), result.output
    return str(result.exception)


def record(root: Path, *lines: Compared | Failed, head: Head = HEAD) -> None:
    """Writes a log as a server process does."""
    log = ShadowLog(root / "iris" / ".shadow", head.shadow, 10**6)
    for line in lines:
        log.append(head, line)
    log.flush()


def call(number: int, ours: float, theirs: float, *, features: bool = True, skipped: int = 0) -> Compared:
    answers = [[["setosa" if each >= 0.5 else "virginica", each]] for each in (ours, theirs)]
    rows: list[list[Any]] | None = [[number / 10, 0.5, 0.5, "<b>&"]] if features else None
    return Compared(1e9 + number, f"call{number}", *answers, 0.001 * (number + 1), 0.01, rows, skipped)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two versions, and logs of two processes with ten calls and a failure of the second as shadow."""
    add_steady(tmp_path, 2)
    record(tmp_path, *(call(number, 0.1 * number, 0.1 * number) for number in range(6)), Failed(1e9, "INTERNAL", 4))
    record(tmp_path, *(call(number, 0.1 * number, 1 - 0.1 * number, skipped=1) for number in range(6, 10)))
    return tmp_path


def test_figures_cover_all_processes(root: Path) -> None:
    facts = json.loads(report(root, "--json"))
    assert (facts["production"], facts["shadow"], facts["processes"]) == ("1", "2", 2)
    assert (facts["calls"], facts["rows"], facts["skipped_calls"], facts["failed_calls"]) == (10, 10, 8, {"INTERNAL": 1})
    assert facts["agreement"] == 0.6
    assert facts["labels"]["label"][0] == {"production": "virginica", "shadow": "virginica", "rows": 5}
    assert {"production": "setosa", "shadow": "virginica", "rows": 4} in facts["labels"]["label"]
    shift = facts["numbers"]["probability.setosa"]
    apart = np.array([0.0] * 6 + [-0.2, -0.4, -0.6, -0.8])
    assert shift["largest"] == pytest.approx(0.8)
    assert shift["mean"] == pytest.approx(np.abs(apart).mean())
    assert shift["bias"] == pytest.approx(apart.mean())
    assert shift["rmse"] == pytest.approx(math.sqrt((apart**2).mean()))
    assert facts["latency"]["production"] == {"p50_ms": pytest.approx(5.5), "p99_ms": pytest.approx(9.91)}
    assert [row["request_id"] for row in facts["furthest"]] == ["call9", "call8", "call7", "call6"]
    assert facts["furthest"][0]["features"] == dict(zip(COLUMNS, [0.9, 0.5, 0.5, "<b>&"], strict=True))
    assert facts["furthest"][0]["shadow"] == {"label": "virginica", "probability.setosa": pytest.approx(0.1)}


def test_text_shows_same_figures(root: Path) -> None:
    lines = report(root).splitlines()
    assert lines[0] == "iris: shadow 2 beside production 1"
    assert re.fullmatch(r"  10 rows of 10 calls, \S+ \S+ to \S+ \S+, 2 server processes", lines[1])
    assert lines[2] == "  1 calls failed (INTERNAL 1), 8 were skipped, because there was no spare capacity"
    assert lines[3] == "  60 % of the rows have the same label"
    table = "\n".join(lines[4:])
    assert re.search(r"probability\.setosa +0\.8 +0\.2 +-0\.2 +0\.346 +\S+ \(too few rows\)", table)
    assert re.search(r"call9 +label setosa, probability\.setosa 0\.9 +label virginica, .* sepal_length 0\.9", table)


@pytest.mark.slow
def test_page_is_self_contained_and_escaped(root: Path, tmp_path: Path) -> None:
    report(root, "--html", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 2
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page
    assert not re.search(r"<(script|link|img|iframe)|@import|url\((?!#)|(?:href|src)=\"(?!#)", page)
    for fact in ("60 % of the rows", "call9", "probability.setosa", "too few rows"):
        assert fact in page
    assert refusal(root, "--html", str(tmp_path)) == f"cannot write {tmp_path}: Is a directory"


@pytest.mark.slow
def test_missing_extra_is_named(root: Path) -> None:
    script = (
        "import sys; sys.modules['jinja2'] = None\nfrom foretell.cli import main\n"
        f"sys.argv = ['foretell', 'shadow-report', 'iris', '--models', {str(root)!r}, '--html', 'page.html']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "foretell: a page needs jinja2: pip install 'foretell[report]'\n")


@pytest.mark.slow
def test_unrecorded_features_are_not_shown(tmp_path: Path) -> None:
    add_steady(tmp_path, 2)
    record(tmp_path, call(7, 0.7, 0.2, features=False))
    assert json.loads(report(tmp_path, "--json"))["furthest"][0]["features"] is None
    assert "not recorded" in report(tmp_path)
    report(tmp_path, "--html", str(tmp_path / "page.html"))
    assert "not recorded" in (tmp_path / "page.html").read_text()


def test_values_are_ranked_by_spread(tmp_path: Path) -> None:
    """A difference of 1 counts more in a value with a small spread."""
    add_steady(tmp_path, 2)
    head = Head("1", "2", ("x",), ("value.cents", "value.years"))
    chance = random.Random(0)
    rows = [[chance.gauss(0, 1e4), chance.gauss(40, 5)] for _ in range(200)]
    lines = [
        Compared(1e9 + number, f"call{number}", [list(row)], [[row[0] + 900 * (number == 3), row[1] + 20 * (number == 5)]])
        for number, row in enumerate(rows)
    ]
    record(tmp_path, *lines, head=head)
    facts = json.loads(report(tmp_path, "--json"))
    assert [row["request_id"] for row in facts["furthest"]] == ["call5", "call3"]
    assert (facts["agreement"], facts["labels"]) == (None, {})
    assert facts["numbers"]["value.cents"]["largest"] == pytest.approx(900)
    assert facts["latency"] == {"production": {}, "shadow": {}}


def test_label_only_models_list_differing_rows(tmp_path: Path) -> None:
    add_steady(tmp_path, 2)
    lines = [Compared(1e9, f"call{number}", [["a"]], [["b" if number == 4 else "a"]], 0.1, 0.1) for number in range(9)]
    record(tmp_path, *lines, head=Head("1", "2", ("x",), ("label",)))
    facts = json.loads(report(tmp_path, "--json"))
    assert [row["request_id"] for row in facts["furthest"]] == ["call4"]
    report(tmp_path, "--html", str(tmp_path / "page.html"))


def test_present_shadow_is_the_default(root: Path) -> None:
    record(root, call(100, 0.5, 0.5), head=Head("4", "3", HEAD.features, HEAD.outputs))
    record(root, call(101, 0.5, 0.5), head=Head("4", "2", HEAD.features, HEAD.outputs))
    named = {
        (): ("4", "3"),
        ("3",): ("4", "3"),
        ("2",): ("4", "2"),
        ("2", "--against", "1"): ("1", "2"),
    }
    assert json.loads(report(root, "--json"))["shadow"] == "2"  # The last one compared.
    change(root, lambda routes: routes.with_shadow("3", AUTHOR))
    for arguments, pair in named.items():
        facts = json.loads(report(root, *arguments, "--json"))
        assert (facts["production"], facts["shadow"]) == pair
    assert "also recorded: shadow 2 beside production 1, 10 rows" in report(root)
    assert refusal(root, "9") == (
        "no comparison of shadow 9 of iris is recorded, only 2 beside production 1, 3 beside production 4, 2 beside production 4"
    )


def test_missing_comparison_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(tmp_path).startswith("no model 'iris' in ")
    add_steady(tmp_path, 2)
    assert refusal(tmp_path) == ("iris has no shadow, and none is recorded: start one with `foretell shadow iris VERSION`")
    promote(tmp_path, "1")
    change(tmp_path, lambda routes: routes.with_shadow("2", AUTHOR))
    assert refusal(tmp_path).startswith(
        f"version 2 of iris is the shadow, but no comparison is recorded yet in {tmp_path / 'iris/.shadow'}"
    )
    monkeypatch.setenv("FORETELL_SHADOW_MB", "0")
    assert refusal(tmp_path) == "shadow_mb is 0, so the answers of the shadow of iris are not recorded: raise it"


def test_psi_matches_its_definition() -> None:
    """The shadow has twice the share of the first tenth of production, and nothing in the last."""
    production = np.arange(1000.0)
    shadow = np.where(production >= 900, production - 900, production)
    expected = (0.2 - 0.1) * math.log(0.2 / 0.1) + (1e-4 - 0.1) * math.log(1e-4 / 0.1)
    assert population_stability_index(production, shadow) == pytest.approx(expected)


@given(NUMBERS)
def test_psi_is_zero_without_shift(numbers: list[float]) -> None:
    production = np.array(numbers)
    assert population_stability_index(production, production) == pytest.approx(0, abs=1e-12)
    assert population_stability_index(production, np.full(3, production.max() + 1)) > 0.1


@settings(max_examples=30)
@given(NUMBERS, st.randoms(use_true_random=False))
def test_figures_hold_for_any_numbers(numbers: list[float], chance: random.Random) -> None:
    production, shadow = np.array(numbers), np.array(chance.sample(numbers, len(numbers)))
    shift = Shift.of(production, shadow)
    assert 0 <= abs(shift.bias) <= shift.mean * (1 + 1e-9) + 1e-6
    assert shift.mean <= shift.rmse * (1 + 1e-9) + 1e-6
    assert shift.rmse <= shift.largest * (1 + 1e-9) + 1e-6
    assert shift.psi == pytest.approx(0, abs=1e-9)  # The same numbers in another order are the same distribution.


@pytest.mark.parametrize(
    ("psi", "rows", "word"),
    [(0.05, 10_000, "small"), (0.1, 10_000, "moderate"), (0.25, 10_000, "large"), (3.0, 180, "too few rows"), (0.0, 181, "small")],
)
def test_psi_is_put_into_words(psi: float, rows: int, word: str) -> None:
    assert psi_size(psi, rows) == word


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository after two server processes have compared a shadow and stopped."""
    root = tmp_path_factory.mktemp("models")
    add_steady(root, 1)
    promote(root, "1")
    shadow = add(root, candidates.Steady(0.9))
    with foretell(root, "--processes", "2", shadow_features="false") as running:
        routes = change(root, lambda routes: routes.with_shadow(shadow, AUTHOR))
        servers = Servers(root / ".control", running.grpc, response_type())
        convergence = servers.wait_for("iris", routes.generation, shadow, lambda gate: None)
        assert (convergence.outcome, len(convergence.servers)) == ("served", 2)
        followed: set[str] = set()
        while len(followed) < 2:  # Each new connection may reach either process.
            httpx2.post(f"{running.http}/predict", json=EXAMPLE).raise_for_status()
            followed = {path.name.split("-")[2] for path in (root / "iris/.shadow").glob("*.jsonl")}
        httpx2.post(f"{running.http}/predict/batch", json={"rows": [EXAMPLE] * 300}).raise_for_status()
    return root


@pytest.mark.slow
def test_servers_record_shadow_answers(compared: Path) -> None:
    facts = json.loads(report(compared, "--json"))
    assert (facts["production"], facts["shadow"], facts["processes"], facts["agreement"]) == ("1", "2", 2, 0)
    assert facts["numbers"]["probability.setosa"]["bias"] == pytest.approx(0.89)
    assert facts["calls"] > 1
    assert facts["latency"]["production"]["p50_ms"] < facts["latency"]["shadow"]["p50_ms"]
    assert all(row["features"] is None for row in facts["furthest"])
    modes = {path.stat().st_mode & 0o777 for path in (compared / "iris/.shadow").glob("*.jsonl")}
    assert modes == {0o640}

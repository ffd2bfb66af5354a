"""Writes PEERS.md: the figures of the peers and of Foretell."""

from collections.abc import Iterator
from importlib.metadata import distributions

from benchmarks.bars import RATE, Cell, Limit, Ratio
from benchmarks.cases import Case
from benchmarks.page import report
from benchmarks.page.machine import machine
from benchmarks.peers.rows import ENVIRONMENTS, PEERS, ROWS, installed
from benchmarks.rounds import Measured
from benchmarks.servers import SERVERS

PACKAGES = (
    *("mlserver", "mlserver-sklearn", "kserve", "bentoml", "litserve"),
    *("scikit-learn", "numpy", "fastapi", "uvicorn", "uvloop"),
)
METHOD = """\
Measured like [RESULTS.md](RESULTS.md), in rounds of its own: the same model and rows, the same load, every answer checked. Ratios
are to the post's app in the same round.

- Each peer is installed from PyPI into an environment of its own with the same scikit-learn, and is used as its docs say, with its
  default settings, logs included; `benchmarks/peers/` holds all that was written for it.
- Each answer has label and probabilities, by `predict` and `predict_proba` where a peer leaves that to its user.
- Peers take an array where they can. The post's app checks types; only Foretell checks bounds.
- A peer of several processes has them all on the one core of the server: there, CPU says more than requests a second."""


def page(measured: Measured, case: Case, ours: tuple[str, ...], command: str) -> str:
    """The whole page, in Markdown."""
    rounds = len({result.round for result in measured.results})
    parts = ["# Beside other model servers", machine(command, f"{rounds} round{'s' * (rounds != 1)}"), _versions(), METHOD]
    parts += ["## The bars", report.bars(list(bars(measured, case, ours)), measured)]
    parts += [report.failures(measured.failures)] if measured.failures else []
    parts += ["## The rows", report.rows_of((*SERVERS, *(server for _, server in ROWS)), measured.results)]
    parts += report.unable(server for _, server in ROWS)
    return "\n\n".join([*parts, *report.case_of(case, measured)]) + "\n"


def bars(measured: Measured, case: Case, ours: tuple[str, ...]) -> Iterator[Ratio]:
    """A bar for each of our rows: its rate against the best peer that ran."""
    failed = {failure.server for failure in measured.failures}
    ran = {result.server for result in measured.results} - failed
    peers = [server.name for _, server in ROWS if server.name in ran]
    for load in case.loads if peers else ():
        others = tuple(Cell(PEERS, name, load, RATE) for name in peers)
        for name in ours:
            says = f"{report.says(load)}, {name}: req/s against the best peer"
            yield Ratio(says, Limit(at_least=1), Cell(PEERS, name, load, RATE), others, max)


def _versions() -> str:
    lines = []
    for peer in sorted({peer for peer, _ in ROWS if installed(peer)}):
        places = [str(folder) for folder in (ENVIRONMENTS / peer).glob("lib/python*/site-packages")]
        found = {each.name.lower(): each.version for each in distributions(path=places)}
        versions = ", ".join(f"{name} {found[name]}" for name in PACKAGES if name in found)
        lines.append(f"- Versions beside {peer}: {versions}")
    return "\n".join(lines)

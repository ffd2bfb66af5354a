"""`python -m benchmarks`: measure, and write RESULTS.md and growth.png beside this file."""

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sized
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks import load
from benchmarks.cases import CASES, chosen
from benchmarks.page import plot, report
from benchmarks.rounds import measure

M = TypeVar("M")
HERE = Path(__file__).parent
PLOT = "growth.png"


def main() -> None:
    """Measure with the arguments of the command line."""
    parser = parser_of("python -m benchmarks", "Measure Foretell against the baselines.")
    parser.add_argument("--quick", action="store_true", help="one round of one second of the first case")
    given = parser.parse_args()
    if given.quick:
        given.rounds = given.seconds = 1
    cases = tuple(case for case in CASES if chosen(case, given.only))[: 1 if given.quick else None]
    if not cases:
        parser.error(f"no server or case contains {given.only!r}; cases are {', '.join(case.name for case in CASES)}")
    measured = interruptible(lambda tell: measure(cases, partial(chosen, only=given.only), given.rounds, given.seconds, tell))
    given.out.mkdir(parents=True, exist_ok=True)
    drawn = plot.draw(measured.results, given.out / PLOT)
    finish(measured.failures, given.out / "RESULTS.md", report.report(measured, command("make bench"), PLOT if drawn else None))


def parser_of(name: str, says: str) -> argparse.ArgumentParser:
    """A parser with the arguments that all benchmarks share."""
    parser = argparse.ArgumentParser(prog=name, description=says)
    parser.add_argument("--rounds", type=int, choices=range(1, 21), default=3, metavar="N", help="rounds, 1 to 20 (default 3)")
    parser.add_argument("--seconds", type=int, choices=range(1, 31), default=2, metavar="S", help="of a load (default %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="run servers whose name, or case, contains TEXT")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="output folder (default: this folder)")
    return parser


def command(target: str) -> str:
    """The command line of this run."""
    return target + (f" ARGS={shlex.quote(' '.join(sys.argv[1:]))}" if sys.argv[1:] else "")


def interruptible(run: Callable[[Callable[[str], None]], M]) -> M:
    """Run, printing progress with the elapsed seconds; exit with one line if h2load is missing or the run is interrupted."""
    if not load.available():
        sys.exit(load.MISSING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    try:
        return run(lambda text: print(f"{time.monotonic() - start:4.0f} s  {text}", flush=True))
    except KeyboardInterrupt:
        sys.exit("stopped; nothing written")


def finish(failures: Sized, file: Path, page: str) -> None:
    """Write the page; exit with 1 if a turn failed, which the page lists."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page)
    print(f"wrote {file}")
    if failures:
        sys.exit(f"{len(failures)} turns failed: {file.name} lists them")


if __name__ == "__main__":
    main()

"""`python -m benchmarks`: measure, and write RESULTS.md and growth.png beside this file."""

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import load, plot, report
from benchmarks.cases import CASES, chosen
from benchmarks.rounds import Measured, measure

HERE = Path(__file__).parent
PLOT = "growth.png"


def main() -> None:
    """Measure with the arguments of the command line."""
    names = ", ".join(case.name for case in CASES)
    parser = parser_of("python -m benchmarks", "Measure Foretell against the baselines.")
    parser.add_argument("--case", default="", metavar="TEXT", help=f"run cases whose name contains TEXT: {names}")
    parser.add_argument("--quick", action="store_true", help="one round of one second of the first case")
    given = parser.parse_args()
    if given.quick:
        given.rounds = given.seconds = 1
    cases = tuple(case for case in CASES if given.case in case.name)[: 1 if given.quick else None]
    if not cases:
        parser.error(f"no case contains {given.case!r}: choose from {names}")
    measured = interruptible(lambda tell: measure(cases, partial(chosen, only=given.only), given.rounds, given.seconds, tell))
    given.out.mkdir(parents=True, exist_ok=True)
    drawn = plot.draw(measured.results, given.out / PLOT)
    finish(measured, given.out / "RESULTS.md", report.report(measured, command("make bench"), PLOT if drawn else None))


def parser_of(name: str, says: str) -> argparse.ArgumentParser:
    """A parser with the arguments that all benchmarks share."""
    parser = argparse.ArgumentParser(prog=name, description=says)
    parser.add_argument("--rounds", type=int, choices=range(1, 21), default=3, metavar="N", help="rounds, 1 to 20 (default 3)")
    parser.add_argument(
        "--seconds", type=int, choices=range(1, 31), default=2, metavar="S", help="seconds of each load (default 2)"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="run servers whose name contains TEXT, such as grpc")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="output folder (default: this folder)")
    return parser


def command(target: str) -> str:
    """The command line of this run."""
    return target + (f" ARGS={shlex.quote(' '.join(sys.argv[1:]))}" if sys.argv[1:] else "")


def interruptible(run: Callable[[Callable[[str], None]], Measured]) -> Measured:
    """Run, printing progress with the elapsed seconds; exit with one line if h2load is missing or the run is interrupted."""
    if not load.available():
        sys.exit(load.MISSING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    try:
        return run(lambda text: print(f"{time.monotonic() - start:4.0f} s  {text}", flush=True))
    except KeyboardInterrupt:
        sys.exit("stopped; nothing written")


def finish(measured: Measured, file: Path, page: str) -> None:
    """Write the page; exit with 1 if a turn failed, which the page lists."""
    file.write_text(page)
    print(f"wrote {file}")
    if measured.failures:
        sys.exit(f"{len(measured.failures)} turns failed: {file.name} lists them")


if __name__ == "__main__":
    main()

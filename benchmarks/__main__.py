"""`python -m benchmarks`: measure, and write RESULTS.md and growth.png beside this file."""

import argparse
import shlex
import signal
import sys
import time
from pathlib import Path

from benchmarks import load, plot, report, rounds
from benchmarks.doors import WrongAnswer
from benchmarks.servers import SERVERS

HERE = Path(__file__).parent
PLOT = "growth.png"


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Foretell against the baselines.")
    parser.add_argument("--rounds", type=int, choices=range(1, 21), default=3, metavar="N", help="rounds, 1 to 20 (default 3)")
    parser.add_argument("--seconds", type=int, choices=range(1, 31), default=2, metavar="S", help="of each load (default 2)")
    parser.add_argument("--only", default="", metavar="TEXT", help="servers whose name holds TEXT, such as grpc")
    parser.add_argument(
        "--case", default="", metavar="TEXT", help=f"cases whose name holds TEXT: {', '.join(c.name for c in rounds.CASES)}"
    )
    parser.add_argument("--quick", action="store_true", help="one round of one second of the first case")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where to write (default: this folder)")
    given = parser.parse_args()
    if not load.available():
        sys.exit(load.MISSING)
    if given.quick:
        given.rounds = given.seconds = 1
    cases = [case for case in rounds.CASES if given.case in case.name][: 1 if given.quick else None]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    try:
        tell = lambda text: print(f"{time.monotonic() - start:4.0f} s  {text}", flush=True)  # noqa: E731
        results = list(rounds.measure(tuple(cases), rounds.chosen(SERVERS, given.only), given.rounds, given.seconds, tell))
    except (WrongAnswer, RuntimeError, OSError) as error:
        sys.exit(f"nothing written: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; nothing written")
    given.out.mkdir(parents=True, exist_ok=True)
    drawn = plot.draw(results, given.out / PLOT)
    arguments = f" ARGS={shlex.quote(' '.join(sys.argv[1:]))}" if sys.argv[1:] else ""
    (given.out / "RESULTS.md").write_text(report.report(results, f"make bench{arguments}", PLOT if drawn else None))
    print(f"wrote {given.out / 'RESULTS.md'}")


if __name__ == "__main__":
    main()

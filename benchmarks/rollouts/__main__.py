"""`python -m benchmarks.rollouts`: measure what rollouts cost the callers of production, and write ROLLOUTS.md."""

import argparse
import signal
import sys
import time
from itertools import product
from pathlib import Path

from benchmarks import load
from benchmarks.__main__ import HERE, command
from benchmarks.protocols import WrongAnswer
from benchmarks.rollouts.cases import CASES, Plan, Results
from benchmarks.rollouts.page import page
from benchmarks.rollouts.stage import stage


def main() -> None:
    """Measure and write the page; exit code 1 if a case failed, which the page lists."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rollouts", description="Measure what rollouts cost the callers of production."
    )
    parser.add_argument("--rounds", type=int, choices=range(1, 21), default=3, metavar="N", help="rounds, 1 to 20 (default 3)")
    parser.add_argument("--seconds", type=int, choices=range(2, 31), default=4, metavar="S", help="of each window (default 4)")
    parser.add_argument("--swaps", type=int, choices=range(1, 1001), default=100, metavar="N", help="promotions (default 100)")
    parser.add_argument("--case", default="", metavar="TEXT", help=f"only cases whose name contains TEXT: {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="one round, few swaps, two kinds of candidates")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where to write (default: benchmarks)")
    given = parser.parse_args()
    plan = Plan(given.rounds, given.seconds, given.swaps, fresh=2, faults=sys.maxsize)
    if given.quick:
        plan = Plan(1, 2, 3, fresh=1, faults=2)
    if not load.available():
        sys.exit(load.MISSING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        results = measure(plan, given.case)
    except KeyboardInterrupt:
        sys.exit("stopped; nothing written")
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "ROLLOUTS.md"
    file.write_text(page(results, command("make bench-rollouts"), plan.rounds))
    print(f"wrote {file}")
    if results.failures:
        sys.exit(f"{len(results.failures)} cases failed: {file.name} lists them")


def measure(plan: Plan, only: str = "") -> Results:
    """Run the cases whose name contains `only`, round by round. A case that fails is listed, and the next one runs."""
    results, start = Results(), time.monotonic()
    for number, (name, case) in product(range(plan.rounds), CASES.items()):
        if only not in name:
            continue
        try:
            with stage() as ready:
                for window in case(ready, plan, results, number):
                    results.windows.append(window)
                    line = f"p99 {window.p99_ms:.2f} ms, quiet {window.quiet_p99_ms:.2f} ms"
                    print(f"{time.monotonic() - start:4.0f} s  {window.what or name}, round {number + 1}: {line}", flush=True)
                results.flips += ready.flips
        except (WrongAnswer, RuntimeError, OSError) as error:
            results.failures.append(f"{name}, round {number + 1}: {' '.join(str(error).split())[:300]}")
            print(f"{time.monotonic() - start:4.0f} s  {name}, round {number + 1} failed: {error}", flush=True)
    return results


if __name__ == "__main__":
    main()

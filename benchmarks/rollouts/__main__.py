"""`python -m benchmarks.rollouts`: measure what rollouts cost the callers of production, and write ROLLOUTS.md."""

import sys
import time
from itertools import product

from benchmarks.__main__ import command, finish, interruptible, parser_of
from benchmarks.protocols import WrongAnswer
from benchmarks.rollouts.cases import CASES, Plan, Results
from benchmarks.rollouts.page import page
from benchmarks.rollouts.stage import stage


def main() -> None:
    """Measure and write the page; exit code 1 if a case failed, which the page lists."""
    parser = parser_of("python -m benchmarks.rollouts", "Measure what rollouts cost the callers of production.")
    parser.add_argument("--swaps", type=int, choices=range(1, 1001), default=100, metavar="N", help="promotions (default 100)")
    parser.add_argument("--quick", action="store_true", help="one round, few swaps, two kinds of candidates")
    parser.set_defaults(seconds=4)
    given = parser.parse_args()
    plan = Plan(given.rounds, max(2, given.seconds), given.swaps, fresh=2, faults=sys.maxsize)
    if given.quick:
        plan = Plan(1, 2, 3, fresh=1, faults=2)
    results = interruptible(lambda _tell: measure(plan, given.only))
    finish(results.failures, given.out / "ROLLOUTS.md", page(results, command("make bench-rollouts"), plan.rounds))


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

"""Draws the growth curves."""

from pathlib import Path

from benchmarks.page.growth import sizes
from benchmarks.page.report import medians
from benchmarks.rounds import Result
from benchmarks.servers import COLUMNS, POST, ROWS

PANELS = {ROWS: "rows in one request (4 columns, SVC)", COLUMNS: "columns (1,000 rows, logistic regression)"}


def draw(results: list[Result], file: Path) -> bool:
    """Plot the CPU of a request over its rows and columns; False, without a file, if no growth case was measured."""
    found = {name: [result for result in results if result.case == name] for name in PANELS}
    found = {name: part for name, part in found.items() if part}
    if not found:
        return False
    import matplotlib.pyplot as plt  # only the `bench` extra has it

    figure, axes = plt.subplots(1, len(found), figsize=(6 * len(found), 4.5), squeeze=False, layout="constrained")
    for axis, (name, part) in zip(axes[0], found.items(), strict=True):
        for server in dict.fromkeys(result.server for result in part):
            grown = sizes(result for result in part if result.server == server)
            costs = [medians(part, server, load, "cpu", POST)[0] for load in grown]
            axis.loglog(list(grown.values()), costs, marker="o", label=server)
        axis.set(xlabel=PANELS[name], ylabel="CPU in ms a request, one caller")
        axis.grid(visible=True, alpha=0.3)
        axis.legend(fontsize="small")
    figure.savefig(file, dpi=80, metadata={"Software": None})
    plt.close(figure)
    return True

"""The growth curves as a picture."""

from pathlib import Path

from benchmarks.report import medians, sizes
from benchmarks.rounds import Result

PANELS = {"growth-rows": "rows in one request (4 columns, SVC)", "growth-columns": "columns (100 rows, logistic regression)"}


def draw(results: list[Result], file: Path) -> bool:
    """Write the p50 at one caller over what grows; False, and no file, where nothing was grown."""
    found = {name: [result for result in results if result.case == name] for name in PANELS}
    found = {name: part for name, part in found.items() if part}
    if not found:
        return False
    import matplotlib.pyplot as plt  # only the `bench` extra has it

    figure, axes = plt.subplots(1, len(found), figsize=(6 * len(found), 4.5), squeeze=False, layout="constrained")
    for axis, (name, part) in zip(axes[0], found.items(), strict=True):
        grown = sizes(part)
        for server in dict.fromkeys(result.server for result in part):
            heights = [medians(part, server, load, "p50_ms")[0] for load, _ in grown]
            axis.loglog([size for _, size in grown], heights, marker="o", label=server)
        axis.set(xlabel=PANELS[name], ylabel="p50 in ms, one caller")
        axis.grid(visible=True, which="both", alpha=0.3)
        axis.legend()
    figure.savefig(file, dpi=110, metadata={"Software": None})
    return True

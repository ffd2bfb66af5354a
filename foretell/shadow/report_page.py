"""The comparison of a shadow with production as a page: one file, which loads nothing from anywhere."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from foretell.shadow.drift import Numbers, judged
from foretell.shadow.pairs import Pairs, percentiles
from foretell.shadow.shadow_report import shift_cells, summary
from foretell_contract.errors import SetupError

try:
    import jinja2
    import matplotlib as mpl
    from matplotlib.figure import Figure
except ModuleNotFoundError as missing:
    raise SetupError(f"a page needs {missing.name}: pip install 'foretell[report]'") from None

_TEMPLATE = "report_page.html"
_MOST_PLOTS = 12
"""Numbers that are drawn: those whose distributions differ most."""
_MOST_DOTS = 2_000
"""Rows in one plot."""
_BARS = 30
_COLOURS = ("#4063d8", "#d8702a")


def write_page(file: Path, name: str, pairs: Pairs) -> None:
    """Write the page. Raises SetupError where it cannot be written."""
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.FileSystemLoader(Path(__file__).parent), trim_blocks=True
    ).get_template(_TEMPLATE)
    shifts = pairs.shifts
    drawn = sorted(shifts, key=lambda number: -shifts[number].psi)[:_MOST_PLOTS]
    numbers = pairs.numbers
    text = template.render(
        name=name,
        pairs=pairs,
        summary=summary(pairs),
        shifts={number: shift_cells(shift, pairs.rows) for number, shift in shifts.items()},
        judged={number: judged(shift.psi, pairs.rows) for number, shift in shifts.items()},
        latency=[
            (who, percentiles(seconds, (50, 99))) for who, seconds in zip(("production", "shadow"), pairs.seconds, strict=True)
        ],
        labels={label: _square(counts) for label, counts in pairs.labels.items()},
        plots=[(number, _plot(number, *numbers[number])) for number in drawn],
        timing=_timing(pairs) if len(pairs.seconds[0]) else "",
        left_out=len(shifts) - len(drawn),
    )
    try:
        file.write_text(text)
    except OSError as error:
        raise SetupError(f"cannot write {file}: {error.strerror}") from None


def _square(counts: Any) -> tuple[list[str], dict[tuple[str, str], int]]:
    """The words that either said, and how often each pair was said."""
    return sorted({word for pair in counts for word in pair}), dict(counts)


def _plot(name: str, production: Numbers, shadow: Numbers) -> str:
    """How often either said what, and row by row what both said."""
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    often, beside = figure.subplots(1, 2)
    edges = np.histogram_bin_edges(np.concatenate([production, shadow]), _BARS)
    for numbers, colour, who in ((production, _COLOURS[0], "production"), (shadow, _COLOURS[1], "shadow")):
        often.hist(numbers, edges.tolist(), histtype="stepfilled", alpha=0.45, color=colour, label=who)
    often.set(xlabel=name, ylabel="rows")
    often.legend(frameon=False)
    dots = np.random.default_rng(0).permutation(len(production))[:_MOST_DOTS]
    beside.plot(production[dots], shadow[dots], ".", ms=4, alpha=0.4, color=_COLOURS[1])
    beside.axline((float(production[0]), float(production[0])), slope=1, color="#888888", lw=1)
    beside.set(xlabel="production", ylabel="shadow")
    return _svg(figure, name)


def _timing(pairs: Pairs) -> str:
    """The share of the calls that took no longer, over the time."""
    figure = Figure(figsize=(8.4, 2.8), layout="constrained")
    axes = figure.subplots()
    for seconds, colour, who in zip(pairs.seconds, _COLOURS, ("production", "shadow"), strict=True):
        axes.ecdf(seconds * 1000, color=colour, label=who)
    axes.set(xlabel="milliseconds", ylabel="share of the calls", xscale="log")
    axes.legend(frameon=False)
    return _svg(figure, "latency")


def _svg(figure: Figure, salt: str) -> str:
    """The figure to stand in a page. `salt` keeps its identifiers from those of other figures."""
    held = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(held, format="svg", metadata={"Date": None, "Creator": None})
    drawn = held.getvalue()
    return drawn[drawn.index("<svg") :]

"""A shadow report as one HTML file that loads nothing from elsewhere."""

import io
from pathlib import Path

import numpy as np

from foretell.shadow.drift import Numbers, psi_size, shift_cells
from foretell.shadow.pairs import AnswerPairs, percentiles, summary
from foretell_contract.errors import SetupError

try:
    import jinja2
    import matplotlib as mpl
    from matplotlib.figure import Figure
except ModuleNotFoundError as missing:
    raise SetupError(f"a page needs {missing.name}: pip install 'foretell[report]'") from None

_TEMPLATE = "report_page.html"
_MOST_PLOTS = 12
"""Numbers with a plot: those whose distributions differ most."""
_MOST_DOTS = 2_000
"""Rows in one plot."""
_BARS = 30
_COLOURS = ("#4063d8", "#d8702a")


def write_page(file: Path, name: str, pairs: AnswerPairs) -> None:
    """Writes the page. Raises SetupError if the file cannot be written."""
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
        sizes={number: psi_size(shift.psi, pairs.rows) for number, shift in shifts.items()},
        latency=[(role, percentiles(seconds)) for role, seconds in zip(("production", "shadow"), pairs.seconds, strict=True)],
        labels={label: (sorted({one for pair in counts for one in pair}), dict(counts)) for label, counts in pairs.labels.items()},
        plots=[(number, _plot(number, *numbers[number])) for number in drawn],
        timing=_timing(pairs) if len(pairs.seconds[0]) else "",
        left_out=len(shifts) - len(drawn),
    )
    try:
        file.write_text(text)
    except OSError as error:
        raise SetupError(f"cannot write {file}: {error.strerror}") from None


def _plot(name: str, production: Numbers, shadow: Numbers) -> str:
    """A histogram of both versions, and one version against the other, as SVG."""
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    histogram, scatter = figure.subplots(1, 2)
    edges = np.histogram_bin_edges(np.concatenate([production, shadow]), _BARS)
    for numbers, colour, role in ((production, _COLOURS[0], "production"), (shadow, _COLOURS[1], "shadow")):
        histogram.hist(numbers, edges.tolist(), histtype="stepfilled", alpha=0.45, color=colour, label=role)
    histogram.set(xlabel=name, ylabel="rows")
    histogram.legend(frameon=False)
    dots = np.random.default_rng(0).permutation(len(production))[:_MOST_DOTS]
    scatter.plot(production[dots], shadow[dots], ".", ms=4, alpha=0.4, color=_COLOURS[1])
    scatter.axline((float(production[0]), float(production[0])), slope=1, color="#888888", lw=1)
    scatter.set(xlabel="production", ylabel="shadow")
    return _svg(figure, name)


def _timing(pairs: AnswerPairs) -> str:
    figure = Figure(figsize=(8.4, 2.8), layout="constrained")
    axes = figure.subplots()
    for seconds, colour, role in zip(pairs.seconds, _COLOURS, ("production", "shadow"), strict=True):
        axes.ecdf(seconds * 1000, color=colour, label=role)
    axes.set(xlabel="milliseconds", ylabel="share of the calls", xscale="log")
    axes.legend(frameon=False)
    return _svg(figure, "latency")


def _svg(figure: Figure, salt: str) -> str:
    """The figure as an SVG element. `salt` keeps its ids distinct from those of other figures."""
    written = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    drawn = written.getvalue()
    return drawn[drawn.index("<svg") :]

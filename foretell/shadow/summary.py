"""Figures of a shadow report in words, for the text and the page."""

from foretell.shadow.drift import Shift, psi_size
from foretell.shadow.pairs import AnswerPairs, moment
from grpc_server.store.route_table import percent


def summary(pairs: AnswerPairs) -> list[str]:
    """The first lines of a report."""
    processes = f"{len(pairs.writers)} server process{'es' * (len(pairs.writers) != 1)}"
    times = " to ".join(moment(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S") for seconds in (pairs.first, pairs.last))
    failed = f" ({', '.join(f'{reason} {calls:,}' for reason, calls in pairs.failed.most_common())})" if pairs.failed else ""
    lines = [
        f"{pairs.rows:,} rows of {pairs.calls:,} calls, {times}, {processes}",
        f"{pairs.failed.total():,} calls failed{failed}, {pairs.skipped:,} were skipped, because there was no spare capacity",
    ]
    if pairs.labels and pairs.rows:
        lines.append(f"{percent(pairs.agreeing / pairs.rows)} of the rows have the same label")
    return lines


def shift_cells(shift: Shift, rows: int) -> list[str]:
    """The figures of a number, rounded: largest, mean, bias, RMSE and PSI."""
    figures = [f"{value:.3g}" for value in (shift.largest, shift.mean, shift.bias, shift.rmse)]
    return [*figures, f"{shift.psi:.3f} ({psi_size(shift.psi, rows)})"]

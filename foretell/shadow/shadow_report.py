"""`foretell shadow-report`: how the answers of a shadow compare with those of production, by what servers have kept."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from foretell.shadow.drift import Shift, judged
from foretell.shadow.pairs import Pairs, Row, gather, moment, percentiles
from foretell.versions.model_table import show
from grpc_server.errors import ModelError
from grpc_server.settings import ServerSettings
from grpc_server.shadow.shadow_log import shadow_log_folder
from grpc_server.store.repository import Repository
from grpc_server.store.route_table import percent
from grpc_server.store.route_table_files import RouteTableFiles

_MOST_LINES = 10
"""Lines of a table that are printed; JSON and the page have more."""


def report(
    settings: ServerSettings, name: str, version: str | None, against: str | None, *, as_json: bool, page: Path | None
) -> None:
    """Print the comparison of the shadow on record, or of `version`, with the production that answered last, or with `against`.

    With `page`, write it there as HTML as well. Raises SetupError where nothing is kept, or the page cannot be written.
    """
    pairs, others = _chosen(settings, name, version, against)
    if page is not None:
        from foretell.shadow.report_page import write_page  # what draws is an extra

        write_page(page, name, pairs)
    if as_json:
        typer.echo(json.dumps(facts(name, pairs), indent=2))
    else:
        _print(name, pairs)
        for other in others:
            typer.echo(f"kept as well: shadow {other.shadow} beside production {other.production}, {other.rows:,} rows")
    if page is not None:
        typer.echo(f"wrote {page}", err=True)


def _chosen(settings: ServerSettings, name: str, version: str | None, against: str | None) -> tuple[Pairs, list[Pairs]]:
    """The pairs to tell of, and the others that are kept. Raises ModelError where there are none."""
    repository = Repository(settings.models)
    repository.latest(name)
    recorded = RouteTableFiles(repository).read(name).shadow
    everything = gather(shadow_log_folder(settings, name), None)
    found = [pairs for pairs in everything if pairs.calls or pairs.failed]
    wanted = version or (recorded if any(pairs.shadow == recorded for pairs in found) or not found else found[-1].shadow)
    fitting = [pairs for pairs in found if pairs.shadow == wanted and against in (None, pairs.production)]
    if fitting:
        return fitting[-1], [pairs for pairs in found if pairs is not fitting[-1]]
    raise ModelError(_nothing(name, wanted, recorded, against, found, settings))


def _nothing(
    name: str, wanted: str | None, recorded: str | None, against: str | None, found: list[Pairs], settings: ServerSettings
) -> str:
    if found:
        kept = ", ".join(f"{pairs.shadow} beside production {pairs.production}" for pairs in found)
        beside = f" beside production {against}" if against else ""
        return f"nothing is kept of a shadow {wanted} of {name}{beside}; there is {kept}"
    if recorded is None:
        return f"{name} has no shadow, and nothing is kept of an earlier one: start one with `foretell shadow {name} VERSION`"
    if not settings.shadow_mb:
        return f"shadow_mb is 0, so nothing is kept of what the shadow of {name} answers"
    return (
        f"version {recorded} of {name} is a shadow, but nothing is kept of it yet in {shadow_log_folder(settings, name)}: "
        "it is asked once production has answered a call, and written a second later"
    )


def facts(name: str, pairs: Pairs) -> dict[str, Any]:
    """All of it, as JSON can hold it."""
    both = (pairs.production, pairs.shadow)
    timed = {
        who: dict(zip(("p50_ms", "p99_ms"), percentiles(seconds, (50, 99)), strict=False))
        for who, seconds in zip(("production", "shadow"), pairs.seconds, strict=True)
    }
    return {
        "name": name,
        "production": both[0],
        "shadow": both[1],
        "from": moment(pairs.first).isoformat(),
        "to": moment(pairs.last).isoformat(),
        "processes": len(pairs.writers),
        "calls": pairs.calls,
        "rows": pairs.rows,
        "skipped_calls": pairs.skipped,
        "failed_calls": dict(pairs.failed),
        "agreement": pairs.agreeing / pairs.rows if pairs.labels else None,
        "labels": {
            label: [{"production": one, "shadow": other, "rows": rows} for (one, other), rows in counts.most_common()]
            for label, counts in pairs.labels.items()
        },
        "numbers": {number: asdict(shift) for number, shift in pairs.shifts.items()},
        "latency": timed,
        "furthest": [asdict(row) | {"when": row.when.isoformat()} for row in pairs.furthest],
    }


def _print(name: str, pairs: Pairs) -> None:
    typer.echo(f"{name}: shadow {pairs.shadow} beside production {pairs.production}")
    for line in summary(pairs):
        typer.echo(f"  {line}")
    for table in filter(None, (_shifts(pairs), _labels(pairs), _latency(pairs), _furthest(pairs.furthest))):
        typer.echo()
        show(table)


def summary(pairs: Pairs) -> list[str]:
    """The first lines, for people."""
    processes = f"{len(pairs.writers)} server process{'es' * (len(pairs.writers) != 1)}"
    times = " to ".join(moment(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S") for seconds in (pairs.first, pairs.last))
    failed = f" ({', '.join(f'{reason} {calls:,}' for reason, calls in pairs.failed.most_common())})" if pairs.failed else ""
    lines = [
        f"{pairs.rows:,} rows of {pairs.calls:,} calls, {times}, {processes}",
        f"{pairs.failed.total():,} calls failed{failed}, {pairs.skipped:,} were skipped for want of spare capacity",
    ]
    if pairs.labels and pairs.rows:
        lines.append(f"{percent(pairs.agreeing / pairs.rows)} of the rows have the same label")
    return lines


def _table(*titles: str, right: int = 0) -> Table:
    """The last `right` columns hold numbers."""
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place >= len(titles) - right else "left")
    return table


def _shifts(pairs: Pairs) -> Table | None:
    table = _table("number", "largest shift", "mean", "bias", "RMSE", "PSI", right=5)
    for number, shift in pairs.shifts.items():
        table.add_row(number, *shift_cells(shift, pairs.rows))
    return table if table.rows else None


def shift_cells(shift: Shift, rows: int) -> list[str]:
    """The figures of a number, for people."""
    apart = [f"{value:.3g}" for value in (shift.largest, shift.mean, shift.bias, shift.rmse)]
    return [*apart, f"{shift.psi:.3f} ({judged(shift.psi, rows)})"]


def _labels(pairs: Pairs) -> Table | None:
    table = _table("label", "production", "shadow", "rows", right=1)
    for label, counts in pairs.labels.items():
        for (one, other), rows in [each for each in counts.most_common() if each[0][0] != each[0][1]][:_MOST_LINES]:
            table.add_row(label, one, other, f"{rows:,}")
    return table if table.rows else None


def _latency(pairs: Pairs) -> Table | None:
    table = _table("latency", "version", "p50", "p99", right=2)
    for who, version, seconds in zip(("production", "shadow"), (pairs.production, pairs.shadow), pairs.seconds, strict=True):
        if len(seconds):
            table.add_row(who, version, *(f"{ms:.3g} ms" for ms in percentiles(seconds, (50, 99))))
    return table if table.rows else None


def _furthest(rows: list[Row]) -> Table | None:
    table = _table("furthest apart", "production", "shadow", "features")
    for row in rows[:_MOST_LINES]:
        features = _listed(row.features) if row.features is not None else "not kept"
        table.add_row(row.request_id, _listed(row.production), _listed(row.shadow), features)
    return table if rows else None


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())

"""`foretell shadow-report`: prints how the answers of a shadow differ from production's, from the log of the servers."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from foretell.shadow.drift import shift_cells
from foretell.shadow.pairs import AnswerPairs, ComparedRow, gather, moment, percentiles, summary
from foretell.versions.model_table import show
from grpc_server.errors import ModelError
from grpc_server.settings import ServerSettings
from grpc_server.shadow.shadow_log import shadow_log_folder
from grpc_server.store.repository import Repository
from grpc_server.store.route_table_files import RouteTableFiles

_MOST_LINES = 10
"""Lines of a printed table; JSON and the page have more."""


def report(
    settings: ServerSettings, name: str, version: str | None, against: str | None, *, as_json: bool, page: Path | None
) -> None:
    """Prints how the present shadow, or `version`, differs from the last production version, or `against`.

    Writes the report to `page` as HTML too. Raises SetupError if nothing is recorded, or the page cannot be written.
    """
    pairs, others = _chosen(settings, name, version, against)
    if page is not None:
        from foretell.shadow.report_page import write_page  # needs an extra

        write_page(page, name, pairs)
    if as_json:
        typer.echo(json.dumps(facts(name, pairs), indent=2))
    else:
        _print(name, pairs)
        for other in others:
            typer.echo(f"also recorded: shadow {other.shadow} beside production {other.production}, {other.rows:,} rows")
    if page is not None:
        typer.echo(f"wrote {page}", err=True)


def _chosen(settings: ServerSettings, name: str, version: str | None, against: str | None) -> tuple[AnswerPairs, list[AnswerPairs]]:
    """The pairs to report, and the other recorded ones. Raises ModelError without pairs."""
    repository = Repository(settings.models)
    repository.latest(name)
    present = RouteTableFiles(repository).read(name).shadow
    everything = gather(shadow_log_folder(settings, name))
    found = [pairs for pairs in everything if pairs.calls or pairs.failed]
    wanted = version or (present if any(pairs.shadow == present for pairs in found) or not found else found[-1].shadow)
    fitting = [pairs for pairs in found if pairs.shadow == wanted and against in (None, pairs.production)]
    if fitting:
        return fitting[-1], [pairs for pairs in found if pairs is not fitting[-1]]
    raise ModelError(_no_pairs(name, wanted, present, against, found, settings))


def _no_pairs(
    name: str, wanted: str | None, present: str | None, against: str | None, found: list[AnswerPairs], settings: ServerSettings
) -> str:
    if found:
        available = ", ".join(f"{pairs.shadow} beside production {pairs.production}" for pairs in found)
        beside = f" beside production {against}" if against else ""
        return f"no comparison of shadow {wanted} of {name}{beside} is recorded, only {available}"
    if present is None:
        return f"{name} has no shadow, and none is recorded: start one with `foretell shadow {name} VERSION`"
    if not settings.shadow_mb:
        return f"shadow_mb is 0, so the answers of the shadow of {name} are not recorded: raise it"
    return (
        f"version {present} of {name} is the shadow, but no comparison is recorded yet in {shadow_log_folder(settings, name)}: "
        "one is written about a second after production has answered a call"
    )


def facts(name: str, pairs: AnswerPairs) -> dict[str, Any]:
    """The report as JSON values."""
    timed = {
        role: dict(zip(("p50_ms", "p99_ms"), percentiles(seconds), strict=False))
        for role, seconds in zip(("production", "shadow"), pairs.seconds, strict=True)
    }
    return {
        "name": name,
        "production": pairs.production,
        "shadow": pairs.shadow,
        "from": moment(pairs.first).isoformat(),
        "to": moment(pairs.last).isoformat(),
        "processes": len(pairs.writers),
        "calls": pairs.calls,
        "rows": pairs.rows,
        "skipped_calls": pairs.skipped,
        "failed_calls": dict(pairs.failed),
        "agreement": pairs.agreeing / pairs.labelled if pairs.labelled else None,
        "labels": {
            label: [{"production": one, "shadow": other, "rows": rows} for (one, other), rows in counts.most_common()]
            for label, counts in pairs.labels.items()
        },
        "numbers": {number: asdict(shift) for number, shift in pairs.shifts.items()},
        "latency": timed,
        "furthest": [asdict(row) | {"when": row.when.isoformat()} for row in pairs.furthest],
    }


def _print(name: str, pairs: AnswerPairs) -> None:
    typer.echo(f"{name}: shadow {pairs.shadow} beside production {pairs.production}")
    for line in summary(pairs):
        typer.echo(f"  {line}")
    for table in filter(None, (_shifts(pairs), _labels(pairs), _latency(pairs), _furthest(pairs.furthest))):
        typer.echo()
        show(table)


def _table(*titles: str, right: int = 0) -> Table:
    """The last `right` columns are aligned to the right."""
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place >= len(titles) - right else "left")
    return table


def _shifts(pairs: AnswerPairs) -> Table | None:
    table = _table("number", "largest shift", "mean", "bias", "RMSE", "PSI", right=5)
    for number, shift in pairs.shifts.items():
        table.add_row(number, *shift_cells(shift, pairs.rows))
    return table if table.rows else None


def _labels(pairs: AnswerPairs) -> Table | None:
    table = _table("label", "production", "shadow", "rows", right=1)
    for label, counts in pairs.labels.items():
        for (one, other), rows in [each for each in counts.most_common() if each[0][0] != each[0][1]][:_MOST_LINES]:
            table.add_row(label, one, other, f"{rows:,}")
    return table if table.rows else None


def _latency(pairs: AnswerPairs) -> Table | None:
    table = _table("latency", "version", "p50", "p99", right=2)
    for role, version, seconds in zip(("production", "shadow"), (pairs.production, pairs.shadow), pairs.seconds, strict=True):
        if len(seconds):
            table.add_row(role, version, *(f"{ms:.3g} ms" for ms in percentiles(seconds)))
    return table if table.rows else None


def _furthest(rows: list[ComparedRow]) -> Table | None:
    table = _table("furthest apart", "production", "shadow", "features")
    for row in rows[:_MOST_LINES]:
        features = _listed(row.features) if row.features is not None else "not recorded"
        table.add_row(row.request_id, _listed(row.production), _listed(row.shadow), features)
    return table if rows else None


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())

"""The states of the requested clips, for every label: wanted = fetched + all others."""

import duckdb

from phonolake.transfer import states

# Columns of a table of classes before the states that occur.
COUNTS = ("available", "wanted")


def by_label(connection: duckdb.DuckDBPyConnection) -> tuple[list[str], list[tuple[str | int | None, ...]]]:
    """Clips of each label by state.

    Returns
    -------
    columns : list of str
        ``label``, ``available`` (what the dataset names, before any were drawn), ``wanted``, and the states that occur,
        ``fetched`` first; the states of a row add up to ``wanted``.
    rows : list of tuple
        One for each label, and last the one for all clips, where a clip with several labels counts once.
    """
    found = connection.execute(
        "SELECT label, state, count(*) FROM (SELECT unnest(labels) AS label, state FROM availability_now) "
        "GROUP BY label, state"
    ).fetchall()
    total = dict(connection.execute("SELECT state, count(*) FROM availability_now GROUP BY state").fetchall())
    available = dict(
        connection.execute("SELECT label, sum(available)::BIGINT FROM wanted_labels GROUP BY label").fetchall()
    )
    order = [state for state in (states.FETCHED, *states.STATES) if total.get(state)]
    shown = list(dict.fromkeys(order))
    counts: dict[str, dict[str, int]] = {}
    for label, state, n in found:
        counts.setdefault(label, {})[state] = n
    rows: list[tuple[str | int | None, ...]] = [
        (label, available.get(label), sum(of.values()), *(of.get(state, 0) for state in shown))
        for label, of in sorted(counts.items())
    ]
    if total:
        rows.append(("(all clips)", None, sum(total.values()), *(total[state] for state in shown)))
    return ["label", "available", "wanted", *(("not tried" if s == states.WANTED else s) for s in shown)], rows


def by_state(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, bool, int, str | None]]:
    """Every state that occurs: its meaning, whether a retry may change it, its number of clips, and one message."""
    rows = connection.execute(
        "SELECT state, count(*), arg_min(detail, track_id) FROM availability_now GROUP BY state"
    ).fetchall()
    found = {state: (n, detail) for state, n, detail in rows}
    return [
        (state, meaning, state in states.HEALS or state == states.WANTED, *found[state])
        for state, meaning in states.STATES.items()
        if state in found
    ]

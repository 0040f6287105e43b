"""The process that serves the dashboard: ``python dashboard/server.py run dashboard/app.py``.

It is Streamlit's own command line. What every page needs is loaded before it listens, so that nobody waits for a page;
what takes seconds more, and few pages need, is loaded while the first page is looked at.
"""

from threading import Thread


def load_first() -> None:
    """Import what all pages need."""
    import pandas  # noqa: F401
    import plotly.graph_objects  # noqa: F401

    from phonolake.analysis import neighbours, overview, runs  # noqa: F401


if __name__ == "__main__":
    from streamlit.web.cli import main

    from phonolake.analysis import preload

    load_first()
    Thread(target=preload.load, daemon=True).start()
    main(prog_name="streamlit")

"""The process that serves the dashboard: ``python dashboard/server.py run dashboard/app.py``.

It is Streamlit's own command line. Meanwhile what takes seconds to load is loaded: until somebody has found the first
page, it is there.
"""

from threading import Thread


def load() -> None:
    """Import what pages need, that which all of them need first."""
    import pandas  # noqa: F401
    import plotly.graph_objects  # noqa: F401

    from phonolake.analysis import neighbours, overview, preload, runs  # noqa: F401

    preload.load()


if __name__ == "__main__":
    from streamlit.web.cli import main

    Thread(target=load, daemon=True).start()
    main(prog_name="streamlit")

"""The process that serves the dashboard: ``python dashboard/server.py run dashboard/app.py``.

It is Streamlit's own command line. What pages need is loaded before it listens: the server is there two seconds later,
and no page is waited for while modules are imported.
"""


def load() -> None:
    """Import what pages need."""
    import matplotlib.image  # noqa: F401
    import pandas  # noqa: F401

    from phonolake.analysis import preload
    from phonolake.analysis.collection import neighbours, overview  # noqa: F401
    from phonolake.analysis.results import runs  # noqa: F401

    preload.load()


if __name__ == "__main__":
    from streamlit.web.cli import main

    load()
    main(prog_name="streamlit")

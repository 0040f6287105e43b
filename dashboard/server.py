"""The process that serves the dashboard: ``python dashboard/server.py run dashboard/app.py``.

It is Streamlit's own command line. What pages need is loaded before it listens: the server is there two seconds later,
and no page is waited for while modules are imported.
"""

import atexit
import gc
import os
import sys


def load() -> None:
    """Import what pages need, and keep it out of the way of the collector of garbage.

    Streamlit collects after each run of a page: among all that modules hold, that would take a quarter of a second.
    """
    import matplotlib.image  # noqa: F401
    import pandas  # noqa: F401

    from phonolake.analysis import preload
    from phonolake.analysis.collection import neighbours, overview  # noqa: F401
    from phonolake.analysis.results import runs  # noqa: F401

    preload.load()
    gc.collect()
    gc.freeze()


def leave(codes: list[int]) -> None:
    """End the process at once, with the last of `codes`.

    Threads of pages still hold connections when the interpreter is taken apart: that takes seconds, and DuckDB's
    binding would print a list of them.
    """
    sys.stderr.flush()
    os._exit(codes[-1])


if __name__ == "__main__":
    codes = [1]
    # What is registered first is called last: after the farewells of all libraries.
    atexit.register(leave, codes)
    from streamlit.web.cli import main

    # Its address is news and no answer, as what other commands tell on the way: nobody has to read it from a pipe.
    sys.stdout = sys.stderr
    load()
    try:
        main(prog_name="streamlit")
        codes.append(0)
    except SystemExit as end:
        codes.append(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise

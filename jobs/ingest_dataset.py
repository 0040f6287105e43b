r"""Ingest a dataset into a lake on the cluster.

    ray job submit --working-dir . --runtime-env deploy/runtime_env.yaml -- \
        python jobs/ingest_dataset.py SOURCE DIR --lake L
"""

import sys

from phonolake.cli.main import console

if __name__ == "__main__":
    sys.exit(console(["ingest", *sys.argv[1:]]))

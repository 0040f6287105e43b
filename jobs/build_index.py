r"""Build the FAISS indexes on the cluster.

    ray job submit --working-dir . --runtime-env deploy/runtime_env.yaml -- \
        python jobs/build_index.py --lake L
"""

import sys

from phonolake.cli.main import console

if __name__ == "__main__":
    sys.exit(console(["index", *sys.argv[1:]]))

r"""Do everything for a folder of music on the cluster.

    ray job submit --working-dir . --runtime-env deploy/runtime_env.yaml -- \
        python jobs/run_pipeline.py DIR --lake L
"""

import sys

from phonolake.cli.main import console

if __name__ == "__main__":
    sys.exit(console(["run", *sys.argv[1:]]))

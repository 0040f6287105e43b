r"""Give every track predictions and an embedding on the cluster.

    ray job submit --working-dir . --runtime-env deploy/runtime_env.yaml -- \
        python jobs/score_tracks.py --lake L
"""

import sys

from phonolake.cli.main import console

if __name__ == "__main__":
    sys.exit(console(["score", *sys.argv[1:]]))

r"""Give every track predictions and an embedding on the cluster.

    ray job submit --working-dir . --runtime-env deploy/runtime_env.yaml -- \
        python jobs/score_tracks.py --lake L
"""

import sys

from phonolake.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["score", *sys.argv[1:]]))

r"""Train a model on the cluster.

    ray job submit --working-dir . --runtime-env deploy/runtime_env.yaml -- \
        python jobs/train_model.py MODEL --lake L
"""

import sys

from phonolake.cli.main import console

if __name__ == "__main__":
    sys.exit(console(["train", *sys.argv[1:]]))

r"""Cross-validate models on the cluster, folds side by side.

    ray job submit --working-dir . --runtime-env deploy/runtime_env.yaml -- \
        python jobs/crossvalidate_model.py MODEL... --lake L
"""

import sys

from phonolake.cli.main import console

if __name__ == "__main__":
    sys.exit(console(["crossval", *sys.argv[1:]]))

r"""Compute feature sets and spectrograms on the cluster.

    ray job submit --working-dir . --runtime-env deploy/runtime_env.yaml -- \
        python jobs/extract_features.py --features mfcc-120 --spectrogram mel-96-12k --lake L
"""

import sys

from phonolake.cli.main import console

if __name__ == "__main__":
    sys.exit(console(["extract", *sys.argv[1:]]))

r"""Compute feature sets and spectrograms on the cluster.

    ray job submit --working-dir . --runtime-env deploy/runtime_env.yaml -- \
        python jobs/extract_features.py --features mfcc-120 --spectrogram mel-96-12k --lake L
"""

import sys

from phonolake.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["extract", *sys.argv[1:]]))

"""Arrays to arrays, no I/O: hand-crafted feature sets and spectrogram configurations.

A module in this folder brings a feature set when it defines ``FEATURES`` (a `contract.FeatureSet`, or a tuple of a
family of them), and a spectrogram configuration when it defines ``SPECTROGRAM`` (a `contract.Spectrogram`, likewise).
Listing the parts needs numpy only. The loops of `kernels` are compiled by numba; `fma-518` needs librosa, and
`device` needs torch.

Shape suffixes: N samples, T frames, F frequency bins, M mel bands, K values, C channels, B batch.
"""

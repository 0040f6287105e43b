"""Arrays to arrays, no I/O: hand-crafted feature sets and spectrogram configurations, each in a module of its own.

A module in this folder is a feature set when it defines ``FEATURES`` (a `contract.FeatureSet`), and a spectrogram
configuration when it defines ``SPECTROGRAM`` (a `contract.Spectrogram`). Only numpy is needed.
"""

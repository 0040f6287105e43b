"""Import in advance the modules that analyses import late because they take a second or more."""


def load() -> None:
    """Import torch, for the weights of networks, scikit-learn, for maps, and scipy, for rates of noise."""
    import sklearn.decomposition  # noqa: F401

    import phonolake.models.registry  # noqa: F401

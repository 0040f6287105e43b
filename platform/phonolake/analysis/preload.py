"""Load, before anyone waits for it, what analyses import late because it takes a second or more."""


def load() -> None:
    """Import torch, for the weights of networks, and cleanlab with scikit-learn, for rates of noise and for maps."""
    import cleanlab.count  # noqa: F401

    import phonolake.models.registry  # noqa: F401

"""Models: one module per architecture behind one contract, a registry by name, and storage without pickles."""

"""One module per dataset behind one contract (`sources.contract`); found by listing this folder."""

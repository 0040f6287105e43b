"""Weights that others trained, read from the formats that they published them in; nothing in them is ever executed."""

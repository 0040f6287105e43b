"""Encoded bytes to samples."""

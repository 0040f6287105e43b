"""Nearest neighbours by cosine similarity: FAISS where there is an index, exactly where there is none."""

"""Small corpora of synthetic music in the official layout of each dataset; found by listing the folder."""

"""Small corpora of made music in the official layout of each dataset; found by listing the folder."""

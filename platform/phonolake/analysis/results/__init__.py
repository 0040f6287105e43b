"""What models reached, on which clips, and what it would be with others."""

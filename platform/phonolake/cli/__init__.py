"""A thin face: parses, calls a stage or a question, prints."""

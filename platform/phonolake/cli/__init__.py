"""The command line: parses options, calls a stage or an analysis, prints the result."""

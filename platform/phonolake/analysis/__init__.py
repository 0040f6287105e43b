"""Read-only questions over the lake: what sounds alike, which labels go together, which labels are doubtful."""

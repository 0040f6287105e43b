"""Which labels go together, which are wrong, and what people said who listened again."""

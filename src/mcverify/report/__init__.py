"""What is shown and written of a result: the table on the terminal, documents in several formats."""

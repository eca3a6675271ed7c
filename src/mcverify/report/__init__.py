"""What is shown: the table on the terminal, the JSON document."""

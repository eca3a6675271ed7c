"""From the file that the user named to an image: code, symbols, lines, exception table."""

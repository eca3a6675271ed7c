"""One test, or more, for each attack that SECURITY.md speaks of."""

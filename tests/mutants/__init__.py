"""Mutants of the right routines under asm/: every small change of a fixup or of the exception table.

Each is run on the CPU; what no run kills is proved or refuted, and what is proved needs a reason and has
to stand the full grid. `make mutants` does all of it, the tests a part.
"""

"""mcverify: prove exception-table fixups of kernel copy routines right."""

__version__ = "0.1.0"

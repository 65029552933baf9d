"""A small network that tells which part of a face is covered: `make covered` (README.md)."""

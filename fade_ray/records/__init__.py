"""What is written and read back: atomic files, the append-only journal, dataclasses as JSON."""

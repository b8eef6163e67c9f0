"""Several searches under one budget in one run: comparisons, without Ray."""

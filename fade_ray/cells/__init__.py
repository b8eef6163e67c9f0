"""Searches of cells, from configuration to report."""

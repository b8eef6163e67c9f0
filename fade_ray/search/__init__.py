"""The outer search, from configuration to report."""

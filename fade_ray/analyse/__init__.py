"""Measurements of a search, each with its records, figures and a summary."""

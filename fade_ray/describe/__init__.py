"""A genotype or an architecture, drawn and counted."""

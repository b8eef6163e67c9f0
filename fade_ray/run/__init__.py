"""A run from configuration to report: session, engines (Ray is imported here alone), run directory,
progress.
"""

"""Several searches, or several trainings of one hyper-architecture, in one run: comparisons and
rank studies without Ray.
"""

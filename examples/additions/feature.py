"""A graph feature: a function of the graph, whether it is a whole number, and words for figures.

fade-ray search --use feature.py --features vertices sources --data digits --out runs/feature
"""

from spaces import FEATURES, Feature

FEATURES["sources"] = Feature(lambda dag: len(dag.sources), True, "vertices without an edge in")

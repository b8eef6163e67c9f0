"""What can be built: graphs, their features, hyper-architectures."""

from spaces.dag import INPUT, OUTPUT, Dag, catalogue, complete_dag, enumerate_dags
from spaces.errors import InvalidInput
from spaces.features import DEFAULT_FEATURES, FEATURES, Feature, FeatureMap
from spaces.graph_space import GraphSpace
from spaces.hyper import HyperArchitecture

__all__ = [
    "DEFAULT_FEATURES",
    "FEATURES",
    "INPUT",
    "OUTPUT",
    "Dag",
    "Feature",
    "FeatureMap",
    "GraphSpace",
    "HyperArchitecture",
    "InvalidInput",
    "catalogue",
    "complete_dag",
    "enumerate_dags",
]

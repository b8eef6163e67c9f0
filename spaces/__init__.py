"""What can be built: graphs, features, hyper-architectures; cells and genotypes."""

import spaces.nasbench201_table  # noqa: F401, it gives its stacking the true accuracies
from spaces.candidates import Candidate
from spaces.cell import NONE, SKIP, CellSpace, Gene, Macro
from spaces.dag import INPUT, OUTPUT, Dag, catalogue, complete_dag, enumerate_dags
from spaces.darts import (
    DARTS_OPS,
    SPACES,
    PublishedSpace,
    cells_of,
    darts_cell,
    fixed_edges,
    published,
)
from spaces.errors import InvalidInput
from spaces.feature_space import FeatureSpace, GraphSpace
from spaces.features import DEFAULT_FEATURES, FEATURES, Feature, FeatureMap
from spaces.genotype import GENOTYPES, load_cells, read_genotype
from spaces.groups import Groups, check_groups, cluster, load_groups, representatives
from spaces.hyper import HyperArchitecture
from spaces.notation import write_genotype
from spaces.stackings import RESIDUAL, STACKINGS, Position, Stacking

__all__ = [
    "DARTS_OPS",
    "DEFAULT_FEATURES",
    "FEATURES",
    "GENOTYPES",
    "INPUT",
    "NONE",
    "OUTPUT",
    "RESIDUAL",
    "SKIP",
    "SPACES",
    "STACKINGS",
    "Candidate",
    "CellSpace",
    "Dag",
    "Feature",
    "FeatureMap",
    "FeatureSpace",
    "Gene",
    "GraphSpace",
    "Groups",
    "HyperArchitecture",
    "InvalidInput",
    "Macro",
    "Position",
    "PublishedSpace",
    "Stacking",
    "catalogue",
    "cells_of",
    "check_groups",
    "cluster",
    "complete_dag",
    "darts_cell",
    "enumerate_dags",
    "fixed_edges",
    "load_cells",
    "load_groups",
    "published",
    "read_genotype",
    "representatives",
    "write_genotype",
]

"""A genotype with a name, and a named training of genotypes.

fade-ray retrain PLAIN --use retraining.py --recipe short --data digits --out runs/plain
"""

from dataclasses import replace

from fade_ray.retraining.retrain_recipes import RETRAIN_RECIPES
from spaces import GENOTYPES, read_genotype

pairs = "('skip_connect', 0), ('sep_conv_3x3', 1)"
cell = f"[{', '.join([pairs] * 4)}], range(2, 6)"
GENOTYPES["PLAIN"] = read_genotype(f"Genotype({cell}, {cell})", depth=8)
RETRAIN_RECIPES["short"] = replace(RETRAIN_RECIPES["quick"], epochs=5)

"""A network that was found, in a program that knows nothing of fade_ray.

fade-ray search --data digits --out runs/first
python use_exported.py runs/first/architectures
"""

import sys

import torch
from sklearn.datasets import load_digits

# --8<-- [start:use]
sys.path.insert(0, sys.argv[1])  # the folder with architecture.py and architecture.safetensors
import architecture

images = torch.tensor(load_digits().images[:5] * 15.9, dtype=torch.uint8)[:, None]  # [5, 1, 8, 8]
scores = architecture.load()(architecture.preprocess(images))  # [5, classes]
print([architecture.CLASSES[k] for k in scores.argmax(1)])
# --8<-- [end:use]

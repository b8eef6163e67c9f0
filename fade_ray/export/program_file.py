"""A trained architecture as a program of `torch.export`, which runs without its source."""

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from fade_ray.export.export_module import write_whole
from fade_ray.export.main_scores import main_scores
from fade_ray.nn import Network
from spaces.errors import upheld


def export_program(
    network: Network,
    path: Path,
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
) -> Path:
    """Write a network without choices to `path`, in evaluation mode, for `torch.export.load`.

    Its one input holds normalised images, float32 [batch, channels, side, side], its output is
    scores [batch, classes], for any batch size. Beside it lie `classes`, `mean` and `std`, as JSON
    in the extra file "images.json". `network` stays as it is. Returns `path`. InvalidInput for a
    network with a choice left, what does not fit it, modules that torch.export does not allow, a
    place that cannot be written.
    """
    model, about = main_scores(network, classes, mean, std)
    images = torch.zeros(2, *network.input_shape)
    batch = ({0: torch.export.Dim("batch")},)
    rule = "torch.export must be able to follow the modules of a network"
    remedy = "The .py and the .safetensors are exported: use these, or mend the module."
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "network.pt2"
        with upheld(rule, remedy, Exception):
            program = torch.export.export(model, (images,), dynamic_shapes=batch)
            torch.export.save(program, file, extra_files={"images.json": json.dumps(about)})
        return write_whole(path, file.read_bytes())

"""One worker of a data parallel retraining in double precision, started by test_retrain_workers.py:
RANK SIZE FOLDER JOB.
"""

import json
import sys
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from fade_ray.data import Batches
from fade_ray.records.json_form import from_json
from fade_ray.retrain.parallel import data_parallel, process_workers
from fade_ray.retraining import RetrainConfig, Retraining
from fade_ray.retraining.retraining import open_examples, retrain
from fade_ray.training import place
from spaces.cell import Macro

BROKEN_OFF = 3  # events: the memory of a step, two epochs


def doubled(self: Batches, images: Tensor) -> Tensor:
    """In place of `Batches._normalised`."""
    return images.double().mul_(self._scale.double()).add_(self._shift.double())


PARTS = (Macro, RetrainConfig)


def main(rank: int, size: int, folder: Path, job: Retraining) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    Batches._normalised = doubled  # type: ignore[method-assign]
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size
    )
    workers, placement, images = process_workers(), place("cpu"), open_examples(job.config)
    wrap = data_parallel(workers, placement.device)
    for events in (BROKEN_OFF, None):  # broken off, and continued
        told = list(
            islice(retrain(job, images, folder, placement, workers=workers, wrap=wrap), events)
        )
        torch.distributed.barrier()
    assert "outcome" in told[-1]
    if rank == 0:
        (folder / "events.json").write_text(json.dumps([event["metrics"] for event in told[1:-1]]))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(
        int(sys.argv[1]),
        int(sys.argv[2]),
        Path(sys.argv[3]),
        Retraining(
            *(
                from_json(cls, part)
                for cls, part in zip(PARTS, json.loads(sys.argv[4]), strict=True)
            )
        ),
    )

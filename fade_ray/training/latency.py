"""How long one image takes."""

import time
from collections.abc import Callable
from statistics import median

import torch

from fade_ray.nn import AnyNetwork

PASSES, WARM_UP = 21, 3
LATENCY = (
    f"a forward pass of one {{}} in evaluation mode, median of {PASSES} after {WARM_UP} to warm up"
)


def about_latency(where: str = "the device of the training", example: str = "image") -> str:
    """What a table of latencies says of them."""
    told = LATENCY.format(example)
    return f"Latency: {told}, on {where}, beside whatever else ran there; median over all."


def latency(network: AnyNetwork, device: torch.device) -> float:
    """Milliseconds of `LATENCY`, for a network that is on `device`."""
    image = network.example.to(device)
    network.eval()
    with torch.inference_mode():
        return timed(lambda: network(image), device)


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Milliseconds of a call on that device, median of several."""
    times = []
    for _ in range(WARM_UP + PASSES):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return 1000 * median(times[WARM_UP:])

"""BatchNorm as all networks here have it."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional as F

from spaces.errors import InvalidInput


class Norm(nn.BatchNorm2d):
    """BatchNorm whose output is multiplied by `scale` (a scalar) at no cost, and whose running
    statistics stand still while `updating` is False, also in training mode.

    The weight of an operation goes into its last BatchNorm. Estimating an architecture gradient
    must not change the network: it normalises by batch statistics and leaves the buffers alone.
    InvalidInput for a batch that has one value of each channel.
    """

    updating: bool = True

    def forward(self, input: Tensor, scale: Tensor | None = None) -> Tensor:
        tracking = self._tracking
        if tracking and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        running = tracking or not self.by_batch
        if self.by_batch and input.numel() == self.num_features:
            raise InvalidInput(
                "A batch must have two values of each channel to be normalised by, but one image "
                "alone came where a map has one pixel. Raise --batch-size (or use another where "
                "the last batch holds one image), or use larger images."
            )
        return F.batch_norm(
            input,
            self.running_mean if running else None,
            self.running_var if running else None,
            self.gain(scale),
            self.offset(scale),
            self.by_batch,
            self._share,
            self.eps,
        )

    @property
    def by_batch(self) -> bool:
        """Whether it normalises by the statistics of the batch."""
        return self.training or self.running_mean is None

    @property
    def _tracking(self) -> bool:
        return self.running_mean is not None and self.training and self.updating

    @property
    def _share(self) -> float:
        """That of this batch in the running statistics; momentum None: the mean of all batches."""
        if self.momentum is not None or self.num_batches_tracked is None:
            return self.momentum or 0.0
        return 1 / max(1, int(self.num_batches_tracked))

    def gain(self, scale: Tensor | None) -> Tensor | None:
        """scale * weight [channels]; None for 1."""
        if scale is None:
            return self.weight
        if self.affine:
            return scale * self.weight
        # torch's backward pass on CPUs reads it as if it were
        return scale.expand(self.num_features).contiguous()

    def offset(self, scale: Tensor | None) -> Tensor | None:
        """scale * bias [channels]; None for 0."""
        return scale * self.bias if scale is not None and self.affine else self.bias

    def track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Take batch statistics [channels] of `count` pixels in, where `forward` would."""
        if not self._tracking or self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean), self._share)
        unbiased = variance * (count / max(count - 1, 1))
        self.running_var.lerp_(unbiased.to(self.running_var), self._share)


def by_batch(network: nn.Module) -> None:
    """Put `network` into evaluation, but for what normalises: by the statistics of its batch."""
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()


@contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """Within, buffers stand still and weights ask for no gradient; then all is as before."""
    norms = [module for module in network.modules() if isinstance(module, Norm)]
    others = (module for module in network.modules() if not isinstance(module, Norm))
    kept = [(b, b.clone()) for module in others for b in module.buffers(recurse=False)]
    weights = [p for p in network.parameters() if p.requires_grad]
    for module in norms:
        module.updating = False
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)
        for module in norms:
            module.updating = True
        for weight in weights:
            weight.requires_grad_(True)

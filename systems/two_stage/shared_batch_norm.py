"""Batch normalisation over what all processes of a training hold, on processors and GPUs alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SharedBatchNorm1d(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` whose statistics are those of the whole batch, however many processes share it.

    torch's own SyncBatchNorm runs on GPUs alone. In one process, and in evaluation, this is `BatchNorm1d`
    itself; the names of its tensors are the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (batch, channels, frames); in training every process must take part."""
        if not (self.training and _processes() > 1):
            alone: Tensor = super().forward(x)
            return alone
        from torch.distributed.nn.functional import all_reduce

        wide = x.float()
        count = torch.full((1,), x.shape[0] * x.shape[2], dtype=wide.dtype, device=x.device)
        sums = torch.cat([wide.sum(dim=(0, 2)), wide.square().sum(dim=(0, 2)), count])
        total: Tensor = all_reduce(sums)  # type: ignore[no-untyped-call]
        mean, mean_square = (total[:-1] / total[-1]).chunk(2)
        variance = (mean_square - mean.square()).clamp_min(0)
        self._remember(mean.detach(), (variance * total[-1] / (total[-1] - 1)).detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (wide * scale[:, None] + (self.bias - mean * scale)[:, None]).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        momentum = 0.1 if self.momentum is None else self.momentum
        for running, now in ((self.running_mean, mean), (self.running_var, variance)):
            if running is not None:
                running.lerp_(now, momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def _processes() -> int:
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1

"""Where networks run: the device that the user names."""

from __future__ import annotations

import re

from clapstick.protocols.problems import fail


def check_device(device: str) -> None:
    """Raise `ClapstickError` where there is no such device here."""
    if device == "cpu":
        return
    if not re.fullmatch(r"cuda(:[0-9]+)?", device):
        raise fail(
            "no such device", "--device", found=device, expected="cpu, cuda or cuda:N", remedy="Change it."
        )
    import torch

    number = int(device.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        raise fail(
            "the device is not here",
            "--device",
            found=f"{torch.cuda.device_count()} CUDA devices",
            expected=device,
            remedy="Use --device cpu; `clapstick doctor` says more.",
        )

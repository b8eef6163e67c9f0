"""Checkpoints as bytes: what `torch.load(weights_only=True)` reads back."""

import io
from typing import Any

import torch


def state_bytes(state: Any) -> bytes:
    """`state`, made of tensors, numbers, text and containers of them, as the content of a file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()

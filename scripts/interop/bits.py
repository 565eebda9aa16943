"""The bits of tensors: whether they are the same, how far floating-point numbers lie apart."""

import torch

BITS = {torch.float64: torch.int64, torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}


def distance(left, right):
    """How many representable numbers lie between two tensors' elements, at most."""
    assert left.dtype == right.dtype and left.shape == right.shape, (left.dtype, right.dtype, left.shape, right.shape)
    least = torch.iinfo(BITS[left.dtype]).min
    a, b = (x.contiguous().view(BITS[x.dtype]).to(torch.int64) for x in (left, right))
    a, b = (torch.where(x < 0, least - x, x) for x in (a, b))
    return (a - b).abs().max().item() if left.numel() else 0


def raw(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def assert_same(expected, found):
    assert set(expected) == set(found), set(expected) ^ set(found)
    for key, tensor in expected.items():
        other = found[key]
        assert tensor.dtype == other.dtype and tensor.shape == other.shape, key
        assert raw(tensor) == raw(other), key

"""Compares object graphs as Python sees them: types, bits, order, sharing, cycles."""

import collections
import enum
import struct
import types

import numpy
import torch


class Difference(Exception):
    pass


def tensor_facts(tensor):
    facts = [tensor.layout, tensor.dtype, tensor.requires_grad, tensor.device.type, tensor.is_nested]
    facts += [None if tensor.is_nested else tuple(tensor.shape)]
    facts += [type(tensor).__name__, type(tensor).__module__]
    if tensor.layout == torch.strided and not tensor.is_nested:
        facts += [tensor.is_conj(), tensor.is_neg()]
        if tensor.device.type != "meta":
            facts += [tensor.stride(), tensor.storage_offset()]
    return facts


def storage_bytes(storage):
    return torch.empty(0, dtype=torch.uint8).set_(storage).numpy().tobytes()


def inner_tensors(tensor):
    if tensor.layout == torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    if tensor.layout == torch.sparse_csr:
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.is_nested:
        return [tensor._nested_tensor_size(), tensor.values()]
    if tensor.is_quantized:
        if tensor.qscheme() == torch.per_tensor_affine:
            return [tensor.q_scale(), tensor.q_zero_point()]
        return [tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points(), tensor.q_per_channel_axis()]
    return []


def assert_equal(left, right):
    """Raises Difference with the path of the first difference."""
    twins, back, kept = {}, {}, []
    storages = {}
    todo = collections.deque([(left, right, "/")])

    def check(good, path, why):
        if not good:
            raise Difference(f"{path}: {why}")

    while todo:
        a, b, path = todo.pop()
        if isinstance(a, (types.FunctionType, types.BuiltinFunctionType, type, torch.dtype, enum.Enum)):
            check(a is b, path, f"{a!r} is not {b!r}")
            continue
        check(type(a) is type(b), path, f"{type(a)} is not {type(b)}")
        if a is None or isinstance(a, (bool, int, str, bytes, complex, torch.Size, torch.device, slice, range)):
            check(a == b, path, f"{a!r:.80} is not {b!r:.80}")
            continue
        if isinstance(a, float) and not isinstance(a, numpy.generic):
            check(struct.pack("d", a) == struct.pack("d", b), path, f"{a!r} is not {b!r}")
            continue
        if a is Ellipsis:
            continue
        # From here on identity counts. Empty tuples are one object anyway.
        if not (isinstance(a, tuple) and not a):
            if id(a) in twins:
                check(twins[id(a)] == id(b), path, "shared with another object")
                continue
            check(id(b) not in back, path, "shared where it was not")
            twins[id(a)], back[id(b)] = id(b), id(a)
            kept.append((a, b))
        if isinstance(a, torch.Tensor):
            check(tensor_facts(a) == tensor_facts(b), path, f"{tensor_facts(a)} is not {tensor_facts(b)}")
            for number, (x, y) in enumerate(zip(inner_tensors(a), inner_tensors(b))):
                todo.append((x, y, f"{path}<{number}>"))
            if a.layout == torch.strided and not a.is_nested and a.device.type != "meta":
                todo.append((a.untyped_storage(), b.untyped_storage(), path + "<storage>"))
            todo.append((a.__dict__, b.__dict__, path + ".__dict__"))
        elif isinstance(a, torch.storage.TypedStorage):
            check(a.dtype == b.dtype, path, "another dtype")
            todo.append((a._untyped_storage, b._untyped_storage, path + "<storage>"))
        elif isinstance(a, torch.UntypedStorage):
            check(a.nbytes() == b.nbytes(), path, f"{a.nbytes()} bytes is not {b.nbytes()}")
            if a.nbytes():
                twin = storages.setdefault(a.data_ptr(), b.data_ptr())
                check(twin == b.data_ptr(), path, "storages are shared differently")
                check(storage_bytes(a) == storage_bytes(b), path, "other bytes")
        elif isinstance(a, numpy.ndarray) or isinstance(a, numpy.generic):
            check(a.dtype == b.dtype and a.shape == b.shape, path, "another array")
            check(a.tobytes() == b.tobytes(), path, "other bytes")
        elif isinstance(a, dict):
            check(len(a) == len(b), path, f"{len(a)} entries is not {len(b)}")
            for (key, value), (other, twin) in zip(a.items(), b.items()):
                todo.append((key, other, f"{path}key {key!r:.40}"))
                todo.append((value, twin, f"{path}{key!r:.40}/"))
            todo.append((getattr(a, "__dict__", None), getattr(b, "__dict__", None), path + ".__dict__"))
            todo.append((getattr(a, "default_factory", None), getattr(b, "default_factory", None), path))
        elif isinstance(a, (list, tuple, collections.deque)):
            check(len(a) == len(b), path, f"{len(a)} items is not {len(b)}")
            check(getattr(a, "maxlen", None) == getattr(b, "maxlen", None), path, "another maxlen")
            for number, (item, other) in enumerate(zip(a, b)):
                todo.append((item, other, f"{path}{number}/"))
        elif isinstance(a, (set, frozenset, bytearray)):
            check(a == b, path, f"{a!r:.80} is not {b!r:.80}")
        elif hasattr(a, "__dict__") or hasattr(a, "__slots__"):
            slots = getattr(type(a), "__slots__", ())
            if type(a).__eq__ is not object.__eq__ and not hasattr(a, "__dict__"):
                check(a == b, path, f"{a!r} is not {b!r}")
                continue
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(a, name):
                    todo.append((getattr(a, name), getattr(b, name), f"{path}.{name}"))
            todo.append((getattr(a, "__dict__", None), getattr(b, "__dict__", None), path + ".__dict__"))
        else:
            check(a == b, path, f"{a!r:.80} is not {b!r:.80}")

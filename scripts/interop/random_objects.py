"""Object graphs made at random."""

import collections
import random

import generate
import torch


class Random:
    """Random object graphs: shared, cyclic, of all plain types, with tensors."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.made = []

    def value(self, depth=0):
        pick = self.random
        if self.made and pick.random() < 0.15:
            return pick.choice(self.made)
        kinds = ["int", "float", "str", "bytes", "none", "tensor", "view"]
        kinds += ["list", "dict", "tuple", "set", "ordered", "object"] * (2 if depth < 5 else 0)
        made = getattr(self, pick.choice(kinds))(depth)
        if pick.random() < 0.5:
            self.made.append(made)
        return made

    def count(self):
        return self.random.choice([0, 1, 2, 3, 4, 7])

    def int(self, depth):
        return self.random.randrange(-(2 ** self.random.randrange(90)), 2 ** self.random.randrange(1, 90))

    def float(self, depth):
        return self.random.choice([0.0, -0.0, 1.5, float("inf"), self.random.random()])

    def str(self, depth):
        return "".join(self.random.choice("ab\u00e9\U0001f600\ud800\n") for _ in range(self.count()))

    def bytes(self, depth):
        return self.random.randbytes(self.count())

    def none(self, depth):
        return self.random.choice([None, True, False])

    def tensor(self, depth):
        dtype = self.random.choice([torch.float32, torch.int64, torch.bool, torch.bfloat16, torch.uint16])
        shape = [self.random.randrange(4) for _ in range(self.random.randrange(4))]
        made = torch.zeros(shape).to(dtype)
        if self.random.random() < 0.2 and dtype.is_floating_point:
            return torch.nn.Parameter(made)
        return made

    def view(self, depth):
        tensors = [value for value in self.made if isinstance(value, torch.Tensor) and value.dim() > 1]
        return self.random.choice(tensors).detach().transpose(0, 1) if tensors else self.tensor(depth)

    def list(self, depth):
        made = []
        self.made.append(made)
        made += [self.value(depth + 1) for _ in range(self.count())]
        return made

    def dict(self, depth, made=None):
        made = {} if made is None else made
        self.made.append(made)
        for _ in range(self.count()):
            key = self.random.choice([self.str, self.int])(depth)
            made[key] = self.value(depth + 1)
        return made

    def ordered(self, depth):
        return self.dict(depth, collections.OrderedDict())

    def tuple(self, depth):
        return tuple(self.value(depth + 1) for _ in range(self.count()))

    def set(self, depth):
        return {self.int(depth) for _ in range(self.count())}

    def object(self, depth):
        made = generate.Config()
        self.made.append(made)
        made.__dict__.update({f"a{n}": self.value(depth + 1) for n in range(self.count())})
        return made

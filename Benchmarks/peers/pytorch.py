"""What people write today, at its best: `mmap=True`, nothing cloned."""

import sys

import torch

work, *paths = sys.argv[1:]
load = lambda path: torch.load(path, mmap=True, weights_only=True)  # noqa: E731
state_dict = load(paths[0])
if work == "filter":
    torch.save({k: v for k, v in state_dict.items() if "head" not in k}, paths[-1])
elif work == "rename":
    torch.save({k.replace("module.", ""): v for k, v in state_dict.items()}, paths[-1])
elif work == "update":
    state_dict.update(load(paths[1]))
    torch.save(state_dict, paths[-1])
elif work == "ls":
    for key, tensor in state_dict.items():
        print(key, tensor.dtype, tuple(tensor.shape), tensor.nbytes)
else:
    sys.exit(f"no work is called {work}")

"""What people write today, at its best: `mmap=True`, nothing cloned.

The last line tells how long the work took without the start of Python and the imports.
"""

import mmap
import sys
import time

import torch

start = time.perf_counter()
work, *paths = sys.argv[1:]
load = lambda path: torch.load(path, mmap=True, weights_only=True)  # noqa: E731
if work == "ls":
    # A private map of more than the memory is refused by the system.
    torch.serialization.set_default_mmap_options(mmap.MAP_SHARED)
if work == "sparse":
    # A file of that many bytes whose storages are holes.
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        count = int(paths[0]) // (4 * 1024 * 1024 * 25)
        state_dict = {f"layer{i}.weight": torch.empty(25, 1024, 1024) for i in range(count)}
        with torch.serialization.skip_data(materialize_fake_tensors=True):
            torch.save(state_dict, paths[1])
elif work == "filter":
    torch.save({k: v for k, v in load(paths[0]).items() if "head" not in k}, paths[-1])
elif work == "rename":
    torch.save({k.replace("module.", ""): v for k, v in load(paths[0]).items()}, paths[-1])
elif work == "update":
    state_dict = load(paths[0])
    state_dict.update(load(paths[1]))
    torch.save(state_dict, paths[-1])
elif work == "linear":
    one, other = load(paths[0]), load(paths[1])
    torch.save({k: torch.lerp(v, other[k], 0.5) for k, v in one.items()}, paths[-1])
elif work == "ls":
    for key, tensor in load(paths[0]).items():
        print(key, tensor.dtype, tuple(tensor.shape), tensor.nbytes)
else:
    sys.exit(f"no work is called {work}")
print("seconds", time.perf_counter() - start)

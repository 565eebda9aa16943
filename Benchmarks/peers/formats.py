"""What people write today with the formats' own libraries.

The last line tells how long the work took without the start of Python and the imports.
"""

import pathlib
import sys
import time

import huggingface_hub
import safetensors.torch
import torch

start = time.perf_counter()
work, source, target = sys.argv[1:]
load, save = safetensors.torch.load_file, safetensors.torch.save_file
pytorch = lambda: torch.load(source, mmap=True, weights_only=True)  # noqa: E731
note = {"format": "pt"}
if work == "filter":
    save({k: v for k, v in load(source).items() if "head" not in k}, target, metadata=note)
elif work == "copy":
    save(load(source), target, metadata=note)
elif work == "from-pytorch":
    save(pytorch(), target, metadata=note)
elif work == "bfloat16":
    save({k: v.to(torch.bfloat16) for k, v in pytorch().items()}, target, metadata=note)
elif work == "to-pytorch":
    torch.save(load(source), target)
elif work == "shard":
    pathlib.Path(target).mkdir()
    huggingface_hub.save_torch_state_dict(load(source), target, max_shard_size="200MB")
elif work == "join":
    tensors = {}
    for shard in sorted(pathlib.Path(source).glob("*.safetensors")):
        tensors |= load(shard)
    save(tensors, target, metadata=note)
else:
    sys.exit(f"no work is called {work}")
print("seconds", time.perf_counter() - start)

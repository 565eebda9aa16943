"""mergekit's own functions, tensor by tensor: the next one is read when this one is merged.

    merging.py METHOD OUT BASE OTHER…

The result goes to a file as raw bytes, the cheapest form there is.
"""

import contextlib
import os
import sys
import time

import torch
from mergekit.merge_methods.api import merge_tensors

start = time.perf_counter()
method, out, *paths = sys.argv[1:]
models = [torch.load(path, mmap=True, weights_only=True) for path in paths]
count = len(models) - 1
parameters = {"weight": [0.7, 0.5][:count], "density": [0.5, 0.5][:count]}
with open(out, "wb") as file, contextlib.redirect_stderr(open(os.devnull, "w")):
    for key in models[0]:
        tensors = [model[key] for model in models]
        merged = merge_tensors(
            tensors, method, parameters=parameters, base_index=0, dtype=torch.float32, out_dtype=tensors[0].dtype
        )
        file.write(memoryview(merged.contiguous().view(torch.uint8).flatten().numpy()))
print("seconds", time.perf_counter() - start)

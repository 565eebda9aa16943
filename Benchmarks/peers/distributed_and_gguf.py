"""The libraries of distributed checkpoints and of GGUF, turning a file into one of PyTorch's; and inputs for both.

The last line tells how long the work took without the start of Python and the imports.
"""

import os
import sys
import time

import torch


def rank(number, count, source, folder):
    import torch.distributed as distributed
    import torch.distributed.checkpoint as dcp
    from torch.distributed.tensor import Shard, distribute_tensor

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29717", "RANK": str(number), "WORLD_SIZE": str(count)}
    distributed.init_process_group("gloo")
    mesh = distributed.device_mesh.init_device_mesh("cpu", (count,))
    state_dict = torch.load(source, mmap=True, weights_only=True)
    # Rows over the processes, and every third matrix by columns, as tensor parallelism does.
    dcp.save(
        {k: distribute_tensor(v, mesh, [Shard(int(n % 3 == 1 and v.shape[1] % count == 0))])
         for n, (k, v) in enumerate(state_dict.items())},
        checkpoint_id=folder,
    )  # fmt: skip
    distributed.destroy_process_group()


def make(kind, source, path):
    if kind == "plain":
        import torch.distributed.checkpoint as dcp

        return dcp.save(torch.load(source, mmap=True, weights_only=True), checkpoint_id=path)
    if kind == "sharded":
        return torch.multiprocessing.spawn(rank, (4, source, path), nprocs=4)
    import gguf
    import numpy

    kind = gguf.GGMLQuantizationType[kind.upper()]
    size, count = gguf.GGML_QUANT_SIZES[kind]
    random = numpy.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in torch.load(source, mmap=True, weights_only=True).items():
        raw = random.integers(0, 256, size=(value.shape[0], value.shape[1] // size * count), dtype="u1")
        # Scales of 1 + a little: the high byte of a 16-bit float.
        for place in {"Q4_K": (1, 3), "Q6_K": (209,)}[kind.name]:
            raw.reshape(-1, count)[:, place] = 0x3C
        writer.add_tensor(key, raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    work, source, path = sys.argv[1:]
    if work.startswith("make-"):
        return make(work.removeprefix("make-"), source, path)
    if work == "distributed":
        from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

        start = time.perf_counter()
        dcp_to_torch_save(source, path)
    else:
        import gguf

        start = time.perf_counter()
        tensors = {
            tensor.name: torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
            for tensor in gguf.GGUFReader(source).tensors
        }
        torch.save(tensors, path)
    print("seconds", time.perf_counter() - start)


if __name__ == "__main__":
    main()

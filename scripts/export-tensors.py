"""Writes CUDA IPC handles of a PyTorch model's tensors, so that another process can hash them where they are.

In a program of yours: `import export_tensors` (from a copy of this file called so), `export_tensors.write(model.state_dict(),
"handles.json")`, and keep the program running while `chopmark resident handles.json` does its work.

By itself: `python3 export-tensors.py FILE.safetensors… --handles handles.json` loads weights into a GPU, writes their handles
and waits until its standard input ends.
"""

import ctypes
import json
import sys

import torch


class _Handle(ctypes.Structure):
    _fields_ = [("reserved", ctypes.c_ubyte * 64)]


def _check(status, what):
    if status != 0:
        raise RuntimeError(f"{what}: CUDA error {status}; memory must come from cudaMalloc (no expandable segments)")


def write(tensors, path):
    """Writes the handles of `tensors`, a mapping from names to contiguous tensors on one GPU, to `path`."""
    cuda = ctypes.CDLL("libcuda.so.1")
    entries, gpus, handles = [], set(), {}
    for name, tensor in tensors.items():
        if tensor.device.type != "cuda":
            raise ValueError(f"{name} is on {tensor.device}, not on a GPU")
        if not tensor.is_contiguous():
            raise ValueError(f"{name} is not contiguous: its bytes lie apart")
        gpus.add(tensor.device.index)
        size = tensor.numel() * tensor.element_size()
        if size == 0:
            entries.append({"name": name, "handle": "00" * 64, "offset_bytes": 0, "size_bytes": 0})
            continue
        address = tensor.data_ptr()
        base, length = ctypes.c_uint64(), ctypes.c_size_t()
        range_of = cuda.cuMemGetAddressRange_v2
        _check(range_of(ctypes.byref(base), ctypes.byref(length), ctypes.c_uint64(address)), name)
        if base.value not in handles:
            handle = _Handle()
            _check(cuda.cuIpcGetMemHandle(ctypes.byref(handle), base), name)
            handles[base.value] = bytes(handle.reserved).hex()
        offset = address - base.value
        entries.append({"name": name, "handle": handles[base.value], "offset_bytes": offset, "size_bytes": size})
    if len(gpus) != 1:
        raise ValueError(f"tensors on {len(gpus)} GPUs; write one list for each")
    torch.cuda.synchronize()
    document = {"schema": "chopmark.cuda-ipc/v1", "gpu": gpus.pop(), "tensors": entries}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)


def main():
    import safetensors.torch

    *files, option, path = sys.argv[1:]
    if option != "--handles" or not files:
        sys.exit(__doc__)
    tensors = {}
    for file in files:
        more = safetensors.torch.load_file(file, device="cuda")
        if twice := tensors.keys() & more.keys():
            sys.exit(f"{file}: {min(twice)} stands in another file, too; load the files one by one")
        tensors.update(more)
    write(tensors, path)
    print(f"{len(tensors)} tensors in {path}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

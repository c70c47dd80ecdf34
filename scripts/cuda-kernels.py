"""Compiles one CUDA source with NVRTC: python3 cuda-kernels.py LIBNVRTC SOURCE ARCHITECTURE OUTPUT [OPTION…]

ARCHITECTURE is sm_… for machine code or compute_… for PTX. Needs no GPU, no driver and no package but NVRTC itself. The name
given to the source is fixed, so that the same source gives the same bytes wherever it lies.
"""

import ctypes
import pathlib
import sys


def main():
    library, source, architecture, output, *options = sys.argv[1:]
    for builtins in pathlib.Path(library).parent.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
    nvrtc = ctypes.CDLL(library)
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(name, *arguments):
        status = getattr(nvrtc, name)(*arguments)
        if status != 0 and name != "nvrtcCompileProgram":
            sys.exit(f"{name}: {nvrtc.nvrtcGetErrorString(status).decode()}")
        return status

    def text(kind, program):
        size = ctypes.c_size_t()
        call(f"nvrtcGet{kind}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        call(f"nvrtcGet{kind}", program, buffer)
        return buffer.raw

    path = pathlib.Path(source)
    headers = sorted(path.parent.glob("*.cuh"))
    contents = (ctypes.c_char_p * len(headers))(*[header.read_bytes() for header in headers])
    names = (ctypes.c_char_p * len(headers))(*[header.name.encode() for header in headers])
    program = ctypes.c_void_p()
    name = path.name.encode()
    call("nvrtcCreateProgram", ctypes.byref(program), path.read_bytes(), name, len(headers), contents, names)
    wanted = [f"--gpu-architecture={architecture}", "--std=c++17", *options]
    encoded = (ctypes.c_char_p * len(wanted))(*[option.encode() for option in wanted])
    failed = call("nvrtcCompileProgram", program, len(wanted), encoded)
    log = text("ProgramLog", program).rstrip(b"\0").decode().strip()
    if log:
        print(log, file=sys.stderr)
    if failed:
        sys.exit(f"{source} does not compile for {architecture}")
    kind = "CUBIN" if architecture.startswith("sm_") else "PTX"
    code = text(kind, program)
    pathlib.Path(output).write_bytes(code.rstrip(b"\0") if kind == "PTX" else code)


main()

#!/usr/bin/env python3
"""Writes every_type.gguf with the Python package `gguf`, and every_type.json with what that package's reader says of it.

None of our code takes part, so both are an independent check of the parser. Run: pip install gguf==0.19.0 && python3 every_type.py
"""

import json
from pathlib import Path

import gguf
import numpy

HERE = Path(__file__).parent
ROWS = {4: (2, 3), 12: (1,), 0: (5, 2, 3)}

writer = gguf.GGUFWriter(HERE / "every_type.gguf", "test")
writer.add_custom_alignment(64)
writer.add_name("every type")
writer.add_bool("test.bool", True)
writer.add_int8("test.int8", -1)
writer.add_uint16("test.uint16", 2)
writer.add_float64("test.float64", 0.5)
writer.add_uint64("test.uint64", 1 << 40)
writer.add_token_list(["<s>", "a", "林"])
writer.add_token_scores([0.0, 1.0, 2.0])
writer.add_array("test.flags", [True, False, True])
for number, kind in enumerate(gguf.GGMLQuantizationType):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = 1 + number % 3
    rows = ROWS.get(int(kind), (1 + number % 2,))
    count = int(numpy.prod(rows)) * blocks * size
    # Rows of bytes, as the package wants raw tensors.
    data = ((numpy.arange(count) * 7 + number) % 251).astype(numpy.uint8).reshape((*rows, blocks * size))
    writer.add_tensor(f"blk.{number}.{kind.name}", data, raw_dtype=kind)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

reader = gguf.GGUFReader(HERE / "every_type.gguf")
tensors = [
    {
        "name": tensor.name,
        "dtype": tensor.tensor_type.name,
        # The package keeps the file's order, innermost first; a manifest has the outermost first.
        "shape": [int(dimension) for dimension in reversed(tensor.shape)],
        "begin": int(tensor.data_offset),
        "end": int(tensor.data_offset + tensor.n_bytes),
    }
    for tensor in reader.tensors
]
document = {"alignment_bytes": int(reader.alignment), "data_offset": int(reader.data_offset), "tensors": tensors}
(HERE / "every_type.json").write_text(json.dumps(document, indent=1) + "\n")

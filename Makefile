# Every target does its own set-up; `make demo` and `make test` work on a fresh clone.

.PHONY: help demo test soak lint format docs openapi openapi-check sbom bench-ledger bench-hash bench-licence bench-tax bench-report bench-gpu \
	setup clean-tools

help:
	@echo "make demo           the main job end to end, on a real model (KEEP=1 leaves the service running)"
	@echo "make test           every test, after installing what they need"
	@echo "make soak           the same, with the long runs (CHOPMARK_SOAK=5: five times as long)"
	@echo "make lint           formatting and clippy, warnings are errors"
	@echo "make format         format the code"
	@echo "make docs           API documentation of every crate, warnings are errors; links in the pages"
	@echo "make openapi        write openapi/chopmark.v1.json; make openapi-check compares it"
	@echo "make sbom           write target/chopmark.cdx.json: every package the product is made of (CycloneDX)"
	@echo "make bench-ledger   benchmarks beside peers, see docs/benchmarks.md"
	@echo "make bench-licence  licences over long lineages, and granting them"
	@echo "make bench-tax      tax over many events"
	@echo "make bench-report   reports over a million payments, beside DuckDB"
	@echo "make bench-hash     hashing beside other programs, see docs/benchmarks.md"
	@echo "make bench-gpu      the NVIDIA GPU of this machine beside what bounds it"
	@echo "make setup          install what is missing, build nothing"
	@echo "make clean-tools    remove what setup fetched into .tools"

demo:
	@KEEP=$(KEEP) scripts/demo.sh

test:
	@scripts/test.sh

soak:
	@CHOPMARK_SOAK=$${CHOPMARK_SOAK:-1} scripts/test.sh

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --package chopmark-gpu-verify --package chopmark --features chopmark/gpu,chopmark/cuda --all-targets --locked -- -D warnings

format:
	cargo fmt --all

docs:
	@scripts/check-docs.sh
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

openapi:
	@scripts/openapi.sh write

openapi-check:
	@scripts/openapi.sh check

sbom:
	@mkdir -p target
	@cargo metadata --format-version 1 --locked --all-features | python3 -B scripts/sbom.py Cargo.lock > target/chopmark.cdx.json
	@echo target/chopmark.cdx.json

bench-ledger:
	cargo run --release --locked --package chopmark-benches -- tree statement ingest million

bench-licence:
	cargo run --release --locked --package chopmark-benches -- licence grants

bench-tax:
	cargo run --release --locked --package chopmark-benches -- tax

bench-report:
	@scripts/bench-report.sh

bench-hash:
	@scripts/bench-hash.sh

bench-gpu:
	cargo bench --locked --package chopmark-gpu-verify --features cuda,gpu --bench gpu

setup:
	@scripts/install-build-tools.sh
	@scripts/install-postgresql.sh
	@scripts/install-model.sh
	@scripts/install-browser.sh
	@scripts/install-schemathesis.sh
	@scripts/install-fsverity.sh
	@scripts/install-vulkan.sh
	@scripts/install-b3sum.sh
	@scripts/install-safetensors.sh
	@scripts/install-openpyxl.sh
	@scripts/install-duckdb.sh
	@scripts/install-pdf-tools.sh

clean-tools:
	rm -rf .tools

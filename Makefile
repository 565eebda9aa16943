# make demo      the main job on a bundled checkpoint
# make test      every test
# make interop   the check against a real PyTorch, in a virtual environment that it makes itself; K=EXPRESSION for the
#                tests that pytest's -k selects, PYTEST="-x…" for further options of pytest
# make snapshots writes anew what commands print, in Tests/CkptCommandsTests/Snapshots
# make lint      the format of the sources
# make bench     speed and memory, beside PyTorch and others; BENCH="SECTION…" for some of it

.PHONY: setup build demo test snapshots interop lint bench bench-training clean

CKPT = .build/release/ckpt
# One file that needs no Swift installed and starts in half the time.
STATIC = $(if $(filter Linux,$(shell uname)),--static-swift-stdlib -Xswiftc -use-ld=lld -Xlinker -s)

setup:
	@scripts/setup

build: setup
	@swift build -c release $(STATIC) --product ckpt --quiet

demo: build
	@scripts/demo $(CKPT)

test: setup
	swift test --quiet
	swift build --quiet --package-path Tests/DependentPackage

interop: build
	@scripts/setup interop
	@swift build -c release $(STATIC) --product CkptFineTuningExample --quiet
	@python=$$(scripts/python-env) && "$$python" -m pytest -c scripts/interop/pytest.ini scripts/interop \
	  --ckpt=$(CKPT) $(if $(K),-k "$(K)",-n 2 --dist worksteal) $(PYTEST)

# Writes what commands print now into the snapshots; look at the difference before it is committed.
snapshots: setup
	-@CKPT_WRITE_SNAPSHOTS=1 swift test --quiet --filter SnapshotTests
	@git --no-pager diff --stat -- Tests/CkptCommandsTests/Snapshots

lint:
	swift format lint --strict --recursive Package.swift Sources Tests Benchmarks Examples

bench: build
	@scripts/setup interop
	@python=$$(scripts/python-env) && \
	  swift run -c release --package-path Benchmarks benchmark "$(CURDIR)/$(CKPT)" "$$python" $(BENCH)
	@$(MAKE) --no-print-directory bench-training

bench-training:
	@scripts/setup interop
	@python=$$(scripts/python-env) && \
	  swift run -c release --package-path Benchmarks training-benchmark "$$python" $(BENCH_TRAINING)

clean:
	swift package clean

# make demo      the main job on a bundled checkpoint
# make check     what a change touches, in a minute: format, build, tests; BASE=COMMIT for what differs from a commit
# make test      every test, and how many lines they run; CONFIGURATION=release for an optimized build
# make coverage  writes that into docs/coverage.md
# make sanitize  every test under the address and the thread sanitizer
# make interop   the check against a real PyTorch, in a virtual environment that it makes itself; K=EXPRESSION for the
#                tests that pytest's -k selects, PYTEST="-x…" for further options of pytest
# make snapshots writes anew what commands print, in Tests/CkptCommandsTests/Snapshots
# make api       writes the lists of public symbols in api/; make api-check compares them
# make lint      the format of the sources
# make fuzz      one reader on changed files, with libFuzzer: TARGET=… SECONDS=…; docs/fuzzing.md
# make fuzz-check  every reader, two minutes in all; on Linux
# make bench     speed and memory, beside PyTorch and others; BENCH="SECTION…" for some of it

.PHONY: setup build demo check test coverage sanitize snapshots interop api api-check lint \
  fuzz fuzz-check bench bench-training clean

CKPT = .build/release/ckpt
# One file that needs no Swift installed and starts in half the time.
LLD = $(if $(filter Linux,$(shell uname)),-Xswiftc -use-ld=lld)
STATIC = $(if $(LLD),--static-swift-stdlib $(LLD) -Xlinker -s)

CONFIGURATION = debug
COVERED = --enable-code-coverage --scratch-path .build-coverage
# Those of which nine lines in ten are to be run.
ROOMS = CkptIO CkptStateDicts CkptMerging
SANITIZERS = address thread

setup:
	@scripts/setup

build: setup
	@swift build -c release $(STATIC) --product ckpt --quiet

demo: build
	@scripts/demo $(CKPT)

# What changed, in a minute; `make test` is everything.
check: setup
	@scripts/check $(BASE)

# Debug builds count which lines run; they have a folder of their own, since others are not compiled for it.
test: setup
ifeq ($(CONFIGURATION),debug)
	swift test $(COVERED) --quiet
	@scripts/coverage "$$(swift test $(COVERED) --show-codecov-path)"
else
	swift test -c release -Xswiftc -enable-testing --scratch-path .build-release --quiet
endif
	swift build --quiet --package-path Tests/DependentPackage

# The same table in docs/coverage.md, and the public functions that no test runs.
coverage: setup
	swift test $(COVERED) --quiet
	@report=$$(swift test $(COVERED) --show-codecov-path) && scripts/coverage "$$report" --write docs/coverage.md && \
	  scripts/coverage "$$report" --functions $(ROOMS)

# Every test under the address and the thread sanitizer; SANITIZERS=thread for one of them. XCTest itself leaks.
sanitize: setup
	@set -e; export ASAN_OPTIONS=detect_leaks=0; \
	export TSAN_OPTIONS=suppressions=$(CURDIR)/scripts/thread-sanitizer.supp; \
	for sanitizer in $(SANITIZERS); do echo "sanitizer: $$sanitizer"; \
	  swift test --sanitize=$$sanitizer $(LLD) --scratch-path .build-$$sanitizer --quiet; done

interop: build
	@scripts/setup interop
	@swift build -c release $(STATIC) --product CkptFineTuningExample --quiet
	@swift build -c release $(STATIC) --product CkptImageCheck --quiet
	@swift build -c release $(STATIC) --product CkptValueCheck --quiet
	@python=$$(scripts/python-env) && "$$python" -m pytest -c scripts/interop/pytest.ini scripts/interop \
	  --ckpt=$(CKPT) $(if $(K),-k "$(K)",-n 2 --dist worksteal) $(PYTEST)

# Writes what commands print now into the snapshots; look at the difference before it is committed.
snapshots: setup
	-@CKPT_WRITE_SNAPSHOTS=1 swift test --quiet --filter SnapshotTests
	@git --no-pager diff --stat -- Tests/CkptCommandsTests/Snapshots

# The public interface changes only on purpose: these lists are looked at with the change.
api: setup
	@scripts/api-symbols --write

# From the build of `make test`.
api-check: setup
	@scripts/api-symbols $(COVERED)

lint:
	@scripts/check-docs
	swift format lint --strict --recursive Package.swift Sources Tests Benchmarks Examples

fuzz: setup
	@scripts/fuzz "$(TARGET)" "$(or $(SECONDS),60)"

fuzz-check: setup
	@scripts/fuzz check "$(or $(SECONDS),120)"

bench: build
	@swift build -c release $(STATIC) --product CkptImageCheck --quiet
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

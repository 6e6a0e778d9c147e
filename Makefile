# Two commands for a new user, on a fresh Debian 12: `make demo` and `make test`. Both install what is missing first.
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: demo test build dependencies sanitize fuzz bench clean

demo: build
	$(BUILD)/limpid explain images/french_horn.png --output $(BUILD)/french_horn.limpid.png
	@echo "The picture is $(abspath $(BUILD)/french_horn.limpid.png)"

test: EXTRA = clang libclang-rt-dev
test: build
	ctest --test-dir $(BUILD) --output-on-failure --no-tests=error

build: dependencies
	cmake --preset release -B $(BUILD)
	cmake --build $(BUILD) --parallel $(JOBS)

dependencies:
	@scripts/install_dependencies.sh $(EXTRA)

# The same tests under the address and undefined-behaviour sanitizers; the large references are left to `make test`.
sanitize: dependencies
	cmake --preset sanitize
	cmake --build --preset sanitize --parallel $(JOBS)
	ctest --preset sanitize

# Fuzzes each reader of files RUNS times, an hour or more in all; what is found new is kept in build/fuzz/found and goes on from there.
RUNS ?= 10000000
fuzz: EXTRA = clang libclang-rt-dev
fuzz: dependencies
	cmake -S tests/fuzz -B $(BUILD)/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++
	cmake --build $(BUILD)/fuzz --parallel $(JOBS)
	for target in safetensors npy zip pickle pytorch image; do \
	  LIMPID_FUZZ_KEEP=$(BUILD)/fuzz/found tests/fuzz/run.sh $(BUILD)/fuzz $$target $(RUNS) || exit 1; \
	done

# Google Benchmarks of ops and jobs, then the race against PyTorch + Captum, which makes a Python environment of 2 GB first.
# WEIGHTS: a ResNet-18 file; INPUT: a .npy picture [1,3,224,224] for networks that the shared references do not cover.
WEIGHTS ?= models/resnet18_imagenette.f16.safetensors
bench: build
	$(BUILD)/bench/limpid_bench --benchmark_min_time=1
	bench/peers/make_env.sh
	bench/peers/.venv/bin/python bench/peers/race.py --arch resnet18 --weights $(WEIGHTS) --threads 2

clean:
	rm -rf $(BUILD) build-sanitize

# Two commands for a new user, on a fresh Debian 12: `make demo` and `make test`. Both install what is missing first.
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: demo test build dependencies sanitize fuzz bench bench-ops bench-race clean

demo: build
	$(BUILD)/limpid explain images/french_horn.png --output $(BUILD)/french_horn.limpid.png
	@echo "The picture is $(abspath $(BUILD)/french_horn.limpid.png)"

test: EXTRA = clang libclang-rt-dev
test: build without-cuda
	ctest --test-dir $(BUILD) --output-on-failure --no-tests=error

build: dependencies
	cmake --preset release -B $(BUILD)
	cmake --build $(BUILD) --parallel $(JOBS)

# The library and the program as they are where there is no CUDA toolkit.
without-cuda: dependencies
	cmake --preset release -B $(BUILD)-without-cuda -DLIMPID_CUDA=OFF -DLIMPID_TESTS=OFF -DLIMPID_BENCH=OFF
	cmake --build $(BUILD)-without-cuda --parallel $(JOBS)
	$(BUILD)-without-cuda/limpid devices

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

# Google Benchmarks of ops, shortcuts and jobs, then the race against PyTorch + Captum, which makes a Python environment of 2 GB first. More than an hour on two cores.
# BENCH: a filter of the Google Benchmarks' names; RACE: options of bench/peers/race.py (a subset: RACE='--arch resnet18 --jobs ig,gradcam').
BENCH ?= -efficientnet|batch:8|occlusion_15_8
RACE ?= --precision f32,bf16 --batch 1
bench: build bench-ops bench-race
	$(MAKE) bench-race RACE='--precision f32,bf16 --batch 8 --jobs gradcam,saliency,classify'

bench-ops: build
	$(BUILD)/bench/limpid_bench --benchmark_filter='$(BENCH)' --benchmark_min_time=0.2 --benchmark_out=$(BUILD)/bench.json

bench-race: build
	bench/peers/make_env.sh
	bench/peers/.venv/bin/python bench/peers/race.py --limpid $(BUILD)/bench/limpid_job --output $(BUILD)/race --resume $(RACE)

clean:
	rm -rf $(BUILD) $(BUILD)-without-cuda build-sanitize

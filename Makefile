# Two commands for a new user, on a fresh Debian 12: `make demo` and `make test`. Both install what is missing first.
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: demo test build dependencies sanitize bench clean

demo: build
	$(BUILD)/limpid explain images/french_horn.png --output $(BUILD)/french_horn.limpid.png
	@echo "The picture is $(abspath $(BUILD)/french_horn.limpid.png)"

test: build
	ctest --test-dir $(BUILD) --output-on-failure --no-tests=error

build: dependencies
	cmake --preset release -B $(BUILD)
	cmake --build $(BUILD) --parallel $(JOBS)

dependencies:
	@scripts/install_dependencies.sh

# The same tests under the address and undefined-behaviour sanitizers; the large references are left to `make test`.
sanitize: dependencies
	cmake --preset sanitize
	cmake --build --preset sanitize --parallel $(JOBS)
	ctest --preset sanitize

# Races limpid against PyTorch + Captum; makes a Python environment of several GB under bench/peers first.
bench: build
	bench/peers/make_env.sh
	bench/peers/.venv/bin/python bench/peers/race.py --job ig --arch resnet18 --threads 2

clean:
	rm -rf $(BUILD) build-sanitize

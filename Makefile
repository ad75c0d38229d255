# make demo: set up and run the detector on the sample frames (no torch).   make test: set up and pass the tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP = -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check samples release clean

demo: .venv-demo/ready
	.venv-demo/bin/io-detector detect tests/samples/frames --out out/demo
	@echo
	@echo "catalogue: out/demo/catalogue.csv"
	@echo "pictures:  out/demo/quicklook/"

test: .venv/ready
	.venv/bin/python -m pytest

check: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/mypy

# The frames of `make demo`, and the model, as they were made.
samples: .venv/ready
	rm -rf tests/samples
	.venv/bin/io-detector simulate --config training/simulate/samples.yaml --out tests/samples --instrument mixed --count 4 --seed 4

release: .venv/ready
	.venv/bin/io-detector train-glance --config training/configs/glance.yaml --out runs/glance --file models/io-detector-glance.onnx
	.venv/bin/io-detector train-limb --config training/configs/limb.yaml --out runs/limb --file models/io-detector-limb.onnx
	.venv/bin/io-detector train --config training/configs/release.yaml --out runs/release
	.venv/bin/io-detector export runs/release --out models/io-detector.onnx

.venv-demo/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python $(PIP) -e .
	touch $@

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) -e '.[train,serve,spice,dev]'
	touch $@

clean:
	rm -rf .venv .venv-demo out build *.egg-info

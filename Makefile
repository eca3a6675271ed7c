# The front door: `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet --no-input
FILE ?= asm/memcpy_64.S

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F"|" '{printf "%-20s%s\n", $$1, $$2}'
	@echo 'PYTHON=... picks Python 3.11, 3.12 or 3.13; FILE=... what is proved'

.PHONY: venv
venv: $(VENV)/.installed ## build .venv from the hash-locked set

.PHONY: prove
prove: $(VENV)/.installed ## prove asm/memcpy_64.S (or FILE=...)
	@$(VENV)/bin/mcverify prove $(FILE)

.PHONY: test
test: $(VENV)/.installed ## run all tests
	$(PY) -m pytest -n auto $(TESTFLAGS)

.PHONY: test-quick
test-quick: $(VENV)/.installed ## run the quicker tests of every package
	$(PY) -m pytest -n auto --quick $(TESTFLAGS)

.PHONY: lint
lint: $(VENV)/.installed ## ruff (rules and format) and mypy --strict
	$(VENV)/bin/ruff check src tests bench
	$(VENV)/bin/ruff format --check src tests bench
	$(VENV)/bin/mypy --strict src

.PHONY: format
format: $(VENV)/.installed ## let ruff format the code
	$(VENV)/bin/ruff check --fix src tests bench
	$(VENV)/bin/ruff format src tests bench

.PHONY: silicon
silicon: $(VENV)/.installed ## compare the lifter with this CPU (KERNELS=...: trees too), minutes
	$(VENV)/bin/mcverify silicon asm/*.S \
	  $$(for tree in $(KERNELS); do grep -lE '_ASM_EXTABLE|__ex_table' $$tree/arch/x86/lib/*.S | grep -vE '_32\.S|msr-reg'; done) \
	  --cases 3000 --every 300 --table models/x86_64/silicon.tsv || [ $$? -eq 3 ]

.PHONY: mutants
mutants: $(VENV)/.installed ## change right routines in every small way: docs/mutants.md
	@PYTHONPATH=tests $(PY) -m mutants $(MUTANTFLAGS)

.PHONY: self-mutants
self-mutants: $(VENV)/.installed ## change mcverify in every small way: a test must notice
	@PYTHONPATH=tests $(PY) -m self_mutants $(SELFMUTANTFLAGS)

# Files whose comment asks for less than their contract: check wants to be told.
ON_LOADS := asm/byte_retry.S asm/nontemporal_sse.S

.PHONY: check-asm
check-asm: $(VENV)/.installed ## bundles of asm/, checked by two solvers (half an hour)
	@rm -rf build/proofs && mkdir -p build/proofs
	$(VENV)/bin/mcverify prove -q $(filter-out $(wildcard asm/*_wrong_*.S) $(ON_LOADS),$(wildcard asm/*.S)) --proof build/proofs/all
	$(VENV)/bin/mcverify prove -q $(ON_LOADS) --proof build/proofs/loads
	$(VENV)/bin/mcverify check build/proofs/all $(CHECKFLAGS)
	$(VENV)/bin/mcverify check build/proofs/loads --faults loads $(CHECKFLAGS)

.PHONY: fuzz
fuzz: $(VENV)/.installed ## damaged inputs for all that reads a stranger's files (SECONDS=60)
	@PYTHONPATH=tests $(PY) -m security.fuzzer --seconds $(SECONDS)

SECONDS ?= 60

.PHONY: bench
bench: $(VENV)/.installed ## measure what a proof costs, by phase and by size
	$(PY) bench/run.py $(BENCHFLAGS)

.PHONY: kernels
kernels: $(VENV)/.installed ## docs/kernels.md anew, from linux-source-5.10 to 7.3
	$(PY) bench/kernels.py $(KERNELSFLAGS)

.PHONY: boot-check
boot-check: $(VENV)/.installed ## write(2) over a bad page in a booted kernel (ARCH=x86-64|riscv64)
	@$(PY) bench/boot.py $(ARCH) $(BOOTFLAGS)

ARCH ?= x86-64

.PHONY: picture
picture: $(VENV)/.installed ## docs/report.png anew, an HTML report (needs chromium)
	@mkdir -p build
	$(VENV)/bin/mcverify prove asm/memcpy_64_wrong_subtract.S -q --html build/report.html || [ $$? -eq 1 ]
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=900,900 \
	  --screenshot=docs/report.png file://$(CURDIR)/build/report.html

.PHONY: cosim
cosim: $(VENV)/.installed ## random runs on the CPU against the model of the proof
	PYTHONPATH=tests $(PY) -m witness.cosimulation $(COSIMFLAGS)

.PHONY: lock
lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --group build $(LOCKFLAGS) -o requirements-build.lock
	uv pip compile pyproject.toml --group dev $(LOCKFLAGS) -o requirements.lock

LOCKFLAGS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

.PHONY: clean
clean: ## remove .venv and everything that was built
	rm -rf $(VENV) build dist bench/out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is written last: an interrupted build is started over. The first installs the locked
# packages, the second the project itself, so that an edit of pyproject.toml costs seconds.
# A PYTHON given by hand that is not the one in .venv starts over too.
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PYTHON) -c 'import sys; print(sys.version_info[:2])' 2>&1),$(shell test -x $(PY) && $(PY) -c 'import sys; print(sys.version_info[:2])' 2>&1))
$(VENV)/.locked: FORCE
endif
endif

$(VENV)/.locked: requirements-build.lock requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "mcverify needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is `$(PYTHON) -V 2>&1` (name another: make PYTHON=/path/to/python3.12)" >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment (Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "Installing the locked packages into $(VENV) (some 700 MB; a minute or two)" >&2
	@$(PIP) install --require-hashes --only-binary :all: -r requirements-build.lock
	@$(PIP) install --require-hashes --no-build-isolation -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

.PHONY: FORCE
FORCE:

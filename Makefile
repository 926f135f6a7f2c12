# What a person does with this repository; `make` alone lists it.
# All it makes is in .venv and .run; `make clean` takes both away.

.DEFAULT_GOAL := help
.PHONY: help run rush kitchen mend manage verdict rabbitmqctl test test-brokers kills lint types format bench bench-quick soak simulate lock clean

PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check install --require-hashes \
	--root-user-action=ignore
CODE := $(wildcard *.py) bench dashboard kitchen_worker local restaurant tests

help: ## list what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST)

run: .venv/runtime ## start the site, the relay, the observer and three kitchens; Ctrl-C stops all
	@exec $(BIN)/python -m local.run

rush: ARGS ?= --orders 2000 --rate 100
rush: .venv/runtime ## place orders at the running site, as ARGS says
	@exec $(BIN)/python -m local.manage rush $(ARGS)

kitchen: .venv/runtime ## run a kitchen of your own, as ARGS says, at the broker of `make run`
	@exec $(BIN)/python -m local.kitchen $(ARGS)

mend: .venv/runtime ## start vnext of the running `make run` again, with the faults of ARGS mended
	@exec $(BIN)/python -m local.mend $(ARGS)

manage: .venv/runtime ## run the manage.py command of ARGS with the settings of `make run`
	@exec $(BIN)/python -m local.manage $(ARGS)

verdict: .venv/runtime ## say whether vnext, or the --version of ARGS, may be promoted
	@$(BIN)/python -m local.manage verdict $(ARGS); \
		case $$? in 0|10|20|30|40) ;; *) exit 1;; esac

rabbitmqctl: .venv/runtime ## run the rabbitmqctl command of ARGS on the private broker of `make run`
	@exec $(BIN)/python -m local.broker_node $(ARGS)

simulate: .venv/development ## run the verdict's simulations, in some ten minutes; prints Markdown
	@exec $(BIN)/python -m bench.simulate $(ARGS)

test: .venv/development ## lint, types, every test; installs what they need
	@exec $(BIN)/python -m local.stages

test-brokers: .venv/development ## the tests on a broker, on RabbitMQ 3 and on 4; by root
	@exec $(BIN)/python -m local.stages brokers

kills: ARGS ?= --kills 20
kills: .venv/development ## kill -9 each process and the broker 20 times under load, and count every order
	@exec $(BIN)/python -m pytest -q -s -p no:cacheprovider tests/end_to_end/test_kills.py $(ARGS)

lint: .venv/development ## what `make test` says about style
	@$(BIN)/python -m local.stages lint

types: .venv/development ## what `make test` says about types
	@$(BIN)/python -m local.stages types

format: .venv/development ## bring the code into shape
	@$(BIN)/ruff check --quiet --fix-only $(CODE)
	@$(BIN)/ruff format --quiet $(CODE)
	@git ls-files -z --cached --others --exclude-standard 'templates/*.html' \
		| xargs -0 -r $(BIN)/djade --target-version 5.2

bench: .venv/development ## measure the goals of speed beside their floors, in about twenty minutes
	@exec $(BIN)/python -m bench $(ARGS)

bench-quick: .venv/development ## the same in some four minutes: fewer rounds, and without what takes long
	@exec $(BIN)/python -m bench --quick $(ARGS)

soak: ARGS ?= --minutes 30 --share 0.7
soak: .venv/development ## load the product for half an hour, or as ARGS says, and see what stays flat
	@exec $(BIN)/python -m bench.soak $(ARGS)

lock: ## compile requirements*.txt anew from requirements*.in; needs uv
	@for name in requirements requirements-dev; do \
		uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
			--no-emit-index-url --custom-compile-command "make lock" \
			$(UPGRADE) $$name.in --output-file $$name.txt || exit 1; done

clean: ## take away what was installed and kept here; the private broker must be stopped
	@rm -rf .venv .run .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/runtime: requirements.txt
	@$(MAKE) --no-print-directory .venv/made
	@echo "Installing the requirements in .venv ..."
	@$(PIP) -r requirements.txt
	@touch $@

.venv/development: requirements-dev.txt requirements.txt
	@$(MAKE) --no-print-directory .venv/made
	@echo "Installing the requirements of the tests in .venv ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@ .venv/runtime

.venv/made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and python3.11 is not here."; exit 1; }
	@$(PYTHON) -m local.install venv
	@$(PYTHON) -m venv --clear .venv
	@touch $@

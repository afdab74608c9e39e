.PHONY: check test slow demo docs bench faults fuzz

check:  ## format, lint and types: under a minute
	ruff format --check . && ruff check . && mypy

test:  ## the suite of the README
	pytest -n auto

slow:  ## installs from a wheel, trains for minutes, measures
	pytest -m slow

N = 1000

faults:  ## N kills and 10 N flipped bits, signals, power cuts and full disks: half an hour for N=1000
	PYTHONPATH=src:tests python -m faults --count $(N) --flips $$((10 * $(N))) --signals --cuts --others

demo:  ## three families on real digits, about three minutes
	triptych compare digits

docs:  ## the pages, built offline into site/
	zensical build --clean

bench:  ## this machine's figures of RESULTS.md, about a quarter of an hour
	python -m bench.pack && python -m bench.unet_step && python -m bench.start

fuzz:  ## bytes that nobody meant, a minute for each parser
	PYTHONPATH=src:.:tests:tests/data python -m fuzz all --seconds 60

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

bench:  ## triptych beside its peers, about half an hour; `python -m bench` lists more
	python -m bench peers
	for name in unet_step dit_step gan_step vae_step sampling loading metrics start; do python -m bench $$name || exit 1; done

fuzz:  ## bytes that nobody meant, a minute for each parser
	PYTHONPATH=src:.:tests:tests/data python -m fuzz all --seconds 60

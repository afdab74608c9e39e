"""A loop that changes good inputs until a parser does what it may not."""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
import time
from collections.abc import Sequence

from fuzz.parsers import ALLOWED, TARGETS, Target

SLOW = 1.0  # CPU seconds that no small input may take
MOST = 4096  # bytes of an input
SPARKS = (b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"9" * 30, b"-1", b"1e999", b"NaN", b"[" * 50, b"{", b'"', b"\n",
          b"../", b"\xed\xa0\x80", "\u202e".encode(), "٣".encode(), b"null", b"true", b"!!python/name:os.system ",
          b"&a [*a]", b"!!timestamp x", b"!!int ''", b"\xef\xbb\xbf", b"=", b",", b":", b"%")  # fmt: skip


def mutated(data: bytes, chance: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One to four changes: a bit, a number, a piece cut out, doubled or put in, or another input's end."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, end = sorted(chance.randint(0, len(changed)) for _ in range(2))
        match chance.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(changed):
                changed[at] = chance.randrange(256)
            case 2:
                del changed[at : min(end, at + 16)]
            case 3:
                changed[at:at] = changed[at:end] * chance.randint(1, 3)
            case 4:
                changed[at:at] = chance.choice(SPARKS)
            case _:
                other = chance.choice(corpus)
                changed[at:] = other[chance.randint(0, len(other)) :]
    return bytes(changed[:MOST])


def fault(target: Target, data: bytes) -> str:
    """What a parser did that it may not, or ""."""
    started = time.process_time()
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            target.parse(data)
    except ALLOWED as error:
        if not str(error).strip() or len(str(error)) > 4000:
            return f"a sentence of {len(str(error))} characters"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    spent = time.process_time() - started
    return f"{spent:.1f} s" if spent > SLOW else ""


def hunt(name: str, seconds: float, seed: int = 0, most: int = sys.maxsize) -> tuple[int, dict[str, bytes]]:
    """How many inputs were tried, and one for each kind of fault that was found."""
    target, chance = TARGETS[name](), random.Random(f"{name} {seed}")
    corpus, found = list(target.corpus), dict[str, bytes]()
    tried, end = 0, time.monotonic() + seconds
    while tried < most and time.monotonic() < end:
        data = mutated(chance.choice(corpus), chance, corpus) if tried >= len(target.corpus) else corpus[tried]
        tried += 1
        if what := fault(target, data):
            found.setdefault(what.split(":")[0][:60], data)
    return tried, found


def main() -> int:
    """Hunt in one parser, or in all; the exit code is 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("name", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    wish = parser.parse_args()
    bad = False
    for name in TARGETS if wish.name == "all" else [wish.name]:
        tried, found = hunt(name, wish.seconds, wish.seed)
        print(f"{name}: {tried:,} inputs, {len(found)} kinds of faults", flush=True)
        for what, data in found.items():
            print(f"  {what}: {fault(TARGETS[name](), data)[:300]}\n    {data[:200]!r}", flush=True)
        bad |= bool(found)
    return int(bad)


if __name__ == "__main__":
    raise SystemExit(main())

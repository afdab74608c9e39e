"""No line of the package can run what it reads: the syntax tree of every file says so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import triptych

ROOT = Path(triptych.__file__).parent
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "code", "codeop",
           "torchvision", "telnetlib", "xmlrpc"}  # fmt: skip
CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save", "os.system", "os.popen", "yaml.load",
         "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "torch.hub.load", "runpy.run_path",
         "subprocess.getoutput", "torch.export.load"}  # fmt: skip
SAID = {"extractors/foreign.py": ["torch.export.load"]}  # of a file that its user named as code; docs/safety.md
METHODS = {"extractall", "extract", "unpack_archive", "read_pickle", "to_pickle", "load_module"}
FLAGS = {"allow_pickle": "False", "shell": "False", "trust_remote_code": "False", "weights_only": "True"}


def faults(text: str) -> list[str]:
    """What a file does that none may."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [name for name in names if name.split(".")[0] in MODULES]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            found += [called] * (called in CALLS or called.rsplit(".", 1)[-1] in METHODS)
            found += [
                f"{flag.arg}="
                for flag in node.keywords
                if ast.unparse(flag.value) != FLAGS.get(flag.arg or "", ast.unparse(flag.value))
            ]
        if isinstance(node, ast.Dict):  # flags that are handed on as **words
            pairs = [(key.value, ast.unparse(value)) for key, value in zip(node.keys, node.values, strict=True)
                     if isinstance(key, ast.Constant) and isinstance(key.value, str)]  # fmt: skip
            found += [f"{name}:" for name, value in pairs if value != FLAGS.get(name, value)]
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_runs_code_from_files(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == SAID.get(path.relative_to(ROOT).as_posix(), [])


@pytest.mark.parametrize("line", [
    "import pickle", "from joblib import load", "import marshal as m", "torch.load(path)", "eval(text)", "exec(text)",
    "compile(text, '', 'exec')", "os.system(line)", "subprocess.run(line, shell=True)", "yaml.load(text, Loader)",
    "np.load(path, allow_pickle=True)", "AutoModel.from_pretrained(x, trust_remote_code=True)",
    "archive.extractall(to)", "shutil.unpack_archive(path)", "safely = {'trust_remote_code': True}",
    "zip_.extract(name)", "torch.export.load(path)",
])  # fmt: skip
def test_each_fault_is_seen(line: str) -> None:
    assert faults(line)


@pytest.mark.parametrize(
    "line", ["net.eval()", "model.compile()", "re.compile(x)", "torch.compile(net)", "np.load(p, allow_pickle=False)"]
)
def test_harmless_lines_are_left_alone(line: str) -> None:
    assert not faults(line)

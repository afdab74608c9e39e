"""Extractors that the user brings: the contract, and a sentence for each way to break it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from triptych.errors import DataError, ResourceError, UsageError
from triptych.extractors import extractor


def images(count: int, channels: int = 3, side: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=generator)


class Means(nn.Module):
    """The mean of each channel, times a factor; with dropout, that evaluation must switch off."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.drop(self.factor * x.mean((2, 3)))
        return y


class Says(nn.Module):
    """A module that returns what it is told to."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Tensor) -> object:
        return self.answer


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of code on the path."""
    (tmp_path / "lenses.py").write_text(
        "from torch import nn\n"
        "flat = nn.Flatten()\n"
        "def tiny():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5))\n"
        "number = 7\n"
        "def words():\n"
        "    return 'words'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "lenses"


def test_a_module_sees_images_in_0_to_1_in_evaluation_mode() -> None:
    module = Means().train()
    made = extractor(module)
    seen = made.look(images(4))
    torch.testing.assert_close(seen.features, 2 * images(4).float().mean((2, 3)) / 255)
    assert seen.logits is None
    assert module.training  # the user's own is left as it was


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_come_as_the_data_has_them(channels: int) -> None:
    assert extractor(nn.Flatten()).look(images(2, channels)).features.shape == (2, channels * 64)


def test_later_training_changes_nothing() -> None:
    module = Means()
    made = extractor(module)
    before = made.look(images(2)).features
    with torch.no_grad():
        module.factor.fill_(5.0)
    assert torch.equal(made.look(images(2)).features, before)
    assert extractor(module).about != made.about


def test_about_follows_the_state_and_the_layers() -> None:
    assert extractor(Means(2.0)).about == extractor(Means(2.0)).about
    assert extractor(Means(2.0)).about != extractor(Means(3.0)).about
    assert extractor(nn.AvgPool2d(2)).about != extractor(nn.AvgPool2d(4)).about
    assert extractor(Means()).about.startswith("Means ")
    assert extractor(Means()).about.endswith(", images as they are, in [0, 1]")


def test_half_precision_and_counters_have_a_digest_too() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten())
    assert extractor(net).about != extractor(net.to(torch.bfloat16)).about


@pytest.mark.parametrize("name", ["flat", "tiny"])
def test_a_module_or_a_function_that_returns_one_is_named(own: str, name: str) -> None:
    made = extractor(f"{own}:{name}")
    assert made.name == name
    assert len(made.look(images(3)).features) == 3


@pytest.mark.parametrize(
    ("end", "words"),
    [(":none", "has no 'none'"), (":", "has no"), (":number", "gives a int"), (":words", "gives a str")],
)
def test_names_of_other_things_are_refused(own: str, end: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        extractor(own + end)


def test_a_module_that_is_not_installed_is_said() -> None:
    with pytest.raises(UsageError, match=r"cannot be imported .*PYTHONPATH"):
        extractor("no_such_package.at_all:name")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((torch.zeros(3, 4),), "returns a tuple: an extractor takes float32 images"),
        (torch.zeros(3, 4, 2, 2), r"shape \(3, 4, 2, 2\): average or flatten"),
        (torch.zeros(2, 4), r"shape \(2, 4\) for 3 images"),
        (torch.zeros(3), r"shape \(3,\) for 3 images"),
        (torch.zeros(3, 0), r"shape \(3, 0\) for 3 images"),
        (torch.zeros(3, 4, dtype=torch.int64), "returns int64 numbers"),
    ],
)
def test_what_breaks_the_contract_is_refused(answer: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        extractor(Says(answer)).look(images(3))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    answer = torch.zeros(3, 4)
    answer[1:, 2] = value
    with pytest.raises(DataError, match="not finite for 2 of 3 images"):
        extractor(Says(answer)).look(images(3))


def test_a_failure_inside_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"Sequential fails on images of shape \(3, 3, 8, 8\) \(RuntimeError: "):
        extractor(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())).look(images(3))


def test_a_module_that_cannot_be_copied_is_said() -> None:
    module = Says(None)
    module.answer = (torch.ones(2, requires_grad=True) * 2,)  # not a leaf
    with pytest.raises(UsageError, match=r"cannot be copied .*\.pt2"):
        extractor(module)


def test_features_in_half_precision_become_single() -> None:
    assert extractor(Says(torch.ones(3, 4, dtype=torch.float16))).look(images(3)).features.dtype == torch.float32


def test_a_name_of_the_packages_own_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a network of one's own could be reported as FID."""
    (tmp_path / "lens.py").write_text("from torch import nn\ninception = nn.Flatten()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert extractor("lens:inception").name == "own-inception"


def save_graph(path: Path, batches: bool = True) -> nn.Module:
    """A small network as a graph, for any number of images or for two."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    shapes = ({0: torch.export.Dim("images")},) if batches else None
    torch.export.save(torch.export.export(net, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=shapes), path)
    return net


@torch.no_grad()
def test_an_exported_graph_is_the_module(tmp_path: Path) -> None:
    net = save_graph(tmp_path / "graph.pt2")
    made = extractor(str(tmp_path / "graph.pt2"))
    assert made.name == "graph"
    for count in (1, 5):
        expected = net(images(count).float() / 255)
        torch.testing.assert_close(made.look(images(count)).features, expected, rtol=1e-5, atol=1e-6)


def test_a_graph_for_one_size_of_batch_says_so(tmp_path: Path) -> None:
    save_graph(tmp_path / "graph.pt2", batches=False)
    made = extractor(str(tmp_path / "graph.pt2"))
    with pytest.raises(UsageError, match=r"fails on images of shape \(5, 3, 8, 8\) .*for any B"):
        made.look(images(5))


@pytest.mark.parametrize("end", ["pt2", "onnx"])
def test_a_graph_that_is_not_there_is_said(tmp_path: Path, end: str) -> None:
    with pytest.raises(UsageError, match="There is no extractor's graph"):
        extractor(str(tmp_path / f"none.{end}"))


def test_a_file_that_is_no_graph_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.pt2").write_bytes(b"not a graph")
    with pytest.raises(UsageError, match=r"is not a graph of torch\.export"):
        extractor(str(tmp_path / "bad.pt2"))


def test_onnx_needs_its_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "graph.onnx").write_bytes(b"")
    with pytest.raises(ResourceError, match=r"onnxruntime .*triptych\[onnx\]"):
        extractor(str(tmp_path / "graph.onnx"))


def save_onnx(path: Path) -> None:
    """The graph [mean of each channel] as ONNX, for any number of images."""
    onnx = pytest.importorskip("onnx")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)
    axes = helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [2, 3])
    x = helper.make_tensor_value_info("x", real, ["n", 3, 8, 8])
    y = helper.make_tensor_value_info("y", real, ["n", 3])
    graph = helper.make_graph([node], "means", [x], [y], [axes])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def test_an_onnx_graph_gives_its_features(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    save_onnx(tmp_path / "means.onnx")
    made = extractor(str(tmp_path / "means.onnx"))
    for count in (1, 5):
        expected = images(count).float().mean((2, 3)) / 255
        torch.testing.assert_close(made.look(images(count)).features, expected)
    with pytest.raises(UsageError, match=r"fails on images of shape \(2, 1, 8, 8\)"):
        made.look(images(2, channels=1))


def test_weights_beside_an_onnx_graph_count(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    save_onnx(tmp_path / "means.onnx")
    before = extractor(str(tmp_path / "means.onnx")).about
    (tmp_path / "means.onnx.data").write_bytes(b"weights")
    assert extractor(str(tmp_path / "means.onnx")).about != before


def test_a_file_that_is_no_onnx_is_said(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "bad.onnx").write_bytes(b"not a graph")
    with pytest.raises(UsageError, match="is not an ONNX graph"):
        extractor(str(tmp_path / "bad.onnx"))

"""Networks of modules of one's own in further forms, or one sentence why not."""

from pathlib import Path

import pytest
import torch

from fade_ray.export import export_onnx, export_program
from fade_ray.nn import ModuleNetwork, NetworkConfig
from fade_ray.search.search_config import choices_in
from spaces import HyperArchitecture
from spaces.errors import InvalidInput

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "own_modules.py"
ABOUT = {"classes": ["a", "b", "c"], "mean": [0.3], "std": [0.4]}


def network(*names: str) -> ModuleNetwork:
    space = choices_in(str(EXAMPLE))
    hyper = HyperArchitecture.from_code("/".join(f"own.{name}" for name in names))
    sizes = {"side": 8, "channels": 1, "classes": 3, "generator": torch.Generator().manual_seed(0)}
    return ModuleNetwork(hyper, space, NetworkConfig(final_channels=8), **sizes).eval()


CONVOLUTIONS = network("ResNet", "mbconv-expansion3", "ResNet", "ResNet")
ATTENTION = network("ViT", "mbconv-expansion3", "ResNet", "ViT")


def test_a_program_runs_batches_of_any_size(tmp_path: Path) -> None:
    path, x = export_program(ATTENTION, tmp_path / "a.pt2", **ABOUT), torch.rand(5, 1, 8, 8)
    more = {"images.json": ""}
    program = torch.export.load(path, extra_files=more).module()
    torch.testing.assert_close(program(x), ATTENTION(x).main)
    assert '"mean": [0.3]' in more["images.json"]


def test_onnx_is_written_where_it_runs_batches_of_any_size(tmp_path: Path) -> None:
    """Torch's attention is translated for one size of batch."""
    import onnxruntime

    path, x = export_onnx(CONVOLUTIONS, tmp_path / "a.onnx", **ABOUT), torch.rand(5, 1, 8, 8)
    (scores,) = onnxruntime.InferenceSession(path).run(None, {"images": x.numpy()})
    torch.testing.assert_close(torch.tensor(scores), CONVOLUTIONS(x).main)
    with pytest.raises(InvalidInput, match=r"As ONNX .* any size of batch, but: .*--pt2"):
        export_onnx(ATTENTION, tmp_path / "b.onnx", **ABOUT)
    assert not (tmp_path / "b.onnx").exists()


def test_what_torch_cannot_follow_is_one_sentence(tmp_path: Path) -> None:
    untraceable = network("ResNet", "ResNet", "ResNet", "ResNet")

    class Asking(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > 0 else -x

    untraceable.places[0].mixed.cells["own-ResNet"] = Asking()
    with pytest.raises(InvalidInput, match=r"torch.export must be able to follow"):
        export_program(untraceable, tmp_path / "a.pt2", **ABOUT)

"""An operation from a file outside of the package: searched, exported, or refused in time."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.nn import functional as F

from fade_ray.export import OPERATION_TEXTS, OperationText, export_module
from fade_ray.nn import OPERATIONS, CellNetwork, CellNetworkConfig, Draw, EdgeWeights
from fade_ray.retraining.retrain_config import RetrainConfig
from fade_ray.retraining.retraining import Retraining
from spaces.cell import Macro
from spaces.darts import SPACES, published
from spaces.errors import InvalidInput

ADDITION = Path(__file__).parents[1] / "additions" / "my_operation.py"
NAME = "grouped_conv_3x3"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def space() -> Iterator[Macro]:
    """The space that the file adds; afterwards all that it registered is forgotten."""
    tables = (OPERATIONS, OPERATION_TEXTS, SPACES)
    before = [dict(table) for table in tables]
    load(ADDITION)
    yield published("grouped").macro
    for table, known in zip(tables, before, strict=True):
        table.clear()
        table.update(known)


def network(macro: Macro, *, search: bool = False) -> CellNetwork:
    config = CellNetworkConfig(channels=4)
    config = config.for_search(macro.stack) if search else config
    generator = torch.Generator().manual_seed(0)
    return CellNetwork(macro, config, side=8, classes=2, generator=generator)


def genotype(macro: Macro) -> Macro:
    edges = [(source, node) for node in range(2, 6) for source in (0, 1)]
    cells = {k: cell.genotype([(*edge, NAME) for edge in edges]) for k, cell in macro.cells.items()}
    return macro.with_cells(cells)


def images() -> torch.Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_an_added_operation_has_gradients_in_a_search(space: Macro) -> None:
    logits = {
        kind: torch.zeros(cell.mask.shape).requires_grad_() for kind, cell in space.cells.items()
    }
    edges = {kind: EdgeWeights(leaf.softmax(1)) for kind, leaf in logits.items()}
    scores = network(space, search=True)(images(), Draw(edges=edges)).main
    F.cross_entropy(scores, torch.tensor([0, 1, 0, 1])).backward()
    number = space.cells["normal"].ops.index(NAME)
    assert all((leaf.grad[:, number] != 0).all() for leaf in logits.values())  # type: ignore[index]


def test_an_added_operation_is_exported(space: Macro, tmp_path: Path) -> None:
    trained = network(genotype(space))
    trained(images())  # statistics that are not those of the start
    given = {"classes": ["a", "b"], "mean": [0.5] * 3, "std": [0.2] * 3}
    module = load(export_module(trained, tmp_path, "architecture", **given))  # type: ignore[arg-type]
    with torch.no_grad():
        expected = trained.eval()(images()).main
        torch.testing.assert_close(module.load()(images()), expected, rtol=1e-5, atol=1e-6)


def test_an_operation_without_a_text_is_refused_before_it_is_trained(space: Macro) -> None:
    del OPERATION_TEXTS[NAME]
    with pytest.raises(InvalidInput, match=f"{NAME} has none.*OPERATION_TEXTS"):
        Retraining(genotype(space), RetrainConfig())


def test_a_text_of_other_tensors_is_refused(space: Macro, tmp_path: Path) -> None:
    wrong = OperationText(lambda stride: f"nn.AvgPool2d(3, {stride}, 1)", ())
    OPERATION_TEXTS[NAME] = wrong
    given = {"classes": ["a", "b"], "mean": [0.5] * 3, "std": [0.2] * 3}
    with pytest.raises(InvalidInput, match="the same tensors in the same order"):
        export_module(network(genotype(space)), tmp_path, "architecture", **given)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())

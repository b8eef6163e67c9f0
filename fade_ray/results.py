"""Runs from Python: one function per kind of run, and what a run has found."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fade_ray.kinds import kind_in, kind_of_run
from fade_ray.records.additions import check_loaded, joined, load_additions
from fade_ray.records.remote import directory
from fade_ray.records.run_files import Run
from fade_ray.run.kind import RunKind
from spaces.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow
    from torch import nn

    from fade_ray.nn.choices import Choices
    from fade_ray.nn.own_cells import CellChoices
    from fade_ray.run.watcher import Watcher
    from fade_ray.training.objectives import Objective


@dataclass(frozen=True, repr=False)
class Result:
    """What a run has found, and where.

    kind : RunKind
        What kind of run it is.
    run : Run
        Its files, each read once: configuration, history, result.
    """

    kind: RunKind[Any, Any]
    run: Run[Any, Any]

    def __repr__(self) -> str:
        """Five lines at most: where, how far, what stands in it."""
        history, (reached, lines) = self.run.history, self.kind.standing(self.run)
        told = [(label, text) for label, text in lines if label in ("best", "result", "time")]
        held = []
        for part in ("tables", "figures"):
            names = sorted({path.stem for path in (self.folder / part).glob("*.*")})
            held += [f"{part} {', '.join(names)}"] if names else []
        word = "finished" if self.finished else "not finished"
        head = f"fade-ray {self.kind.name} in {self.folder}: {word}, {reached}"
        last = f"last event {history.last or '-'}"
        rows = [*(f"{label} {text}" for label, text in told[:2]), *held, last]
        return "\n  ".join([head, *rows][:5])

    @property
    def folder(self) -> Path:
        """The run directory, which holds everything else."""
        return self.run.folder

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.run.result)

    @property
    def summary(self) -> dict[str, Any]:
        """result.json; {} before the end."""
        return dict(self.run.result)

    @property
    def architecture(self) -> Any:
        """What was found: a `HyperArchitecture` of width one, or the cells of a network (`Macro`).

        Raises InvalidInput where the run has found none.
        """
        found = self.kind.architecture(self.run)
        if found is None:
            raise InvalidInput(f"No architecture was found in {self.folder}.")
        return found

    @property
    def test_accuracy(self) -> float:
        """Of the network trained from scratch. Raises InvalidInput where there is none."""
        names = ("test_accuracy", "test_accuracy_last")
        found = [self.run.result[name] for name in names if name in self.run.result]
        if not found:
            raise InvalidInput(
                "A finished search or retraining that measures an accuracy is needed, not "
                f"{self.folder}. `summary` says what was measured."
            )
        return float(found[0])

    @property
    def test_perplexity(self) -> float:
        """Of the language model trained from scratch. Raises InvalidInput where there is none."""
        found = self.run.result.get("test_perplexity")
        if found is None:
            raise InvalidInput(f"A finished retraining on text is needed, not {self.folder}.")
        return float(found)

    def model(self) -> "nn.Module":
        """The found network with its trained weights, in evaluation mode.

        It takes a batch of normalised images [n, channels, side, side] and gives scores [n,
        classes]. Raises InvalidInput for a run that has trained none.
        """
        (module, *_) = self.kind.export(self.run)
        return load_module(module)

    def table(self, name: str) -> "pyarrow.Table":
        """A table of the run by its name, such as "trials". Raises InvalidInput with the names."""
        import pyarrow.parquet as pq

        return pq.read_table(self._file("tables", name, ".parquet"))

    def figure(self, name: str) -> Path:
        """A figure (SVG) by its name, such as "accuracy". Raises InvalidInput with the names."""
        return self._file("figures", name, ".svg")

    def _file(self, part: str, name: str, suffix: str) -> Path:
        path = self.folder / part / f"{name}{suffix}"
        if not path.exists():
            known = sorted(found.stem for found in path.parent.glob(f"*{suffix}"))
            raise InvalidInput(
                f"The {part} of {self.folder} are {', '.join(known) or 'not there'}, but got "
                f"{name!r}."
            )
        return path


def load_module(path: Path) -> "nn.Module":
    """The network of an exported module, with its weights, in evaluation mode."""
    spec = importlib.util.spec_from_file_location(f"exported_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = module.load().eval()
    return network


def open_run(folder: Path | str) -> Result:
    """The run in a directory, finished or not. Raises InvalidInput where there is none."""
    place = directory(folder)
    kind = kind_in(place)
    return Result(kind, kind.read(place))


def use(*paths: Path | str) -> None:
    """Load files of your own: what they add is known by name, here.

    A run loads those that its configuration names (`use=`), in every worker too. Raises
    InvalidInput.
    """
    load_additions(str(path) for path in paths)


def carry_out(
    kind: str, config: Any, watchers: "Sequence[Watcher] | None" = None, command: str | None = None
) -> Result:
    """Carry out a run of that kind to its end, or what is left of the one in `config.out`.

    `watchers` replaces the progress display (use () for silence). Raises InvalidInput for
    everything a user can mend, before any work where that is possible; Interrupted on Ctrl-C, with
    everything done so far on disk.
    """
    from fade_ray.run.lifecycle import run

    chosen = kind_of_run(kind)
    return Result(chosen, run(chosen, config, watchers=watchers, command=command))


def search(
    config: Any = None,
    *,
    space: "Choices | Path | str | None" = None,
    data: Any = None,
    objective: "Objective | str | None" = None,
    watchers: "Sequence[Watcher] | None" = None,
) -> Result:
    """Search which graphs form the cells of a network, retrain, test and report: `Config`.

    `space`: what `choices` gave, in place of graphs, or the file that holds it. The file is run
    again in every process: there the space is called `space`, and the call of this function stands
    behind `if __name__ == "__main__":`.

    `data`, in place of those of the configuration: a name or path; pictures and targets as a pair,
    or a data set of (picture, target), see `write_images`. These are written once, as a file in
    runs/data by which the run is continued.

    `objective`: what is trained for, by name or as one of your own, whose file is run again in
    every process, as that of a space is.
    """
    from fade_ray.search.search_config import Config, file_of

    chosen: Config = config or Config()
    if space is not None:
        chosen = replace(chosen, space=replace(chosen.space, space=file_of(space)))
    return carry_out("search", _on(chosen, data, objective), watchers)


def _on(config: Any, data: Any, objective: "Objective | str | None" = None) -> Any:
    """`config` with these data and this objective in place of its own; with None as it is."""
    from fade_ray.data.parquet import file_of_images

    if objective is not None:
        config = _for(config, objective)
    if data is None:
        return config
    file = file_of_images(data, Path("runs") / "data")
    return replace(config, data=replace(config.data, data=file))


def _for(config: Any, objective: "Objective | str") -> Any:
    """`config` with this objective; one of a user's own comes from its file, as in every worker."""
    from fade_ray.training import Objective

    check_loaded()
    if isinstance(objective, str):
        made, use = Objective.member(objective)(), config.use
    else:
        _, file = objective.defined
        if not Path(file).is_file():
            raise InvalidInput(
                "An objective must stand in a file, which every process of a run reads, but "
                f"{objective.name!r} was made in a notebook or at a prompt. Write it to a file "
                "(`%%writefile my_task.py`) and load that with fade_ray.use('my_task.py')."
            )
        own = not type(objective).__module__.startswith("fade_ray.")
        use = joined(config.use, [file] if own else [])
        load_additions(use)
        made = Objective.member(objective.name)(**vars(objective))
    return replace(config, use=use, train=replace(config.train, objective=made))


def cells(
    config: Any = None,
    *,
    space: "CellChoices | Path | str | None" = None,
    data: Any = None,
    watchers: "Sequence[Watcher] | None" = None,
) -> Result:
    """Search which operation stands on which edge of a cell: `CellsConfig`; `data` as in `search`.

    `space`: what `cell_space` gave, in place of those of the configuration, or the file that holds
    it, which is run again in every process, as in `search`.
    """
    from fade_ray.cells.cells_config import CellsConfig

    check_loaded()
    chosen: CellsConfig = config or CellsConfig()
    if space is not None:
        file = str(getattr(space, "file", space))
        chosen = replace(chosen, grid=replace(chosen.grid, spaces=(file,)))
    return carry_out("cells", _on(chosen, data), watchers)


def compare(
    config: Any,
    *,
    data: Any = None,
    objective: "Objective | str | None" = None,
    watchers: "Sequence[Watcher] | None" = None,
) -> Result:
    """Compare searchers with several seeds under one budget: `CompareConfig`; `data` and
    `objective` as in `search`.
    """
    return carry_out("compare", _on(config, data, objective), watchers)


def rank_study(
    config: Any, *, data: Any = None, watchers: "Sequence[Watcher] | None" = None
) -> Result:
    """Hold ranks against architectures trained alone: `RankStudyConfig`; `data` as in `search`."""
    return carry_out("rank-study", _on(config, data), watchers)


def replay(config: Any, *, watchers: "Sequence[Watcher] | None" = None) -> Result:
    """Replay searchers on a table of known accuracies: `ReplayConfig`."""
    return carry_out("replay", config, watchers)


def retrain(
    config: Any, *, data: Any = None, watchers: "Sequence[Watcher] | None" = None
) -> Result:
    """Train a genotype from scratch, test and export it: `RetrainConfig`; `data` as in `search`."""
    return carry_out("retrain", _on(config, data), watchers)

"""A kind of run: everything that the command line, the run directory and the reports need of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from rich.console import Console

from fade_ray.records.additions import Addition, kept, load_additions, same_files
from fade_ray.records.history import RunHistory
from fade_ray.records.journal import Journal
from fade_ray.records.json_form import as_json, differences, from_json
from fade_ray.records.remote import directory, remove
from fade_ray.records.run_files import Around, Begun, Ended, Run, read_object
from fade_ray.run.folder import FOLDERS, Configuration
from fade_ray.run.inputs import (
    IMAGES,
    Inputs,
    files_of,
    placed,
    space_of,
    with_space,
    with_value,
)
from fade_ray.run.run_config import RayOptions
from fade_ray.run.watcher import Watcher, show
from spaces.errors import InvalidInput, require_known

if TYPE_CHECKING:  # what draws is loaded by those who draw
    from fade_ray.report.page import Section

C = TypeVar("C", bound=Configuration)
H = TypeVar("H", bound=RunHistory)


@dataclass(frozen=True)
class Start(Generic[C, H]):
    """A run that is being carried out: where, what is on record so far, and who watches."""

    folder: Path
    config: C
    journal: Journal
    history: H
    """What the record said before this start."""
    watchers: Sequence[Watcher]
    additions: tuple[Addition, ...] = ()

    def show(self, what: str, *told: Any) -> None:
        for failure in show(self.watchers, what, *told):
            self.warn(failure)

    def warn(self, message: str) -> None:
        self.journal.append("warning", message=message)
        self.show("warned", message)


@dataclass(frozen=True)
class NoOptions:
    """A kind that asks for nothing but its configuration."""


class Asked(NamedTuple):
    """What a command line says beside the fields of a configuration."""

    source: str | None = None
    """What stands before the options, for kinds that take a SOURCE."""
    recipe: str | None = None
    out: str | None = None
    options: Any = NoOptions()
    """Of the kind's own `options`."""
    flags: Sequence[str] = ()
    """All of them, as they stand."""


class Standing(NamedTuple):
    """How far a run is: how much of what is done, and further lines (label, text)."""

    reached: str
    lines: Sequence[tuple[str, str]] = ()


COMMON = frozenset(
    (
        *("seeds", "space", "data", "test_data", "image_side", "limit", "crop", "flip", "recipes"),
        *("spaces", "setting", "settings", "searchers", "baseline"),
        *("budget", "unit", "table", "epochs", "cells", "channels", "batch_size", "iterations"),
        *("walks", "depth", "final_channels", "max_vertices", "learning_rate", "rank_epochs"),
        *("evaluation_epochs", "alone_epochs", "retrain", "retrain_epochs", "loader", "workers"),
        *("retrain_seeds", "baselines", "max_params", "max_macs", "max_latency_ms", "engine"),
        *("address", "device", "cpus_per_trial", "gpus_per_trial", "concurrency"),
    )
)
"""Options that most people set."""


class RunKind(ABC, Generic[C, H]):
    """All that a kind of run is. A subclass with a name is known by it, to the command line too:

        class Census(RunKind[CensusConfig, RunHistory], name="census"): ...

    Its docstring is the text of `fade-ray NAME --help`, the first line that of `fade-ray --help`.
    A run goes through `prepare`, `work`, `deliver` and `finish`, in this order; `finish` alone is
    repeated by `fade-ray report`.
    """

    table: ClassVar[dict[str, "RunKind[Any, Any]"]] = {}
    """The kinds that are loaded, by name: the words after `fade-ray`, and in config.json."""
    name: ClassVar[str]
    example: ClassVar[str]
    """One command line that makes sense."""

    config: type[C]
    history: type[H]
    recipes: Mapping[str, C] = {}
    """Named configurations, by `--recipe`."""
    source: ClassVar[str | None] = None
    """What may stand before the options, such as "SOURCE"; None: nothing."""
    options: ClassVar[type] = NoOptions
    """What the command line asks beside the configuration: a frozen dataclass with defaults."""
    inputs: ClassVar[tuple[str, ...]] = IMAGES
    """Fields of the configuration, such as "data.data", that name files to be read."""
    common: ClassVar[frozenset[str]] = COMMON
    """Of the options in parts of the configuration those that `--help` lists; others are left to
    `--help-all`.
    """
    record: ClassVar[str] = "records.jsonl"
    folders: ClassVar[tuple[str, ...]] = FOLDERS
    reports: ClassVar[bool] = True
    """Whether `finish` draws a page."""

    def __init_subclass__(cls, name: str | None = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if name is not None:
            cls.name, RunKind.table[name] = name, cls()

    def default(self) -> C | None:
        """What flags are over; None where a configuration needs some."""
        return self.config()

    def base(self, asked: Asked) -> C | None:
        """What flags are over: a recipe, what the run in `--out` has, or the default."""
        if asked.recipe is not None:
            require_known("`--recipe`", asked.recipe, self.recipes)
            return self.recipes[asked.recipe]
        before = self.stored(directory(asked.out)) if asked.out else None
        return before or self.default()

    def instead(self, asked: Asked) -> bool:
        """Whether something was done in place of a run, as the options asked."""
        return False

    def upgrade(self, values: dict[str, Any]) -> dict[str, Any]:
        """A config.json of an earlier version in the present form."""
        return values

    def grows(self, before: C, now: C) -> bool:
        """Whether a run of `before` may be continued with `now`, which only adds to it."""
        return False

    def ray_options(self, config: C) -> RayOptions | None:
        """What a run asks of Ray; None where it does without."""
        return None

    @abstractmethod
    def prepare(self, config: C) -> Any:
        """What the work needs, such as its data. Every rule that can be checked before work starts
        is checked here, before the directory is made. Raises InvalidInput.
        """

    def data(self, prepared: Any) -> str:
        """What a run reads, in a line for its start and its record; "" where it says nothing."""
        return ""

    def watchers(self, config: C, prepared: Any, history: H) -> list[Watcher]:
        """What a person sees of it."""
        return []

    @abstractmethod
    def work(self, prepared: Any, start: Start[C, H]) -> Mapping[str, Any]:
        """Carry out what is left of it, every event journalled; returns what is not on record."""

    def deliver(self, prepared: Any, run: Run[C, H]) -> Mapping[str, Any]:
        """What becomes result.json, its files written; `run.result` is what `work` returned."""
        return run.result

    def finish(self, run: Run[C, H]) -> Any:
        """Make tables, figures and page from the records, finished or not; what `tell` tells."""

    def standing(self, run: Run[C, H]) -> Standing:
        """What `fade-ray status` says."""
        return Standing(f"a run of {self.name}")

    def watched(self, run: Run[C, H]) -> "Iterable[Section]":
        """What `fade-ray watch` shows beside the trials, from the record by now."""
        return ()

    def settings(self, config: C, plan: Any) -> Mapping[str, str | float]:
        """What a trial tries, by name: its plan's numbers and words."""
        values = ((name, value) for name, value in plan.to_dict().items() if name not in APART)
        return {name: value for name, value in values if isinstance(value, str | int | float)}

    def tell(self, run: Run[C, H], console: Console) -> None:
        """What is printed at the end."""

    def export(self, run: Run[C, H], forms: Sequence[str] = ()) -> list[Path]:
        """The exported files of a finished run, and in further `forms`. InvalidInput for others."""
        raise InvalidInput(
            "Trained networks are exported, of `fade-ray search` and `fade-ray retrain`, but "
            f"{run.folder} holds a run of `fade-ray {self.name}`."
        )

    def architecture(self, run: Run[C, H]) -> Any:
        """What a run has found; None where it has found none."""
        return None

    def to_json(self, config: C) -> dict[str, Any]:
        """config.json."""
        return {"kind": self.name, **as_json(config)}

    def stored(self, folder: Path) -> C | None:
        """The configuration of the run in `folder`, its additions loaded, its paths absolute; None
        where there is none. Raises InvalidInput for one of another kind or version.
        """
        path = folder / "config.json"
        if not path.exists():
            return None
        values = read_object(path, Begun)
        kind = values.pop("kind", FIRST_KIND)
        if kind != self.name:
            raise InvalidInput(
                f"{folder} must hold a run of `fade-ray {self.name}`, but it holds one of "
                f"`fade-ray {kind}`. Name another directory, or continue that run with "
                f"`fade-ray {kind} --out {folder}`."
            )
        values["use"] = kept(folder, values.get("use", ()))
        space = values.get("space")
        named = space.get("space") if isinstance(space, Mapping) else None
        files = kept(folder, [named] if isinstance(named, str) else [])
        # the file of a space may hold an objective; one that is gone is told where it is needed
        load_additions([*values["use"], *(file for file in files if Path(file).exists())])
        try:
            config = placed(from_json(self.config, self.upgrade(values)), self.inputs)
            return with_space(config, kept(folder, space_of(config)))
        except (InvalidInput, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput(
                f"{path} must be the configuration of a run of this version, but: {error} "
                "Use the version of fade_ray that wrote it (see environment.json), or another "
                "--out."
            ) from error

    def inputs_of(self, config: C, folder: Path) -> Inputs:
        """What a run of `config` in `folder` reads, beside what that was."""
        return Inputs.of(config, self.inputs, folder)

    def same(self, folder: Path, config: C, inputs: Inputs) -> bool:
        """Whether `folder` holds this run. InvalidInput with the differences if another one, or one
        of other data.
        """
        before = self.stored(folder)
        if before is None:
            if folder.is_dir() and any(p.suffix in (".jsonl", ".html") for p in folder.iterdir()):
                raise InvalidInput(
                    f"{folder} holds files of something else. Choose another directory with --out."
                )
            return False
        inputs.check_unchanged()
        before = inputs.carried_over(before)
        spaces = space_of(before), space_of(config)
        if len({*map(len, spaces)}) == 1 and same_files(folder, files_of(config)):
            before = with_value(with_space(before, spaces[1]), ["use"], config.use)
        changed = differences(self.to_json(config), self.to_json(before))
        if changed and self.grows(before, config):
            remove(folder / "result.json")  # there is more to do
        elif changed:
            raise InvalidInput(
                f"{folder} holds a run with another configuration ({'; '.join(changed)}). Continue "
                "it with the flags it was started with (`fade-ray status` shows them), or choose "
                "another --out."
            )
        return True

    def read(self, folder: Path) -> Run[C, H]:
        """The run in `folder`, finished or not. InvalidInput where none can be read."""
        config = self.stored(folder)
        if config is None:
            raise InvalidInput(
                f"A run of `fade-ray {self.name}` is needed, but {folder} holds none."
            )
        environment = read_object(folder / "environment.json", Around)
        result = read_object(folder / "result.json", Ended)
        return Run(folder.resolve(), self.read_record(folder), config, environment, result)

    def read_record(self, folder: Path) -> H:
        return self.history.read(folder / self.record)


APART = {
    *("id", "index", "attempt", "parent", "of", "genotype", "hyper", "network", "epochs"),
    *("seed", "repeat", "study_seed"),
}
"""Fields of plans that say which trial it is, and which of several alike, not what it tries."""
FIRST_KIND = "search"
"""The kind of a config.json that names none: the first versions had no other."""
EARLIER_FILES = {"study.json": "analyse gradients"}
"""File in whose place config.json stands since -> the kind whose runs had it."""


def stored_kind(folder: Path) -> str:
    """The name of the kind of run in `folder`. Raises InvalidInput where there is none."""
    path = folder / "config.json"
    if not path.exists():
        for name, kind in EARLIER_FILES.items():
            if (folder / name).exists():
                return kind
    values = read_object(path, Begun)
    if not values:
        raise InvalidInput(f"The directory of a run is needed, but {folder} holds none.")
    return str(values.get("kind", FIRST_KIND))

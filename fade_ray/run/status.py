"""How far a run is, from its files alone."""

from datetime import datetime
from pathlib import Path

from fade_ray.records import History, wording

from .folder import read_json
from .progress import clock


def status(folder: Path) -> str:
    """A few lines for people. Raises InvalidInput if the records cannot be read."""
    history = History.read(folder / "records.jsonl")
    config = read_json(folder / "config.json")
    trials, cost = history.trials, history.cost
    total = config["outer"]["iterations"]
    reached = min(total, max(history.anchors, default=0))
    finished = (folder / "result.json").exists()
    state = "finished" if finished else "not finished"
    lines = [
        f"{folder}: {state}, iteration {reached} of {total}, {config['outer']['searcher']} search on {config['data']['data']}",
        f"  trials     {trials['done']} done, {trials['failed']} failed, {trials['retried']} retried, {len(history.in_flight)} open",
        f"  best       {'-' if history.best is None else f'{history.best.accuracy:.4f} (evaluation {history.best.id})'}",
        f"  cost       {cost.images:,} training images, {cost.multiply_adds:.3g} multiply-adds, {clock(cost.seconds)} training",
        f"  last event {history.last or '-'}{_age(history.last)}",
    ]
    lines += [f"  warning    {message}" for message in {wording(m): m for _, m in history.warnings}.values()]
    if finished:
        result = read_json(folder / "result.json")
        lines.append(f"  result     test accuracy {result['test_accuracy']:.4f}, {result['architecture']['code']}")
        lines.append(f"  report     {folder / 'report.html'}")
    else:
        lines.append(f"  continue   fade-ray search --out {folder}")
    return "\n".join(lines)


def _age(stamp: str | None) -> str:
    if stamp is None:
        return ""
    now = datetime.now().astimezone()
    return f" ({clock((now - datetime.fromisoformat(stamp)).total_seconds())} ago)"

"""What a person sees while a run goes on: one live line in a terminal."""

import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from fade_ray.run.watcher import Watcher


def clock(seconds: float) -> str:
    """h:mm:ss or m:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class LiveWatcher(Watcher):
    """One `live` line on stderr in a terminal, elsewhere None; warnings are printed above it."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, markup=False)
        self.started = time.monotonic()
        self.live = (
            Live(console=self.console, auto_refresh=False, transient=True)
            if self.console.is_terminal
            else None
        )
        if self.live is not None:
            self.live.start()

    def warned(self, message: str) -> None:
        self.console.print(Text(f"warning: {message}", style="yellow"), soft_wrap=True)

    def close(self) -> None:
        if self.live is not None:
            self.live.stop()

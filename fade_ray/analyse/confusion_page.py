"""`report.html` of a study of gradient confusion."""

from collections.abc import Iterator, Sequence

from fade_ray.analyse.confusion_figures import pictures
from fade_ray.analyse.confusion_summary import CAVEAT, Network, findings
from fade_ray.report.page import Column, Numbers, Section, Table, Verdict, figure
from fade_ray.report.words import DASH, number, si

COLUMNS = (
    Column("network", lambda network: network.size),
    Numbers("weights", lambda network: si(network.parameters)),
    Numbers("m", lambda network: str(network.batches)),
    Numbers("seeds", lambda network: str(len(network.seeds))),
    Numbers("per M", lambda network: network.text()),
    Numbers("95 %", lambda network: network.interval_text),
    Numbers("raw", lambda network: network.text("raw")),
    Numbers("cosine", lambda network: network.text("cosine")),
    Numbers("aux.", lambda network: network.text("auxiliary_zeta")),
    Numbers("skips", lambda network: number(float(network.normal_skips.mean()), 1)),
)
"""Of a network."""


def sections(study: Sequence[Network]) -> Iterator[Section]:
    """Of what has been measured."""
    found = findings(study)
    if found:
        yield Section("What it shows", [Verdict(found[0], found[1:])])
    columns = [c for c in COLUMNS if any(c.of(network) != DASH for network in study)]
    title = "Networks"
    yield Section(
        title, [Table.of("", columns, study, note=CAVEAT, missing="None yet.", label=title)]
    )
    yield Section("Figures", [figure(picture) for picture in pictures(study)])

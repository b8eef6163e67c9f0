"""The recurrent cell against its formulas, written out step by step; its sizes; its masks."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from fade_ray.nn import Draw, EdgeWeights
from fade_ray.nn.language_network import ACTIVATIONS, Dropouts, LanguageNetwork, Masks
from spaces import GENOTYPES, InvalidInput, Macro, published
from spaces.recurrent import KIND, OPS, macro, recurrent_cell

UNITS, VOCABULARY, BATCH, TIME = 6, 11, 4, 3
NONE = Dropouts(0.0, 0.0, 0.0, 0.0, 0.0)
SMALL = macro(recurrent_cell(3))
CELL = SMALL.cells[KIND]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(of: Macro = SMALL, *, search: bool = False) -> LanguageNetwork:
    made = LanguageNetwork(
        of, vocabulary=VOCABULARY, units=UNITS, search=search, generator=seeded()
    ).double()
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(20)
    return made


WORDS = torch.randint(0, VOCABULARY, (BATCH, TIME), generator=seeded(1))
STATE = torch.randn(BATCH, UNITS, generator=seeded(2), dtype=torch.float64)
GENOTYPE = macro(CELL.genotype([(0, 1, "tanh"), (1, 2, "sigmoid"), (1, 3, "relu")]))


def weights(seed: int = 3) -> EdgeWeights:
    drawn = torch.randn(len(CELL.edges), len(OPS), generator=seeded(seed), dtype=torch.float64)
    return EdgeWeights(drawn.softmax(dim=1))


def written_out(
    net: LanguageNetwork, of: Macro, masks: Masks, mixture: EdgeWeights | None
) -> tuple[Tensor, Tensor]:
    """Scores and the last state by the formulas of B.5, each predecessor and operation alone."""
    cell, one = of.cells[KIND], torch.ones(())
    vectors = net.vectors * (one if masks.word is None else masks.word)
    x = vectors[WORDS] * (one if masks.embedding is None else masks.embedding)
    mx = one if masks.input is None else masks.input[:, 0]
    mh = one if masks.hidden is None else masks.hidden

    def normed(s: Tensor) -> Tensor:
        if net.cell.norm is None:
            return s
        return (s - s.mean(0)) / (s.var(0, unbiased=False) + 1e-5).sqrt()

    h, outputs = STATE, []
    for t in range(TIME):
        c, u = (torch.cat([x[:, t] * mx, h * mh], 1) @ net.cell.entry).chunk(2, 1)
        states = [normed(h + c.sigmoid() * (u.tanh() - h))]
        for node in range(1, cell.nodes):
            total = torch.zeros_like(h)
            for edge in cell.incoming(node):
                s = states[cell.edges[edge][0]]
                c, u = ((s * mh) @ net.cell.nodes[node - 1]).chunk(2, 1)
                for k, op in enumerate(OPS):
                    if op != "none" and cell.allowed[edge][k]:
                        p = 1.0 if mixture is None else mixture.operations[edge, k]
                        total = total + p * (s + c.sigmoid() * (ACTIVATIONS[op](u) - s))
            states.append(normed(total))
        h = sum((states[node] for node in cell.outputs), torch.zeros_like(h)) / len(cell.outputs)
        outputs.append(h)
    y = torch.stack(outputs, 1) * (one if masks.output is None else masks.output)
    return y @ net.vectors.T + net.bias, h


RATES = {"none": NONE, "all": Dropouts(0.5, 0.3, 0.4, 0.2, 0.3)}


@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
@pytest.mark.parametrize("search", [False, True])
def test_the_network_is_what_its_formulas_say(search: bool, rates: Dropouts) -> None:
    of, mixture = (SMALL, weights()) if search else (GENOTYPE, None)
    net = network(of, search=search)
    edges: Mapping[str, EdgeWeights] | None = None if mixture is None else {KIND: mixture}
    scores, state = net(WORDS, Draw(edges=edges, noise=seeded(5)), STATE, rates)
    masks = Masks.drawn(rates, BATCH, net.vectors, seeded(5))
    expected, last = written_out(net, of, masks, mixture)
    torch.testing.assert_close(scores.main, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=1e-9, atol=1e-12)
    assert not state.requires_grad


def test_operations_that_do_not_run_are_as_if_they_weighed_nothing() -> None:
    net = network(search=True)
    used = tuple((1 + edge % 4,) for edge in range(len(CELL.edges)))
    operations = torch.zeros(len(CELL.edges), len(OPS), dtype=torch.float64)
    for edge, (k,) in enumerate(used):
        operations[edge, k] = 0.5
    factors = torch.linspace(0.5, 2, len(CELL.edges), dtype=torch.float64)
    draws = [
        {KIND: EdgeWeights(operations, factors, used)},
        {KIND: EdgeWeights(operations * factors[:, None])},
    ]
    alone, dense = (net(WORDS, Draw(edges=edges), STATE)[0].main for edges in draws)
    torch.testing.assert_close(alone, dense, rtol=1e-9, atol=1e-12)


def test_a_node_of_none_is_zero() -> None:
    empty = macro(CELL.genotype([(0, 1, "tanh"), (0, 2, "none"), (2, 3, "relu")]))
    net = network(empty)
    scores, _ = net(WORDS, Draw(), STATE)
    torch.testing.assert_close(scores.main, written_out(net, empty, Masks(), None)[0])


def test_a_state_goes_on_where_a_sequence_was_cut() -> None:
    net = network(GENOTYPE).eval()
    whole, last = net(WORDS, Draw(), STATE)
    first, between = net(WORDS[:, :1], Draw(), STATE)
    second, end = net(WORDS[:, 1:], Draw(), between)
    torch.testing.assert_close(torch.cat([first.main, second.main], 1), whole.main)
    torch.testing.assert_close(end, last)


def test_masks_stand_for_all_words_of_a_pass_and_rest_in_evaluation() -> None:
    masks = Masks.drawn(RATES["all"], BATCH, torch.empty(VOCABULARY, UNITS), seeded())
    shapes = {name: tuple(mask.shape) for name, mask in masks._asdict().items()}
    wide = (BATCH, 1, UNITS)
    assert shapes == {
        **{"word": (VOCABULARY, 1), "embedding": wide, "input": wide},
        **{"hidden": (BATCH, UNITS), "output": wide},
    }
    assert set(masks.output.flatten().tolist()) == {0.0, 2.0}
    assert Masks.drawn(NONE, BATCH, torch.empty(VOCABULARY, UNITS), seeded()) == Masks()
    net, noise = network(GENOTYPE).eval(), seeded()
    before = noise.get_state()
    scores, _ = net(WORDS, Draw(noise=noise), STATE, RATES["all"])
    assert torch.equal(noise.get_state(), before)
    torch.testing.assert_close(scores.main, written_out(net, GENOTYPE, Masks(), None)[0])


def test_sizes() -> None:
    """Algorithms F.2."""
    sizes = {"vocabulary": 10_000, "units": 850, "generator": seeded()}
    net = LanguageNetwork(GENOTYPES["RNN_DARTS_V2"], **sizes)
    assert sum(weight.numel() for weight in net.parameters()) == 22_960_000
    assert net.multiply_adds() == 22_960_000 - 10_000  # all but the decoder's bias
    enas = LanguageNetwork(GENOTYPES["RNN_ENAS"], **sizes)
    assert sum(weight.numel() for weight in enas.parameters()) == 22_960_000 + 3 * 2 * 850**2
    search = LanguageNetwork(macro(), vocabulary=10, units=8, search=True, generator=seeded())
    assert search.cost().multiply_adds == 2 * (2 + 36) * 64 + 80
    assert (search.cost().norms, search.cost().relus) == (9 * 8, 36 * 8)


def test_what_it_cannot_be_built_of_or_run_with() -> None:
    with pytest.raises(InvalidInput, match="gets architecture weights"):
        network()(WORDS, Draw(), STATE)
    with pytest.raises(InvalidInput, match="of recurrent cells"):
        network(published("darts").macro)
    with pytest.raises(InvalidInput, match="0 <= hidden_dropout < 1"):
        Dropouts(hidden_dropout=1.0)

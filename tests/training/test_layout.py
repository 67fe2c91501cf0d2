import torch
from hypothesis import given
from hypothesis import strategies as st

from urm_ray.training.layout import collect, layout_of, spread

WORDS = st.lists(st.integers(1, 3), min_size=1, max_size=6)


def padded(rows, left=False) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and what is no padding."""
    length = max(map(len, rows))
    made = [[0] * (length - len(row)) + row if left else row + [0] * (length - len(row)) for row in rows]
    return torch.tensor(made), (torch.tensor(made) > 0).long()


def together(first, second) -> int:
    """How many tokens two rows begin with in common."""
    return next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_each_token_is_kept_once_and_what_a_pair_begins_with_too(pairs):
    rows = [one for one, _ in pairs] + [other for _, other in pairs]
    ids, mask = padded(rows)
    layout = layout_of(ids, mask, pairs=True)
    assert len(layout.first) == sum(map(len, rows)) - sum(together(*pair) for pair in pairs)
    assert torch.equal(spread(layout.pick(ids), layout)[mask.bool()], ids[mask.bool()])
    places = torch.arange(ids.numel()).view_as(ids)
    for number, (one, other) in enumerate(pairs):
        same = together(one, other)
        second = len(pairs) + number
        assert torch.equal(layout.numbers[number, :same], layout.numbers[second, :same])
        apart = set(layout.numbers[second, same : len(other)].tolist())
        assert apart.isdisjoint(layout.numbers[number, : len(one)].tolist())
        assert layout.first[layout.numbers[number, : len(one)]].tolist() == places[number, : len(one)].tolist()


@given(st.lists(WORDS, min_size=1, max_size=4), st.booleans())
def test_rows_that_are_no_pairs_share_nothing(rows, left):
    ids, mask = padded(rows, left)
    layout = layout_of(ids, mask, pairs=False)
    assert torch.equal(layout.pick(ids), ids[mask.bool()])
    assert layout.right == (not left or len({*map(len, rows)}) == 1)
    assert layout.is_full == (len({*map(len, rows)}) == 1)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3), st.booleans())
def test_gradients_are_those_of_plain_indexing(pairs, is_shared):
    ids, mask = padded([one for one, _ in pairs] + [other for _, other in pairs])
    layout, real = layout_of(ids, mask, is_shared), mask.bool()
    tokens = torch.randn(len(layout.first), 2, 3, dtype=torch.double, requires_grad=True)
    weights = torch.randn(*ids.shape, 2, 3, dtype=torch.double) * real[..., None, None]
    (spread(tokens, layout) * weights).sum().backward()
    ours, tokens.grad = tokens.grad, None
    (tokens[layout.numbers.flatten()].view_as(weights) * weights).sum().backward()
    torch.testing.assert_close(ours, tokens.grad)
    places = torch.randn(*ids.shape, 2, dtype=torch.double, requires_grad=True)
    chosen = torch.randn(len(layout.first), 2, dtype=torch.double)
    (collect(places, layout) * chosen).sum().backward()
    ours, places.grad = places.grad, None
    (places.flatten(0, 1)[layout.first] * chosen).sum().backward()
    torch.testing.assert_close(ours, places.grad)

import pytest
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from urm_ray.planning.rehearsal import Rehearsal, RehearsalError, extended, rehearse, repeated

WIDTH, ROWS = 64, 32
ACTIVATION, MATRIX = 4 * ROWS * WIDTH, WIDTH * WIDTH


def _step(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Keeps its input and one more of its size for the backward pass."""
    return layer(x).tanh().sin().exp()


class Chain(torch.nn.Module):
    """Linear layers with three functions behind each."""

    def __init__(self, layers: int, checkpointing: bool = False) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(layers))
        self.checkpointing = checkpointing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = checkpoint(_step, layer, x, use_reentrant=False) if self.checkpointing else _step(layer, x)
        return x


def trained(model: torch.nn.Module, rows: int = ROWS) -> Rehearsal:
    return rehearse(lambda: model(torch.empty(rows, WIDTH, device="meta")).sum().backward(), model)


def on_meta(*args) -> Chain:
    with torch.device("meta"):
        return Chain(*args)


def test_what_is_held_is_what_autograd_keeps():
    run = trained(on_meta(10))
    # The input and two for each layer stay for the backward pass; at its start a few more of the same size come.
    assert 21 * ACTIVATION <= run.peak() <= 24 * ACTIVATION
    assert [finished for _, finished in run.moments] == [n * MATRIX for n in range(11)]
    assert run.flops == 10 * 2 * ROWS * MATRIX * 3 - 2 * ROWS * MATRIX  # the input needs no gradient
    held = [bytes_ for bytes_, _ in run.moments]
    assert held[-2] < held[0] / 3, "activations go as the backward pass proceeds"


def test_gradients_count_where_they_are_kept():
    run = trained(on_meta(10), rows=2)
    assert run.peak(4) == pytest.approx(10 * 4 * MATRIX, rel=0.2)
    assert run.peak() < run.peak(1) < run.peak(4)
    assert run.peak(0, reducing=10**9) >= 10**9


def test_gradient_checkpointing_is_followed():
    plain, spared = trained(on_meta(30)), trained(on_meta(30, True))
    assert 30 * ACTIVATION < spared.peak() < 0.6 * plain.peak()
    assert spared.flops == pytest.approx(plain.flops * 4 / 3, rel=0.05)


def test_nothing_is_left_behind():
    model = on_meta(2)
    usual = functional.scaled_dot_product_attention
    trained(model)
    assert functional.scaled_dot_product_attention is usual
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(RehearsalError, match=r"Chain cannot be followed"):
        rehearse(lambda: model(torch.empty(2, 3, device="meta")), model)
    assert functional.scaled_dot_product_attention is usual


def test_every_further_row_adds_the_same():
    one, two, five = (trained(on_meta(4), rows) for rows in (1, 2, 5))
    for gradient_bytes in (0, 4):
        assert extended(one, two, 5).peak(gradient_bytes) == five.peak(gradient_bytes)
    assert extended(one, two, 5).flops == five.flops


def test_one_thing_can_stand_for_many():
    encoder, reader = on_meta(5), on_meta(3)

    def many() -> None:
        reader(
            torch.cat(
                [encoder(torch.empty(ROWS, WIDTH, device="meta"))] * 1
                + [encoder(torch.empty(ROWS, WIDTH, device="meta")) for _ in range(7)]
            )
        ).sum().backward()

    def one() -> None:
        reader(repeated(lambda: encoder(torch.empty(ROWS, WIDTH, device="meta")), 8)).sum().backward()

    apart, joined = rehearse(many, encoder, reader), rehearse(one, encoder, reader)
    assert joined.flops == apart.flops
    assert joined.peak() == pytest.approx(apart.peak(), rel=0.1)


def test_attention_keeps_no_scores_unless_it_is_spelt_out():
    def attend(eager: bool) -> float:
        q, k, v = (torch.empty(1, 4, 1000, 16, device="meta", requires_grad=True) for _ in range(3))

        def run() -> None:
            if eager:
                ((q @ k.transpose(2, 3)).softmax(-1) @ v).sum().backward()
            else:
                functional.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()

        return rehearse(run, torch.nn.Identity()).peak()

    scores = 4 * 4 * 1000 * 1000
    assert attend(False) < scores / 4
    assert attend(True) > 2 * scores


def test_what_has_been_seen_before_is_looked_up_and_gives_the_same():
    from urm_ray.planning import operations

    def attended() -> Rehearsal:
        model = on_meta(3, True)

        def run() -> None:
            x = model(torch.empty(ROWS, WIDTH, device="meta"))
            q = (x * 2 + x.new_ones(1)).view(1, 4, ROWS, WIDTH // 4)
            y = functional.scaled_dot_product_attention(q, q, q).flatten(0, 1)
            (y[:2].float().softmax(-1).to(torch.bfloat16).sum() + (y > 0).sum()).backward()

        return rehearse(run, model)

    operations._seen.clear()
    cold = attended()
    assert len(operations._seen) > 20
    assert attended() == cold


def test_one_one_and_true_are_three_different_things():
    from urm_ray.planning.operations import result

    whole = torch.empty(3, dtype=torch.int64, device="meta")
    add = torch.ops.aten.mul.Tensor
    kinds = [result(add, (whole, other), {}).dtype for other in (1, 1.0, True, 1, 1.0)]
    assert kinds == [torch.int64, torch.float32, torch.int64, torch.int64, torch.float32]


def test_a_view_stays_a_view():
    from urm_ray.planning.operations import result

    x = torch.empty(4, 6, device="meta")
    for func, args in ((torch.ops.aten._unsafe_view.default, [24]), (torch.ops.aten.view.default, [6, 4])):
        for _ in range(2):
            made = result(func, (x, args), {})
            assert made.untyped_storage()._cdata == x.untyped_storage()._cdata
    for _ in range(2):
        assert result(torch.ops.aten.add_.Tensor, (x, x), {}) is x


def test_sizes_that_are_real_may_meet_the_model():
    model = on_meta(1)

    def run() -> None:
        lengths = torch.tensor([3, 5])
        x = torch.empty(8, WIDTH, device="meta") * torch.arange(8)[:, None]
        parts = x.split(lengths.tolist())
        assert [len(part) for part in parts] == [3, 5]
        model(x[torch.tensor([1, 2])])

    assert rehearse(run, model).peak() > 0

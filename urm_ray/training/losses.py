"""Preference losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class DiffusionDpo:
    """Diffusion-DPO over a batch of B pairs; every error is (B,), the mean over all axes of one sample."""

    loss: torch.Tensor
    winner_error: torch.Tensor
    loser_error: torch.Tensor
    winner_reference: torch.Tensor
    loser_reference: torch.Tensor
    accuracy: torch.Tensor


def sample_errors(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared error of each sample (B,), averaged over its other axes: a clip counts once, like a picture."""
    return (predicted.float() - target.float()).square().flatten(1).mean(1)


def diffusion_dpo_loss(
    predicted: torch.Tensor, reference: torch.Tensor, target: torch.Tensor, beta: float, sft_weight: float = 0.0
) -> DiffusionDpo:
    """`dpo_loss_of_errors` of two models' predictions.

    predicted, reference, target: (2B, ...), the B winners first, then their losers in the same order, with the same
    noise and timestep for both of a pair.
    """
    with torch.no_grad():
        reference_errors = sample_errors(reference, target)
    return dpo_loss_of_errors(sample_errors(predicted, target), reference_errors, beta, sft_weight)


def dpo_loss_of_errors(
    errors: torch.Tensor, reference: torch.Tensor, beta: float, sft_weight: float = 0.0
) -> DiffusionDpo:
    """-log sigmoid(-beta / 2 * [(winner - its reference) - (loser - its reference)]) of denoising errors.

    Paper III-D; Diffusion-DPO (arXiv 2311.12908), eq. 14, with T * omega(lambda_t) folded into beta. On top of it,
    if asked for, sft_weight * (winner / its reference - 1): what RPO (arXiv 2404.19733) adds to DPO, for denoisers.

    errors, reference: (2B,), the B winners first, then their losers in the same order.
    """
    if len(errors) % 2:
        raise ValueError("a batch holds winners and as many losers")
    winner, loser = errors.chunk(2)
    winner_reference, loser_reference = reference.detach().chunk(2)
    inside = -0.5 * beta * ((winner - winner_reference) - (loser - loser_reference))
    loss = -F.logsigmoid(inside).mean()
    if sft_weight:
        smallest = torch.finfo(winner.dtype).tiny
        loss = loss + sft_weight * (winner / winner_reference.clamp(min=smallest) - 1).mean()
    return DiffusionDpo(
        loss,
        winner.detach(),
        loser.detach(),
        winner_reference,
        loser_reference,
        (inside.detach() > 0).float(),
    )

"""Log-probabilities of answers, and those of the reference, computed once and stored with each pair."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import torch
from transformers import BatchFeature

from urm_ray.config_policy import DEFAULT_CLIPS, ClipConfig
from urm_ray.config_training import VlmDpoConfig
from urm_ray.schema import REFERENCE
from urm_ray.training.answer_pairs import AnswerPairs, Pair, PairError
from urm_ray.training.encode_once import encode_once
from urm_ray.training.read_once import read_once
from urm_ray.vlms import load_vlm, logits

_HEAD_POSITIONS = 1024


def answer_logps(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Summed log-probability (2B,), in float32, of each answer of a batch of `AnswerPairs`, the chosen ones first.

    Logits are made for the positions of the answers alone, a thousand at a time.
    """
    inputs = {name: value for name, value in batch.items() if name != "completion_mask"}
    answers = batch["completion_mask"][:, 1:].bool()
    hidden = model.base_model(**inputs, use_cache=False).last_hidden_state[:, :-1][answers]
    targets = batch["input_ids"][:, 1:][answers]
    tokens = torch.cat(
        [
            logits(model, states).float().log_softmax(-1).gather(1, wanted[:, None])[:, 0]
            for states, wanted in zip(hidden.split(_HEAD_POSITIONS), targets.split(_HEAD_POSITIONS), strict=True)
        ]
    )
    # Back to a grid and summed along an axis: a sum by index depends on the order of threads on a GPU.
    grid = torch.zeros(answers.shape, device=tokens.device)
    return grid.masked_scatter(answers, tokens).sum(1)


class ReferenceLogps:
    """Adds the `schema.REFERENCE` columns to `schema.PREFERENCE_PAIR` rows with `context`, in their order.

    A pair that cannot be trained on keeps its row, with the reason in `unfit`.
    """

    def __init__(
        self,
        path: str,
        config: VlmDpoConfig,
        reference_digest: str,
        clips: ClipConfig = DEFAULT_CLIPS,
        device: str = "auto",
    ) -> None:
        dtype = "bfloat16" if config.bf16 else "float32"
        self.model, processor, self.device = load_vlm(path, dtype, device, config.attention, clips)
        encode_once(self.model)
        read_once(self.model, pairs=True)
        self.pairs = AnswerPairs(processor, config.max_length, clips)
        self.batch, self.digest = config.reference_batch, reference_digest

    def __call__(self, table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        added: list[dict[str, Any]] = []
        for start in range(0, len(rows), self.batch):
            added += self._rows(rows[start : start + self.batch])
        for field in REFERENCE:
            table = table.append_column(field, pa.array([row[field.name] for row in added], field.type))
        return table

    def _rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        added: list[dict[str, Any]] = []
        fit: list[tuple[Pair, dict[str, Any]]] = []
        for row in rows:
            added.append(dict.fromkeys(REFERENCE.names) | {"reference_digest": self.digest})
            try:
                pair = self.pairs.prepare(row)
                added[-1]["length"] = pair.length
                fit.append((pair, added[-1]))
            except PairError as error:
                added[-1] |= {"length": error.length, "unfit": error.reason}
        if fit:
            logps = self._logps([pair for pair, _ in fit]).chunk(2)
            for (_, row), chosen, rejected in zip(fit, *(half.tolist() for half in logps), strict=True):
                if math.isfinite(chosen) and math.isfinite(rejected):
                    row |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
                else:
                    row["unfit"] = "not_a_number"
        return added

    @torch.inference_mode()
    def _logps(self, pairs: list[Pair]) -> torch.Tensor:
        batch = BatchFeature(self.pairs.join(pairs)).to(self.device, self.model.dtype)
        return answer_logps(self.model, batch)

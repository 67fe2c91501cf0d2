"""One worker of one case of plan_memory.py: the real work on a CPU, and what the operating system gave it at most.

python tests/benchmarks/plan_memory_worker.py CASE_AS_JSON RANK PORT
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

STEPS = 2


def resident(field: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most since the last `forget`."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field + ":")) * 1024


def forget() -> None:
    """Begins to look for the highest point anew (proc(5), clear_refs)."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def real(path: str, part: str) -> Any:
    """A part of a checkpoint of configuration files with random weights, in float32; ZeRO-3 shards it as it is made."""
    import torch

    from urm_ray.planning.architectures import architecture
    from urm_ray.planning.skeleton import built

    found = architecture(path)
    assert found is not None
    torch.manual_seed(0)
    return built(found.parts[part])


class Batches:
    start = 0

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self.make = make

    def __len__(self) -> int:
        return 100

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            yield self.make()


def vlm_inputs(case: dict[str, Any], rows: int, answers: int = 1) -> dict[str, Any]:
    """Model inputs of so many chats about one picture each, of a qwen or llava checkpoint."""
    import torch

    seen, tokens = case["seen"], case["tokens"]
    ids = torch.randint(10, 600, (rows * answers, tokens))
    ids[:, 5 : 5 + seen] = 5
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if case["model"] == "qwen":
        grid = case["grid"]
        inputs["pixel_values"] = torch.randn(rows * grid[0] * grid[1], 3 * 2 * 14 * 14)
        inputs["image_grid_thw"] = torch.tensor([[1, *grid]] * rows * answers)
        inputs["mm_token_type_ids"] = (ids == 5).long()
    else:
        inputs["pixel_values"] = torch.randn(rows, case["squares"], 3, 112, 112)
        inputs["image_sizes"] = torch.tensor([case["size"]] * rows * answers)
        inputs["batch_num_images"] = torch.ones(rows * answers, dtype=torch.long)
    return inputs


def train_vlm(case: dict[str, Any], path: str, callback: Any) -> Any:
    import torch
    from trl import SFTConfig

    from urm_ray.config_training import RewardConfig
    from urm_ray.training.lora import add_lora
    from urm_ray.training.reward_sft import RewardTrainer
    from urm_ray.training.zero import trainer_arguments
    from urm_ray.vlms import before_language, load_processor

    config = RewardConfig(**case["train"])
    arguments = trainer_arguments(config, case["scratch"], 0, use_cpu=True) | {"save_strategy": "no"}
    settings = SFTConfig(**arguments, max_length=None, dataset_kwargs={"skip_prepare_dataset": True})
    processor = load_processor("urm_ray.scenes:checkpoints/vlm")

    def batch() -> dict[str, Any]:
        inputs = vlm_inputs(case, config.batch)
        labels = torch.full_like(inputs["input_ids"], -100)
        labels[:, -case["predicted"] :] = 7
        return inputs | {"labels": labels}

    callback.begin()
    model = real(path, "model").to(torch.bfloat16 if config.bf16 else torch.float32)
    for _, parameter in before_language(model):
        parameter.requires_grad = config.train_vision
    return RewardTrainer(
        model=add_lora(model, config.lora) if config.lora else model,
        args=settings,
        processing_class=processor,
        data_collator=lambda rows: rows,
        callbacks=[callback],
        batches=Batches(batch),
    )


def train_denoiser(case: dict[str, Any], path: str, callback: Any) -> Any:
    import torch
    from transformers import TrainingArguments

    from urm_ray.config_policy import SamplerConfig
    from urm_ray.config_training import DpoConfig
    from urm_ray.planning.architectures import architecture
    from urm_ray.planning.shots import conditioning, family_of, shots
    from urm_ray.training.diffusion_dpo import DiffusionDpoTrainer, trainable
    from urm_ray.training.objectives import Noised
    from urm_ray.training.zero import trainer_arguments

    config = DpoConfig(**case["train"])
    found = architecture(path)
    assert found is not None
    family, sampler = family_of(found), SamplerConfig(**case["sampler"])
    assert family is not None
    made = shots(found, family, sampler)
    told = {name: torch.randn(t.shape) for name, t in conditioning(found, family, sampler, made).items()}

    class Noise:
        """Fresh noise, and a fixed time; the real one needs a scheduler."""

        def number(self, pair_id: str, step: int) -> int:
            return 0

        def __call__(self, mean: torch.Tensor, std: torch.Tensor, ids: Any, numbers: Any) -> Noised:
            noise = torch.randn_like(mean)
            return Noised(mean + noise, torch.full((len(mean),), 500), noise)

    def batch() -> dict[str, Any]:
        rows, latents = config.batch, torch.randn(2 * config.batch, *made.latents)
        both = {name: torch.stack([tensor] * rows) for name, tensor in told.items()}
        return {"ids": ["p"] * rows, "conditioning": both, "mean": latents, "std": latents.clone()}

    arguments = trainer_arguments(config, case["scratch"], 0, use_cpu=True)
    arguments |= {"save_strategy": "no", "gradient_checkpointing": False}
    callback.begin()
    dtype = torch.bfloat16 if config.bf16 else torch.float32
    reference = real(path, family.denoiser).to(dtype).requires_grad_(False).eval()
    return DiffusionDpoTrainer(
        model=trainable(real(path, family.denoiser), config),
        args=TrainingArguments(**arguments),
        callbacks=[callback],
        family=family,
        batches=Batches(batch),
        noising=Noise(),
        reference=reference if config.reference == "copy" else None,
        config=config,
    )


def measure_training(case: dict[str, Any], rank: int, port: str) -> int:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(case["train"]["workers"]))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, DS_ACCELERATOR="cpu")
    import deepspeed
    import torch
    from transformers import TrainerCallback

    deepspeed.logger.setLevel(40)
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    torch.distributed.all_reduce(torch.zeros(1000))

    class Watch(TrainerCallback):
        base = 0

        def begin(self) -> None:
            gc.collect()
            self.base = resident("VmRSS")

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 0:
                forget()  # how the model was built and sharded is another matter

    watch = Watch()
    make = train_vlm if case["model"] in ("qwen", "llava") else train_denoiser
    with contextlib.redirect_stdout(io.StringIO()):
        trainer = make(case, case["path"], watch)
        trainer.train()
    return resident("VmHWM") - watch.base


def measure_use(case: dict[str, Any]) -> int:
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    from urm_ray.models import load_pipeline, torch_dtype
    from urm_ray.planning.architectures import architecture
    from urm_ray.planning.skeleton import skeleton

    dtype, found = torch_dtype(case["dtype"]), architecture(case["path"])
    assert found is not None
    for part in found.parts:
        skeleton(found, part)  # imports what it needs
    tokenizer = load_pipeline("urm_ray.scenes:checkpoints/text_to_image", device="cpu", only=("tokenizer",)).tokenizer
    torch.nn.functional.conv2d(torch.ones(1, 2, 9, 9), torch.ones(2, 2, 3, 3)) @ torch.ones(7, 7)
    gc.collect()
    base = resident("VmRSS")
    if case["use"] == "read":
        model = real(case["path"], "model").to(dtype).eval()
        inputs = vlm_inputs(case, case["batch"])
        inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
        forget()
        with torch.inference_mode():
            hidden = model.base_model(**inputs, use_cache=False).last_hidden_state
            model.get_output_embeddings()(hidden[:, -case["predicted"] :]).float()
    else:
        from diffusers import DDIMScheduler, StableDiffusionPipeline

        from urm_ray.models import load_pipeline

        tokenizer = load_pipeline(
            "urm_ray.scenes:checkpoints/text_to_image", device="cpu", only=("tokenizer",)
        ).tokenizer
        parts = {part: real(case["path"], part).to(dtype).eval() for part in ("unet", "vae", "text_encoder")}
        pipeline = StableDiffusionPipeline(
            **parts, tokenizer=tokenizer, scheduler=DDIMScheduler(), safety_checker=None, feature_extractor=None
        )
        pipeline.set_progress_bar_config(disable=True)
        forget()
        with torch.inference_mode():
            pipeline(["a"] * case["sampler"]["batch"], **case["call"], output_type="pt")
    return resident("VmHWM") - base


def main() -> int:
    case, rank, port = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    found = measure_training(case, rank, port) if "train" in case else measure_use(case)
    if rank == 0:
        print(json.dumps(found), flush=True)
    os._exit(0)  # without waiting for the other workers


if __name__ == "__main__":
    sys.exit(main())

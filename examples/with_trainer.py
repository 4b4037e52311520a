"""LearnedLR beside AdamW in Hugging Face's Trainer, on the characters of Python's own help.

python examples/with_trainer.py --steps 200
"""

import argparse
import tempfile
from pydoc_data.topics import topics

import torch
import transformers

from learned_lr import LearnedLR

CONTEXT = 64


class Trainer(transformers.Trainer):
    """A Trainer that passes the loss to the optimizer; the original calls `step()` without it."""

    def compute_loss(self, model, *args, **kwargs):
        found = super().compute_loss(model, *args, **kwargs)
        optimizer = getattr(self.optimizer, "optimizer", self.optimizer)  # Accelerate wraps it
        if model.training and isinstance(optimizer, LearnedLR):
            optimizer.observe(found[0] if isinstance(found, tuple) else found)
        return found


def load_data():
    """Return training and test examples, and the number of distinct characters."""
    text = "\n".join(topics[name] for name in sorted(topics))[:200_000]
    alphabet = sorted(set(text))
    numbers = torch.tensor([alphabet.index(character) for character in text])
    rows = numbers[: len(numbers) // CONTEXT * CONTEXT].view(-1, CONTEXT)
    examples = [{"input_ids": row, "labels": row} for row in rows]
    return examples[:-200], examples[-200:], len(alphabet)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    transformers.logging.set_verbosity_error()
    training, testing, characters = load_data()
    config = transformers.GPT2Config(
        vocab_size=characters,
        n_positions=CONTEXT,
        n_embd=128,
        n_layer=2,
        n_head=4,
        bos_token_id=0,
        eos_token_id=0,
    )
    for name, make in (
        ("AdamW, lr=1e-3", lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)),
        ("LearnedLR", LearnedLR),
    ):
        transformers.set_seed(0)
        model = transformers.GPT2LMHeadModel(config)
        with tempfile.TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                output_dir=folder,
                max_steps=steps,
                per_device_train_batch_size=32,
                lr_scheduler_type="constant",
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
                save_strategy="no",
                logging_strategy="no",
            )
            optimizers = make(model.parameters()), None
            trainer = Trainer(model, arguments, train_dataset=training, optimizers=optimizers)
            trainer.train()
            metrics = trainer.evaluate(testing)  # with averaged weights: it calls optimizer.eval()
        print(f"{name}: test loss {metrics['eval_loss']:.3f} after {steps} steps")


if __name__ == "__main__":
    main()

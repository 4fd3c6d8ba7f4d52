"""The adapters inside the real Lightning and Transformers; skipped where they are not installed."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from rmtviz.loops import Factored, lightning, transformers
from rmtviz.rules import FixedRank
from rmtviz.schedules import Once

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

CUT = Once(epoch=1, gate="none")


class Digits(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Points of two classes, told apart by their first coordinate."""

    def __init__(self, count: int = 64) -> None:
        self.x = torch.randn(count, 40, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        return {"x": self.x[place], "labels": (self.x[place][0] > 0).long()}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(40, 60), nn.ReLU(), nn.Linear(60, 2))


def snapshots(modules: list[nn.Module]) -> list[tuple[str, torch.Tensor]]:
    return [
        (name, parameter.detach().clone())
        for module in modules
        for name, parameter in module.named_parameters()
    ]


def moved(before: list[tuple[str, torch.Tensor]], modules: list[nn.Module]) -> bool:
    pairs = zip(before, snapshots(modules), strict=True)
    return all(not torch.equal(old, new) for (_, old), (_, new) in pairs)


def test_lightning_trains_what_was_cut() -> None:
    pl = pytest.importorskip("lightning.pytorch")
    found = SimpleNamespace(after=[])

    class Module(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
            return nn.functional.cross_entropy(self.net(batch["x"]), batch["labels"])

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.01)

        def on_train_epoch_start(self) -> None:
            if isinstance(self.net[0], Factored) and not found.after:
                found.after = snapshots([self.net[0]])

    torch.manual_seed(0)
    module = Module()
    pl.Trainer(
        max_epochs=3,
        callbacks=[lightning.callback(CUT, FixedRank(8))],
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    ).fit(module, torch.utils.data.DataLoader(Digits(), 16))
    assert isinstance(module.net[0], Factored)
    assert moved(found.after, [module.net[0]])


def test_transformers_trains_what_was_cut(tmp_path: Path) -> None:
    library = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    found = SimpleNamespace(after=[], known=False)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            logits = self.net(x)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    class Watch(library.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_epoch_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
            if isinstance(parts["model"].net[0], Factored) and not found.after:
                found.after = snapshots([parts["model"].net[0]])
                groups = parts["optimizer"].param_groups
                known = {id(each) for each in itertools.chain(*(g["params"] for g in groups))}
                found.known = known == {id(each) for each in parts["model"].parameters()}

    torch.manual_seed(0)
    model = Model()
    arguments = library.TrainingArguments(
        str(tmp_path),
        num_train_epochs=3,
        per_device_train_batch_size=16,
        learning_rate=0.01,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    callbacks = [transformers.callback(CUT, FixedRank(8)), Watch()]
    library.Trainer(model, arguments, train_dataset=Digits(), callbacks=callbacks).train()
    assert isinstance(model.net[0], Factored)
    assert found.known
    assert moved(found.after, [model.net[0]])

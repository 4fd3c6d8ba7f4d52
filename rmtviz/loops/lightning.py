"""Cuts during a fit of Lightning: `Trainer(callbacks=[callback()])`. Extra `lightning`."""

from typing import Any

from rmtviz import extras
from rmtviz.loops.pruner import EDGE, REPEATED, RMTPruner
from rmtviz.rules import Rule
from rmtviz.schedules import Schedule


def callback(schedule: Schedule = REPEATED, rule: Rule = EDGE, monitor: str | None = None) -> Any:
    """Return a Lightning callback that cuts after an epoch where the schedule says so.

    `monitor` names the logged figure that is the validation error, for schedules that watch it.

    Raises:
        ExtraMissing: Lightning is not installed.
    """
    base: Any = extras.package("lightning.pytorch", "lightning").Callback

    class RMTCallback(base):  # type: ignore[misc]
        """A pruner for the run's first optimiser, made when the fit begins."""

        pruner: RMTPruner

        def on_fit_start(self, trainer: Any, module: Any) -> None:
            optimiser = trainer.optimizers[0] if trainer.optimizers else None
            epochs = trainer.max_epochs if (trainer.max_epochs or -1) > 0 else 10**6
            self.pruner = RMTPruner(module, optimiser, schedule, rule, epochs=epochs)

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            error = trainer.callback_metrics.get(monitor, 0.0) if monitor else 0.0
            self.pruner.step(float(error))

    return RMTCallback()

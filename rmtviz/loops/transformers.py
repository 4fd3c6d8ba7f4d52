"""Cuts during Hugging Face's `Trainer`: `Trainer(callbacks=[callback()])`. Extra `transformers`."""

from typing import Any

from rmtviz import extras
from rmtviz.loops.pruner import EDGE, REPEATED, RMTPruner
from rmtviz.rules import Rule
from rmtviz.schedules import Schedule


def callback(schedule: Schedule = REPEATED, rule: Rule = EDGE, monitor: str | None = None) -> Any:
    """Return a TrainerCallback that cuts after an epoch where the schedule says so.

    `monitor` names the logged figure that is the validation error, such as "eval_loss".

    Raises:
        ExtraMissing: Transformers is not installed.
    """
    base: Any = extras.package("transformers", "transformers").TrainerCallback

    class RMTCallback(base):  # type: ignore[misc]
        """A pruner for the run's optimiser, made when training begins."""

        pruner: RMTPruner

        def on_train_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
            epochs = int(state.num_train_epochs)
            self.pruner = RMTPruner(
                parts["model"], parts.get("optimizer"), schedule, rule, epochs=epochs
            )

        def on_epoch_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
            logged = [entry[monitor] for entry in state.log_history if monitor in entry]
            self.pruner.step(float(logged[-1]) if logged else 0.0)

    return RMTCallback()

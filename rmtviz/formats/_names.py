"""Names that training scripts put around those of the weights."""

from collections.abc import Mapping

from rmtviz.checkpoint import Tensor

COPIES = (
    "ema",
    "model_ema",
    "ema_model",
    "ema_state",
    "ema_state_dict",
    "ema_weights",
    "state_dict_ema",
    "model_state_dict_ema",
    "params_ema",
    "shadow_params",
    "swa_model",
    "swa_state_dict",
    "current_model_state",
)
"""Groups that are copies of the weights: averages, or, where Lightning's weights are an average,
what they are an average of."""

PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""


def stripped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors without a prefix that a wrapper put before every name."""
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) and name != prefix for name in tensors):
            return stripped({name.removeprefix(prefix): it for name, it in tensors.items()})
    return dict(tensors)

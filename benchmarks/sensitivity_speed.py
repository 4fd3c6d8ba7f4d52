"""Claim: what every layer of a 784-1000-1000-500-10 network can lose is seen in 15 s of CPU.

Accuracy, loss and output error at 24 ranks of each of the four layers, on 2,000 selection
images, after one epoch of training (the numbers do not matter here, the sizes do). Seconds are
those of the process on one thread, decomposition included; the curves come as they grow, so the
first is there long before.
"""

import time

from rmtviz import pruning, tradeoff
from rmtviz.training import Training, train

RECIPE = Training(widths=(1000, 1000, 500), epochs=1, train_samples=10_000)
SAMPLES = 2_000


def main() -> None:
    """Print the seconds and the ranks of each layer."""
    checkpoint = list(train(RECIPE))[-1].checkpoint
    data = RECIPE.data()
    network = RECIPE.network(data)(checkpoint)
    samples = data.split("selection").first(SAMPLES)
    begin = last = time.process_time()
    done = {}
    for curve in tradeoff.curves(
        network, lambda i: pruning.factors(checkpoint, network.layers[i]), samples
    ):
        now = time.process_time()
        ranks, seconds = done.get(curve.layer, (0, 0.0))
        done[curve.layer] = (len(curve.points), seconds + now - last)
        last = now
    for layer, (ranks, seconds) in done.items():
        print(f"layer {layer}: {ranks} ranks in {seconds:.1f} s of CPU")
    print(f"all layers, {SAMPLES:,} samples: {time.process_time() - begin:.1f} s of CPU")


if __name__ == "__main__":
    main()

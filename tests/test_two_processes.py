"""Two processes train a model to the parameters that one process finds."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import torch

# The pattern of the loss's documentation: each rank takes the sum over its entries, and divides by
# the known entries of all ranks; DistributedDataParallel then averages gradients, hence the factor.
SCRIPT = """
import sys
import torch
from torch import distributed, nn
from mlthresh import FocalLossWithPosWeight, RarestClassSampler, discriminative_param_groups

folder, rank, world_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
if world_size > 1:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world_size
    )
generator = torch.Generator().manual_seed(0)
x = torch.randn(60, 5, generator=generator, dtype=torch.float64)
y = (torch.rand(60, 3, generator=generator) < torch.tensor([0.5, 0.2, 0.1])).double()
y[torch.rand(60, 3, generator=generator) < 0.3] = float("nan")  # ranks know unequally many
model = nn.Module()
model.features = nn.Sequential(nn.Linear(5, 8), nn.Tanh())
model.classifier = nn.Linear(8, 3)
model = model.double()
with torch.no_grad():
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
model.forward = lambda batch: model.classifier(model.features(batch))
optimiser = torch.optim.AdamW(discriminative_param_groups(model, lr=0.05))
wrapped = nn.parallel.DistributedDataParallel(model) if world_size > 1 else model
loss = FocalLossWithPosWeight(2.5, 0.15, [1.0, 3.0, 8.0], reduction="sum")
sampler = RarestClassSampler(y, 48, seed=3)
unequal = False
for epoch in range(3):
    sampler.set_epoch(epoch)
    rows = list(sampler)
    for batch in torch.tensor(rows).split(12 // world_size):
        n_known = (~y[batch].isnan()).sum()
        mine = int(n_known)
        if world_size > 1:
            distributed.all_reduce(n_known)
        unequal |= mine * world_size != int(n_known)
        optimiser.zero_grad()
        weight = sampler.importance_weights[batch]
        (loss(wrapped(x[batch]), y[batch], weight) * (world_size / n_known)).backward()
        optimiser.step()
state = {"unequal": torch.tensor(unequal), **model.state_dict()}
torch.save(state, f"{folder}/{world_size}-{rank}.pt")
if world_size > 1:
    distributed.destroy_process_group()
"""


def test_two_ranks_train_to_what_one_process_finds(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(SCRIPT))
    runs = [
        subprocess.Popen([sys.executable, str(script), str(tmp_path), str(rank), str(world_size)])
        for rank, world_size in ((0, 1), (0, 2), (1, 2))
    ]
    assert [run.wait(timeout=600) for run in runs] == [0, 0, 0]
    one, *two = (torch.load(tmp_path / name) for name in ("1-0.pt", "2-0.pt", "2-1.pt"))
    for state in two:
        assert state.pop("unequal")  # else dividing by the own count would do as well
    one.pop("unequal")
    for state in two:
        assert state.keys() == one.keys()
        for name, value in state.items():
            torch.testing.assert_close(value, one[name], rtol=0, atol=1e-6)

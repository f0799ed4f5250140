"""Contestants that start up (W7): from import to the first trained step, each time in a new process."""

from __future__ import annotations

from bench.processes import folder_for_now, new_process
from bench.rows import OURS, Run, contestant

STEPS = {
    "import jax alone": "import jax",
    OURS: """
import jax, numpy as np
import jaxshallow as js
{cache}
X = np.random.default_rng(0).standard_normal((20, 1000), np.float32)
js.fit(js.init(jax.random.key(0), 20, 100, hidden="relu"), X, X[:1] > 0, epochs=1)
""",
    "scikit-learn": """
import numpy as np
from sklearn.neural_network import MLPClassifier
x = np.random.default_rng(0).standard_normal((1000, 20), np.float32)
MLPClassifier((100,), batch_size=1000).partial_fit(x, x[:, 0] > 0, classes=[False, True])
""",
    "PyTorch": """
import numpy as np, torch
x = torch.from_numpy(np.random.default_rng(0).standard_normal((1000, 20), np.float32))
net = torch.nn.Sequential(torch.nn.Linear(20, 100), torch.nn.ReLU(), torch.nn.Linear(100, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
torch.nn.BCEWithLogitsLoss()(net(x), (x[:, :1] > 0).float()).backward()
optimizer.step()
""",
}


@contestant("W7", f"{OURS}, warm cache", "new processes")
def w7_warm_cache() -> Run:
    program = STEPS[OURS].format(cache=f"js.enable_compilation_cache({folder_for_now()!r})")
    new_process("-c", program)  # fills the cache
    return lambda: new_process("-c", program)


@contestant("W7", f"{OURS}, cold", "new processes")
def w7_cold() -> Run:
    return lambda: new_process("-c", STEPS[OURS].format(cache=""))


@contestant("W7", "import jax alone", "new processes")
def w7_import_jax_alone() -> Run:
    return lambda: new_process("-c", STEPS["import jax alone"])


@contestant("W7", "scikit-learn", "new processes")
def w7_scikit_learn() -> Run:
    return lambda: new_process("-c", STEPS["scikit-learn"])


@contestant("W7", "PyTorch", "new processes")
def w7_pytorch() -> Run:
    return lambda: new_process("-c", STEPS["PyTorch"])

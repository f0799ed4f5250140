"""Compare vmap with the matrix form, and with loops: are they equal, how fast is each, what does XLA compile them to?

Examples:
    jaxshallow compare                                      the certificate and the times; about two minutes
    jaxshallow compare --n-x 784 --n-h 128 --n-y 10 --output softmax --m 100 1000 10000
    jaxshallow compare --precision float64 --hidden relu --json

Exit codes: 0 all executions are certified equal, 1 one is not, 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

import jaxshallow as js
from jaxshallow import plots
from jaxshallow.params import size_of
from jaxshallow.programs import running
from jaxshallow.programs.extra import needs_scripts
from jaxshallow.programs.options import read, settings
from jaxshallow.store.files import json_text, write_atomically

with needs_scripts():
    from rich.console import Console
    from rich.table import Table

# Python's own loop takes about a millisecond an example. With more examples than this it is left out.
PYTHON_LOOP_EXAMPLES = 300
VMAP_BYTES = 2**31
Executions = dict[str, Callable[..., Any]]

FORWARD: Executions = {
    "Python loop": js.forward_loop,
    "scan loop": jax.jit(js.forward_scan),
    "vmap": jax.jit(js.forward_vmap),
    "matrix": jax.jit(js.forward),
}
GRADIENT: Executions = {
    "Python loop": js.manual_grads_loop,
    "scan loop": jax.jit(js.manual_grads_scan),
    "vmap": jax.jit(js.manual_grads_vmap),
    "matrix": jax.jit(js.manual_grads),
    "autodiff": jax.jit(jax.grad(js.cost)),
}


@dataclass
class Options:
    m: tuple[int, ...] = (10, 100, 1_000, 10_000, 100_000)
    """Numbers of examples."""
    n_x: tuple[int, ...] = (2, 32)
    """Numbers of features; each pairs with one of --n-h to give a network."""
    n_h: tuple[int, ...] = (4, 64)
    """Numbers of hidden units."""
    n_y: int = 1
    """Output units."""
    hidden: str = "tanh"
    """Hidden activation: sigmoid, tanh, relu, leaky_relu, identity, or another that activations.py lists."""
    output: Literal["sigmoid", "softmax", "identity", "exp"] = "sigmoid"
    """Output head."""
    precision: Literal["bfloat16", "float32", "float64"] = "float32"
    """The dtype of the whole computation."""
    repeats: int = 7
    """Timed runs of each execution, interleaved; the median is shown."""
    seed: int = 0
    """Random seed for the weights and the examples."""
    out: Path = Path("out")
    """Folder for compare.json and the picture, compare.png and compare.svg."""
    quiet: bool = False
    """Print only errors (and the JSON)."""
    json: bool = False
    """Print the results as JSON instead of tables."""


def main(argv: Sequence[str] | None = None) -> int:
    options = read(Options, argv, "compare", __doc__)
    running.messages.quiet = options.quiet
    return running.exit_code(lambda: run(options), options.out)


def run(options: Options) -> int:
    """Certify and time each network; write the picture and the numbers, and show them."""
    check(options)
    options.m = tuple(sorted(options.m))
    options.out.mkdir(parents=True, exist_ok=True)
    with jax.enable_x64(options.precision == "float64"):
        networks = list(zip(options.n_x, options.n_h, strict=True))
        certificates, reports = zip(*(compare(options, n_x, n_h) for n_x, n_h in networks), strict=True)
    drawing, axes = plots.figure(len(reports), 2)
    for report, row in zip(reports, axes.reshape(-1, 2), strict=True):
        for ax, part in zip(row, ("forward", "gradient"), strict=True):
            plots.time_against_size(ax, options.m, report["seconds"][part], title=f"{report['network']}: {part}")
    plots.save(drawing, options.out / "compare")
    ok = all(certificate.ok for certificate in certificates)
    results = {"ok": ok, "options": settings(options), "networks": reports}
    text = json_text(results)
    write_atomically(options.out / "compare.json", text.encode())
    if options.json:
        print(text)
    elif not options.quiet:
        show(certificates, reports, options)
    return 0 if ok else 1


def check(options: Options) -> None:
    if len(options.n_x) != len(options.n_h):
        raise ValueError(f"--n-x and --n-h come in pairs, got {len(options.n_x)} and {len(options.n_h)}")
    for name, sizes in (("m", options.m), ("repeats", (options.repeats,))):
        if not sizes or min(sizes) < 1:
            raise ValueError(f"--{name} must be at least 1, got {sizes}")


def compare(options: Options, n_x: int, n_h: int) -> tuple[js.Certificate, dict[str, Any]]:
    """For one network: the certificate, and a report with it, the times and XLA's matrix products."""
    keys = jax.random.split(jax.random.key(options.seed), 3)
    params = js.init(
        keys[0], n_x, n_h, options.n_y,
        hidden=options.hidden, output=options.output, scale="glorot", dtype=options.precision,
    )  # fmt: skip
    X = jax.random.normal(keys[1], (n_x, max(options.m)), options.precision)
    Y = made_up_targets(keys[2], options, X.shape[1])
    network = f"{n_x}-{n_h}-{options.n_y}"

    with running.messages.status(f"certifying {network}"):
        certificate = js.certify(params, X, Y)
    seconds: dict[str, dict[str, list[float]]] = {"forward": {}, "gradient": {}}
    parts: list[tuple[str, Executions, tuple[jax.Array, ...]]] = [
        ("forward", FORWARD, (X,)),
        ("gradient", GRADIENT, (X, Y)),
    ]
    for m in options.m:
        with running.messages.status(f"timing {network} with m = {m:,}"):
            for part, executions, data in parts:
                taken = timed(executions, params, tuple(array[:, :m] for array in data), options.repeats)
                for name, time_taken in taken.items():
                    seconds[part].setdefault(name, []).append(time_taken)
    middle = options.m[len(options.m) // 2]
    products = {}
    for part, executions, data in parts:
        some = [array[:, :middle] for array in data]
        products[part] = {name: matrix_products(executions[name], params, *some) for name in ("vmap", "matrix")}
    report = {
        "network": network,
        "certificate": json.loads(certificate.to_json()),
        "m": options.m,
        "seconds": seconds,
        "products": products,
        "products_m": middle,
    }
    return certificate, report


def made_up_targets(key: jax.Array, options: Options, m: int) -> jax.Array:
    if options.output == "softmax":
        return jax.nn.one_hot(
            jax.random.randint(key, (m,), 0, options.n_y), options.n_y, axis=0, dtype=options.precision
        )
    if options.output == "sigmoid":
        return jax.random.bernoulli(key, 0.5, (options.n_y, m)).astype(options.precision)
    if options.output == "exp":
        return jax.random.randint(key, (options.n_y, m), 0, 5).astype(options.precision)
    return jax.random.normal(key, (options.n_y, m), options.precision)


def timed(
    executions: Executions, params: js.Params, arguments: tuple[jax.Array, ...], repeats: int
) -> dict[str, float]:
    """Median seconds of each execution, after a warm-up; NaN for an execution that is left out at this size."""
    m, size = arguments[0].shape[1], size_of(params)
    left_out = set()
    if m > PYTHON_LOOP_EXAMPLES:
        left_out.add("Python loop")
    if m * size * params.W1.dtype.itemsize > VMAP_BYTES and len(arguments) == 2:
        left_out.add("vmap")
    runs: dict[str, list[float]] = {name: [] for name in executions if name not in left_out}
    # Runs are interleaved, so that noise affects all equally. Python's loop runs apart: it takes far longer, and would
    # leave cold caches to the next.
    for group in ([name for name in runs if name != "Python loop"], ["Python loop"] * ("Python loop" in runs)):
        for name in group:
            jax.block_until_ready(executions[name](params, *arguments))
        for _ in range(repeats):
            for name in group:
                start = time.perf_counter()
                jax.block_until_ready(executions[name](params, *arguments))
                runs[name].append(time.perf_counter() - start)
    return {name: float(np.median(runs[name])) if name in runs else float("nan") for name in executions}


def matrix_products(f: Any, *arguments: Any) -> list[str]:
    """The output shapes of the compiled program's matrix products, with sorted axes and without those of size 1."""
    text = f.lower(*arguments).compile().as_text()
    found = re.findall(r"= \(?\w+\[([\d,]*)\].*?(?: dot\(|custom-call\(.*?(?:__cublas|__onednn\$matmul))", text)
    shapes = sorted(sorted(int(n) for n in shape.split(",") if n not in ("", "1")) for shape in found)
    return ["×".join(map(str, shape)) or "1" for shape in shapes]


def show(certificates: Sequence[js.Certificate], reports: Sequence[dict[str, Any]], options: Options) -> None:
    console = Console(highlight=False)
    for certificate, report in zip(certificates, reports, strict=True):
        console.print(str(certificate), soft_wrap=True)
        for part, seconds in report["seconds"].items():
            table = Table(title=f"{report['network']}, {part}: median time", title_justify="left")
            table.add_column("m", justify="right")
            for name in seconds:
                table.add_column(name, justify="right")
            table.add_column("vmap / matrix", justify="right")
            for i, m in enumerate(options.m):
                times = {name: values[i] for name, values in seconds.items()}
                cells = ["–" if np.isnan(t) else f"{t * 1e3:.3f} ms" for t in times.values()]
                table.add_row(f"{m:,}", *cells, f"{times['vmap'] / times['matrix']:.2f}")
            console.print(table)
            vmap, matrix = report["products"][part]["vmap"], report["products"][part]["matrix"]
            if vmap == matrix:
                verdict = f"vmap and the matrix form compile to the same matrix products, {', '.join(matrix)}."
            else:
                verdict = (
                    f"the matrix form compiles to products {', '.join(matrix)}; vmap to {', '.join(vmap) or 'none'}"
                )
                verdict += ", the rest to multiplications and sums."
            console.print(f"{report['network']}, {part}, m = {report['products_m']:,}: {verdict}\n", soft_wrap=True)
    console.print(
        f"written: {options.out / 'compare.json'}, {options.out / 'compare.png'}, {options.out / 'compare.svg'}"
    )

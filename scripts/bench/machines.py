"""The machine that a benchmark ran on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """The device, its cores, and the versions of these packages."""
    versions: dict[str, str | None] = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    device = jax.devices()[0]
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    name = cpu if device.platform == "cpu" else device.device_kind
    return {"device": name, "platform": device.platform, "cores": os.cpu_count(), "versions": versions}


def headline(facts: dict[str, Any]) -> str:
    """A line on the machine and the libraries that are installed."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version)
    return f"{facts['device']}, {facts['cores']} cores; {versions}\n"

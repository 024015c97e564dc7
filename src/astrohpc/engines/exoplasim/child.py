"""The process that imports ``exoplasim``: ``python -m astrohpc.engines.exoplasim.child``.

Reads requests as lines of JSON and answers each with one. Whatever the package prints goes to stderr.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from astrohpc.errors import ConfigError


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # its shell commands print to 1, whatever sys.stdout is
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = _TASKS[request.pop("do")](**request)
        except Exception as error:  # noqa: BLE001 - the parent makes a sentence of whatever it is
            import traceback  # noqa: PLC0415

            traceback.print_exc()
            kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
            answer = {"error": f"{kind}{error}"}
        answers.write(json.dumps({**answer, "cpu_s": time.process_time()}) + "\n")
        answers.flush()


def build(folder: str, resolution: str, layers: int) -> dict[str, Any]:
    """Compile the executable and pyfft."""
    import exoplasim  # noqa: PLC0415

    exoplasim.Model(
        workdir=f"{folder}/model",
        modelname="build",
        resolution=resolution,
        layers=layers,
        ncpus=1,
        recompile=True,
        outputtype=".nc",
    )
    try:
        _import_pyfft()
    except ImportError:
        exoplasim.compile_pyfft()
        _import_pyfft()
    return {}


def _import_pyfft() -> None:
    import exoplasim.pyfft  # noqa: PLC0415
    import exoplasim.pyfft991  # noqa: F401, PLC0415


def configure(
    target: str, resolution: str, layers: int, arguments: dict[str, Any]
) -> dict[str, Any]:
    """Have the package write its namelists and maps, and move them to ``target``.

    In a temporary folder of plain name: its commands do not quote paths, and it copies every
    executable that was ever built.
    """
    import exoplasim  # noqa: PLC0415

    from astrohpc.engines.exoplasim.build import plain_temporary_folder  # noqa: PLC0415
    from astrohpc.engines.exoplasim.settings import LATITUDES  # noqa: PLC0415

    with tempfile.TemporaryDirectory(dir=plain_temporary_folder()) as folder:
        model = exoplasim.Model(
            workdir=f"{folder}/model",
            modelname="member",
            resolution=resolution,
            layers=layers,
            ncpus=1,
            outputtype=".nc",
        )
        model.configure(**arguments)
        Path(target).mkdir()
        names = []
        maps = f"N{LATITUDES[resolution]:03d}_*.sra"  # it copies those of every resolution built
        for pattern in ("*_namelist", maps):
            for path in sorted((Path(folder) / "model").glob(pattern)):
                shutil.copyfile(path, Path(target) / path.name)
                names.append(path.name)
    return {"files": names}


def climate(
    raw: str,
    target: str,
    log: str,
    planet: dict[str, Any],
    step_s: float,
    model: str,
    attributes: dict[str, float | str],
) -> dict[str, Any]:
    """Turn raw output into the canonical climate, with the stamps that the model wrote, no others."""
    from exoplasim import pyburn  # noqa: PLC0415

    from astrohpc.engines.exoplasim.arguments import RADIUS_UNIT_M  # noqa: PLC0415
    from astrohpc.engines.exoplasim_output import Stamps, convert  # noqa: PLC0415
    from astrohpc.engines.variables import EXOPLASIM  # noqa: PLC0415
    from astrohpc.planet import Planet  # noqa: PLC0415

    world = Planet(**planet)
    made = Path(f"{raw}.nc")
    made.unlink(missing_ok=True)
    # No more than the canonical output needs: all hundred take twice as long, and among them are those
    # on the interfaces of layers, at which pyburn breaks off where a run has as many stamps as layers.
    wanted = {term for source in EXOPLASIM.values() for term, _ in source.terms}
    pyburn.postprocess(
        raw,
        str(made),
        logfile=log,
        variables=sorted(wanted | {"zdec", "rdist"}),
        times=None,
        timeaverage=False,
        radius=world.radius_m / RADIUS_UNIT_M,
        gravity=world.gravity_ms2,
        gascon=world.gas_constant_jkgk,
    )
    stamps = Stamps(step_s=step_s, averaged=True)
    convert(made, Path(target), world, stamps, model=model, attributes=attributes)
    return {}


_TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "build": build,
    "configure": configure,
    "climate": climate,
}

if __name__ == "__main__":
    main()

"""From a JobRequest to the text of its script, and from the text to a file that is known to parse."""

import hashlib
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import jinja2

from astrohpc.errors import ConfigError
from astrohpc.files import write_atomic
from astrohpc.slurm.directives import format_indices, format_walltime
from astrohpc.slurm.request import JobRequest
from astrohpc.version import VERSION


def render(request: JobRequest) -> str:
    """Return the script of ``request``: a pure function, and the only place where scripts come from."""
    template = _templates().get_template(f"{request.kind}.sbatch.j2")
    text = template.render(
        title=f"astrohpc {VERSION}: {request.title}",
        name=request.name,
        comment=request.comment,
        script=f"scripts/{request.name}.sbatch",
        folder=request.folder,
        log=request.log,
        command=request.command,
        srun=_srun(request),
        site=request.site,
        allocation=request.allocation,
        resources=request.resources,
        array=request.array,
        only=format_indices(request.array.only) if request.array and request.array.only else "",
        dependency=request.dependency,
        begin=request.begin,
        progress=request.progress,
        modules=request.modules,
        environment=request.environment,
        walltime=format_walltime(request.resources.walltime_s),
    )
    return text.rstrip() + "\n"


def _srun(request: JobRequest) -> tuple[str, ...]:
    mpi = (f"--mpi={request.site.mpi}",) if request.site.mpi else ()
    return ("srun", *mpi, f"--cpus-per-task={request.allocation.cpus_per_task}", *request.site.srun)


def write_script(path: Path, text: str) -> str:
    """Write a script whole, executable, and only if bash can parse it; return the text's digest."""
    check = subprocess.run(
        ["bash", "-n"], input=text, text=True, capture_output=True, timeout=30, check=False
    )
    if check.returncode:
        raise ConfigError(
            f"site.setup: the script {path.name} would not parse: {check.stderr.strip()}; "
            "mend the site's setup lines."
        )
    write_atomic(path, text, mode=0o755, durable=True)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("astrohpc.sbatch_templates", ""),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - shell, not HTML: `sh` and `directive` quote
    )
    environment.filters["sh"] = shlex.quote
    environment.filters["shjoin"] = shlex.join
    environment.filters["directive"] = _directive
    return environment


def _directive(value: str) -> str:
    """Quote a value for an #SBATCH line, which knows double quotes but no escapes."""
    if any(ord(c) < 32 for c in value) or '"' in value:
        raise ConfigError(f"allocation: {value!r} has a quote or a control character; remove it.")
    return value if re.fullmatch(r"[\w./:,@%+=-]+", value) else f'"{value}"'
